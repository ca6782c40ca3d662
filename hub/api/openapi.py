"""`/openapi.json` (OpenAPI 3.1) out of the table of operations and the wire models; `/docs` shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api import problems
from hub.api.operations import LATER, Answer, Operation, Parameter
from hub.api.reference import OPERATIONS, TAGS
from hub.api.responses import json_response
from hub.api.schemas import schemas_of
from hub.api.static import content_security_policy, page
from hub.core import wire
from hub.core.errors import RequestError, Unauthenticated
from hub.core.views import rfc3339
from hub.ports import Clock

Json = dict[str, Any]

_ABOUT = """Post a notification; the people it is for see it at once in every open tab and device, and whoever does \
not see it in time gets it by e-mail or push.

Publishers send `Authorization: Bearer <API key>`, users their JWT (HS256, with `sub` and `exp`) the same way. \
Times are RFC 3339 in UTC. Unknown fields and query parameters are refused. Errors are RFC 9457 problem details."""

_HOUR = 3_600_000
_MONTH = 30 * 24 * _HOUR

_SECURITY_SCHEMES: Json = {
    "ApiKey": {"type": "http", "scheme": "bearer", "description": "A publisher's API key."},
    "UserToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A user's JWT: HS256, `sub` (the user's id) and `exp` required; `kid` names the tenant's key.",
    },
    "Ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "A single-use ticket of `POST /v1/tickets`, good for 30 seconds.",
    },
}


class Docs:
    """The description for programs, and the page for people."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._page = directory / "docs.html"
        self._document = document(clock.now())

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            Route("/openapi.json", self.openapi, methods=["GET"], include_in_schema=False),
            Route("/docs", self.docs, methods=["GET"], include_in_schema=False),
        ]

    async def openapi(self, request: Request) -> Response:
        """Serve the document; `servers` names where the hub is mounted."""
        servers = [{"url": request.scope.get("root_path", "").rstrip("/") or "/"}]
        return json_response({**self._document, "servers": servers}, headers={"Cache-Control": "no-cache"})

    async def docs(self, _: Request) -> Response:
        """Serve the reference page."""
        return page(self._page, content_security_policy())


def document(now: int, operations: Sequence[Operation] = OPERATIONS) -> Json:
    """Describe the operations as an OpenAPI 3.1 document; times in its examples lie a month after `now`."""
    later = rfc3339((now + _MONTH) // _HOUR * _HOUR)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, later)
    refused = {problem for operation in operations for problem in operation.problems}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bellwire",
            "version": version("bellwire"),
            "summary": "Real-time in-app notifications with multichannel fallback",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas_of([*_models(operations), wire.Problem]),
            "responses": {
                **{_component(problem): _problem(problem) for problem in sorted(refused, key=_component)},
                "InternalError": _problem_answer(problems.INTERNAL_ERROR),
            },
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _models(operations: Iterable[Operation]) -> list[object]:
    models: dict[object, None] = {}
    for operation in operations:
        for model in (operation.body, *(answer.model for answer in operation.answers.values())):
            if model is not None:
                models[model] = None
    return list(models)


def _operation(operation: Operation, later: str) -> Json:
    described: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": [{scheme: []} for scheme in operation.access.value],
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        example = {name: later if value == LATER else value for name, value in operation.example.items()}
        content = {"application/json": {"schema": _reference(operation.body), "example": example}}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    described["responses"] = {
        **{str(status): _answer(answer) for status, answer in operation.answers.items()},
        **{str(problem.status): _response_reference(_component(problem)) for problem in operation.problems},
    }
    if HTTPStatus.SWITCHING_PROTOCOLS not in operation.answers:
        described["responses"]["500"] = _response_reference("InternalError")
    return described


def _parameter(parameter: Parameter) -> Json:
    described: Json = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.place == "path":
        described["required"] = True
    if parameter.example is not None:
        described["example"] = parameter.example
    return described


def _answer(answer: Answer) -> Json:
    described: Json = {"description": answer.description}
    if answer.model is not None:
        described["content"] = {answer.media_type: {"schema": _reference(answer.model)}}
    elif answer.media_type != "application/json":
        described["content"] = {answer.media_type: {"schema": {"type": "string"}}}
    return described


def _component(problem: type[RequestError]) -> str:
    """Name a problem's response among the components."""
    return problem.__name__


def _problem(problem: type[RequestError]) -> Json:
    described = _problem_answer(problems.problem_of(problem(_sentence(problem))))
    if problem is Unauthenticated:
        described["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return described


def _problem_answer(example: wire.Problem) -> Json:
    schema = _reference(wire.Problem)
    content = {problems.MEDIA_TYPE: {"schema": schema, "example": msgspec.to_builtins(example)}}
    return {"description": example.title, "content": content}


def _sentence(problem: type[RequestError]) -> str:
    """Return an example's detail: the first sentence of the class's description."""
    text = re.sub(r"\s+", " ", (problem.__doc__ or problem.title).strip())
    return text.partition(". ")[0].rstrip(".")


def _reference(model: object) -> Json:
    name = getattr(model, "__name__", None)
    assert isinstance(name, str)  # noqa: S101 - every model is a class
    return {"$ref": f"#/components/schemas/{name}"}


def _response_reference(name: str) -> Json:
    return {"$ref": f"#/components/responses/{name}"}
