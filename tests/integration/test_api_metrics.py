from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.app import open_node
from hub.settings import Settings
from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem

AWAY = ("203.0.113.9", 50_000)
ACME = {"Authorization": f"Bearer {ACME_KEY}"}


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


def names(answer: httpx2.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    return {family.name for family in text_string_to_metric_families(answer.text)}


async def test_the_operators_key_opens_them_from_anywhere(api: Api) -> None:
    async with api.client(address=AWAY, base_url="http://hub.example") as client:
        found = names(await client.get("/metrics", headers=PUBLISHER))
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info", "bellwire_build_info"} <= found


async def test_others_keys_do_not(api: Api) -> None:
    async with api.client(address=AWAY) as client:
        problem(await client.get("/metrics"), 401, "unauthenticated")
        problem(await client.get("/metrics", headers={"Authorization": "Bearer wrong"}), 401, "unauthenticated")
        problem(await client.get("/metrics", headers=ACME), 403, "forbidden")
        problem(await client.get("/metrics", headers=api.user()), 403, "forbidden")


async def test_in_development_this_machine_needs_no_key(api: Api) -> None:
    async with api.client() as client:
        names(await client.get("/metrics"))
        for header in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"):
            problem(await client.get("/metrics", headers={header: "127.0.0.1"}), 401, "unauthenticated")
        problem(await client.get("/metrics", headers={"Host": "evil.example"}), 401, "unauthenticated")
        problem(await client.get("/metrics", headers={"Origin": "https://evil.example"}), 401, "unauthenticated")
    async with api.client(address=AWAY) as client:
        problem(await client.get("/metrics"), 401, "unauthenticated")


@pytest.mark.parametrize(
    "settings",
    [
        Settings(data_dir=Path("unused"), env="production"),
        Settings(data_dir=Path("unused"), redis_url="redis://127.0.0.1"),
        Settings(data_dir=Path("unused"), metrics_public=False),
    ],
    ids=["production", "a cluster", "said so"],
)
async def test_elsewhere_this_machine_does(sqlite_url: str, settings: Settings) -> None:
    """Behind a proxy on the same machine, everybody may look like it."""
    async with open_api(sqlite_url, settings) as api, api.client() as client:
        problem(await client.get("/metrics"), 401, "unauthenticated")
        names(await client.get("/metrics", headers=PUBLISHER))


async def test_made_public_they_are_for_everybody(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWIRE_METRICS_PUBLIC", "1")
    settings = Settings(data_dir=Path("unused"), env="production")
    async with open_api(sqlite_url, settings) as api, api.client(address=AWAY) as client:
        names(await client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}))


async def test_open_metrics_for_those_who_ask(api: Api) -> None:
    async with api.client() as client:
        answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_a_node_shows_its_gateways(sqlite_url: str) -> None:
    settings = Settings(data_dir=Path("unused"), database_url=sqlite_url, env="development")
    async with open_node(settings) as node:
        node.gateway.metrics.opened("sse")
        node.gateway.on_gap()
        await node.gateway.reconcile()
        transport = httpx2.ASGITransport(node.app, client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            answer = await client.get("/metrics")
        assert "bellwire_gateway_connections" in names(answer)
        assert 'bellwire_gateway_connections_opened_total{kind="sse"} 1.0' in answer.text
        assert "bellwire_gateway_bus_gaps_total 1.0" in answer.text
        assert "bellwire_gateway_connections 0.0" in answer.text
