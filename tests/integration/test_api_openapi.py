from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, cast

import httpx2
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from hub.api.reference import OPERATIONS, TAGS
from hub.core.errors import PROBLEM_BASE, RequestError
from hub.gateway.gateway import Gateway
from hub.gateway.routes import gateway_routes
from tests.support.api import PUBLISHER, Api, open_api

LIVE = {("GET", "/v1/ws"), ("GET", "/v1/sse"), ("GET", "/v1/poll"), ("POST", "/v1/presence")}
"""Routed by the gateway."""
BODY_MAY_BE_LEFT_OUT = {"disconnect_user", "replay_deliveries"}


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    async with api.client() as client:
        answer = await client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def nodes(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def follow(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    found: Any = document
    for part in reference[2:].split("/"):
        found = found[part]
    return found


def described(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_route_is_described_and_every_description_routed(api: Api, document: dict[str, Any]) -> None:
    routed = {
        (method, route.path)
        for route in api.app.routes
        if isinstance(route, Route) and route.include_in_schema
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert routed | LIVE == set(described(document))
    hidden = {route.path for route in api.app.routes if isinstance(route, Route) and not route.include_in_schema}
    assert hidden == {
        "/",
        "/docs",
        "/openapi.json",
        "/demo/session",
        "/demo/notifications",
        "/demo/notifications/{id}",
        "/demo/mail",
    }


def test_the_gateways_routes_are_described_too() -> None:
    routes = gateway_routes(cast(Gateway, None))  # they look at it only when they are called
    paths = {route.path for route in routes if isinstance(route, Route | WebSocketRoute)}
    assert len(paths) == len(routes)
    assert paths == {path for _, path in LIVE}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = {node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)}
    assert len(references) > 20
    for reference in references:
        assert isinstance(follow(document, reference), dict)
    for kind in ("schemas", "responses"):
        for name in document["components"][kind]:
            assert f"#/components/{kind}/{name}" in references, f"{name} is described and never used"


def test_the_frame_of_the_document(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
    assert document["info"]["title"] == "Bellwire"
    assert document["servers"] == [{"url": "/"}]
    assert [tag["name"] for tag in document["tags"]] == list(TAGS)
    assert json.loads(json.dumps(document)) == document


def test_every_operation_is_complete(document: dict[str, Any]) -> None:
    schemes = set(document["components"]["securitySchemes"])
    operations = described(document)
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for (method, path), operation in operations.items():
        assert operation["summary"], path
        assert set(operation["tags"]) <= set(TAGS)
        assert set(chain.from_iterable(operation["security"])) <= schemes
        statuses = set(operation["responses"])
        assert statuses & {"101", "200", "201", "202", "204"}
        if "101" not in statuses:
            assert "500" in statuses
            assert ("401" in statuses) == bool(operation["security"])
        named = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), path
        for parameter in operation.get("parameters", ()):
            assert parameter["in"] in {"path", "query", "header"}
            assert parameter["description"]
            assert parameter.get("required", False) == (parameter["in"] == "path")
        if "requestBody" in operation:
            assert method in {"POST", "PUT", "PATCH"} or operation["operationId"] == "leave_topic"
            assert {"400", "413", "415", "422"} <= statuses
            assert operation["requestBody"]["required"] is (operation["operationId"] not in BODY_MAY_BE_LEFT_OUT)
        for response in operation["responses"].values():
            assert response.get("$ref") or response["description"]


def test_schemas_are_schemas(document: dict[str, Any]) -> None:
    known = {"object", "array", "string", "integer", "number", "boolean", "null"}
    for name, schema in document["components"]["schemas"].items():
        assert schema["type"] == "object", name
        assert schema["description"], name
        assert set(schema["required"]) <= set(schema["properties"])
        for node in nodes(schema["properties"]):
            if isinstance(node.get("type"), str):
                assert node["type"] in known
    publish = document["components"]["schemas"]["PublishIn"]
    assert publish["additionalProperties"] is False
    assert publish["properties"]["title"]["maxLength"] == 500
    item = document["components"]["schemas"]["Item"]["properties"]
    assert item["created_at"]["format"] == "date-time"
    assert {"type": "string", "format": "date-time"} in item["read_at"]["anyOf"]


def test_notes_are_about_fields_that_exist(document: dict[str, Any]) -> None:
    from hub.api.schemas import _NOTES  # noqa: PLC0415 - the table itself is what is held against the models

    for name, notes in _NOTES.items():
        assert set(notes) <= set(document["components"]["schemas"][name]["properties"]), name


def test_problem_responses_are_real_problems(document: dict[str, Any]) -> None:
    problems = {problem.__name__: problem for problem in RequestError.__subclasses__()}
    for name, response in document["components"]["responses"].items():
        example = response["content"]["application/problem+json"]["example"]
        assert example["type"].startswith(PROBLEM_BASE)
        if name != "InternalError":
            assert example["status"] == problems[name].status
            assert example["type"] == PROBLEM_BASE + problems[name].slug


def test_every_problem_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", text, re.MULTILINE)
    ours = [each for each in RequestError.__subclasses__() if each.__module__ == RequestError.__module__]
    raised = [(problem.slug, str(problem.status)) for problem in ours]
    assert sorted(explained) == sorted([*raised, ("internal-error", "500")])


async def test_examples_work_as_they_stand(api: Api, document: dict[str, Any]) -> None:
    """Each example whose path is there from the start is sent as it is shown."""
    sent = set()
    async with api.client() as client:
        for (method, path), operation in described(document).items():
            if "requestBody" not in operation or (method, path) in LIVE or "{id}" in path:
                continue
            example = operation["requestBody"]["content"]["application/json"]["example"]
            headers = PUBLISHER if {"ApiKey": []} in operation["security"] else api.user("ada")
            answer = await client.request(method, path.replace("{user}", "ada"), json=example, headers=headers)
            assert answer.is_success, f"{path}: {answer.text}"
            assert str(answer.status_code) in operation["responses"]
            sent.add(operation["operationId"])
    assert {"publish", "put_user", "add_device", "mark_read", "mark_snooze"} <= sent


def test_every_example_is_accepted_by_its_model(document: dict[str, Any]) -> None:
    examples = [one for one in OPERATIONS if one.body is not None]
    assert len(examples) > 10
    for operation in examples:
        assert isinstance(operation.body, type)
        shown = document["paths"][operation.path][operation.method.lower()]["requestBody"]["content"]
        msgspec.json.decode(json.dumps(shown["application/json"]["example"]), type=operation.body)


async def test_a_mounted_hub_says_where_it_is(api: Api) -> None:
    app = Starlette(routes=[Mount("/notify", api.app)])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert (await client.get("/notify/openapi.json")).json()["servers"] == [{"url": "/notify"}]
        assert (await client.get("/notify/docs")).status_code == 200
        body = {"recipients": ["ada"], "title": "Hello"}
        answer = await client.post("/notify/v1/notifications", json=body, headers=PUBLISHER)
        assert answer.headers["location"].startswith("/notify/v1/notifications/")
        assert (await client.get(answer.headers["location"], headers=PUBLISHER)).status_code == 200
        encoded = await client.put("/notify/v1/users/team%2F7", json={}, headers=PUBLISHER)
        assert encoded.json()["user"] == "team/7"
