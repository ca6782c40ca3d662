from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.api.problems import exception_handlers
from hub.api.static import Assets, static_directory
from hub.core.errors import StoreUnavailable
from tests.support.api import Api, open_api, problem


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


def policy(answer: httpx2.Response) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("path", ["/docs", "/"])
async def test_pages_run_nothing_but_our_own_files(client: httpx2.AsyncClient, path: str) -> None:
    page = await client.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    allowed = policy(page)
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == allowed["connect-src"] == "'self'"
    assert "unsafe-eval" not in page.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\ssrc=)", page.text)
    assert not re.search(r"\son[a-z]+=", page.text)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page.text)


async def test_the_docs_page_has_no_inline_style_either(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert policy(page)["style-src"] == "'self'"
    assert policy(page)["frame-ancestors"] == "'none'"
    assert "<style" not in page.text
    assert " style=" not in page.text


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/static/docs.js", "text/javascript; charset=utf-8"),
        ("/static/docs.css", "text/css; charset=utf-8"),
        ("/static/docs.html", "text/html; charset=utf-8"),
        ("/static/client.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_files_are_served_as_what_they_are_and_revalidated(
    client: httpx2.AsyncClient, path: str, media_type: str
) -> None:
    first = await client.get(path)
    assert first.status_code == 200
    assert first.headers["content-type"] == media_type
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.content == (static_directory() / path.removeprefix("/static/")).read_bytes()
    again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    if media_type.startswith("text/html"):
        assert policy(first)["script-src"] == "'self'"


@pytest.mark.parametrize(
    "path",
    [
        "/static/nothing.js",
        "/static/",
        "/static/../pyproject.toml",
        "/static/%2e%2e/pyproject.toml",
        "/static/..%2fpyproject.toml",
        "/static/..%5cpyproject.toml",
        "/static//etc/passwd",
        "/static/%00",
        "/static/docs.js%00.html",
        "/static/.hidden",
        "/static/" + "x" * 3_000,
    ],
)
async def test_nothing_else_is_served(client: httpx2.AsyncClient, path: str) -> None:
    problem(await client.get(path), 404, "not-found")


async def test_hidden_files_stay_hidden(tmp_path: Path) -> None:
    for name in (".env", "shown.css", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    app = Starlette(routes=[Mount("/static", Assets(tmp_path))], exception_handlers=exception_handlers)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert (await client.get("/static/shown.css")).status_code == 200
        for path in (".env", "%2eenv", ".git/config", "./.env"):
            problem(await client.get(f"/static/{path}"), 404, "not-found")


async def test_files_are_only_read(client: httpx2.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE"):
        problem(await client.request(method, "/static/docs.js"), 405, "method-not-allowed")
    head = await client.head("/static/docs.js")
    assert (head.status_code, head.content) == (200, b"")


async def test_alive_whatever_else_is(client: httpx2.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.hub, "ready", away)
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def away() -> dict[str, bool]:
    raise StoreUnavailable("the password is hunter2")


async def without_bus() -> dict[str, bool]:
    return {"database": True, "bus": False}


async def test_ready_until_draining(client: httpx2.AsyncClient, api: Api) -> None:
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "draining": False, "parts": {"database": True, "bus": True}}
    api.draining[0] = True
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "draining": True, "parts": {"database": True, "bus": True}}


async def test_not_ready_without_the_database(
    client: httpx2.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.hub, "ready", away)
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "draining": False, "parts": {"database": False}}


async def test_ready_without_the_bus(client: httpx2.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.hub, "ready", without_bus)
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["parts"] == {"database": True, "bus": False}
