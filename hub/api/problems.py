"""Errors as RFC 9457 problem details (`application/problem+json`), whatever raised them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler
from starlette.websockets import WebSocket

from hub.api.responses import json_response
from hub.core import wire
from hub.core.errors import (
    PROBLEM_BASE,
    BodyTooLarge,
    DataError,
    InvalidRequest,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    RequestError,
    StoreUnavailable,
    Unauthenticated,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"

INTERNAL_ERROR: Final = wire.Problem(
    type=PROBLEM_BASE + "internal-error",
    title="Something went wrong on our side",
    status=500,
    detail="It has been logged. A publish may be repeated safely with its Idempotency-Key.",
)

_RETRY_AFTER = 2
"""Seconds after which a caller may try again when the database is away: a restart takes about that long."""

_MAX_DETAIL = 500
"""Characters; messages can quote what the caller sent, and that can be a megabyte."""

_log = structlog.get_logger(__name__)


def problem_of(error: RequestError) -> wire.Problem:
    """Describe an error to the caller."""
    detail = error.detail if len(error.detail) <= _MAX_DETAIL else error.detail[: _MAX_DETAIL - 1] + "…"
    return wire.Problem(type=error.type, title=error.title, status=error.status, detail=detail, pointer=error.pointer)


def request_error_of(error: Exception, path: str) -> RequestError | None:
    """Turn what a use case raised into what its caller hears, and log what operators should know of; None: a bug."""
    match error:
        case RequestError():
            return error
        case DataError():
            _log.warning("data_refused", path=path, error=type(error).__name__)  # our own checks let it pass
            return InvalidRequest("a value cannot be stored")
        case StoreUnavailable():
            _log.warning("store_unavailable", path=path)
            detail = "the database cannot be reached; try again, a publish with the same Idempotency-Key"
            return Unavailable(detail, retry_after=_RETRY_AFTER)
    return None


def problem_in_batch(error: Exception, place: str) -> wire.Problem:
    """Describe what went wrong with one part of a request, whose body has it at `place` (a JSON path)."""
    refused = request_error_of(error, "batch")
    if refused is None:
        _log.error("request_failed", path="batch", exc_info=error)
        return INTERNAL_ERROR
    problem = problem_of(refused)
    return msgspec.structs.replace(problem, pointer=place + (problem.pointer or "$").removeprefix("$"))


def problem_response(error: RequestError, extra: Mapping[str, str] | None = None) -> Response:
    """Answer with an error."""
    headers = dict(extra or {})
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="bellwire"'
    if isinstance(error, BodyTooLarge):
        headers["Connection"] = "close"  # the rest of the body is still on its way; nobody will read it
    return json_response(problem_of(error), status=error.status, headers=headers, media_type=MEDIA_TYPE)


async def _on_request_error(_: Request | WebSocket, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 - Starlette picks the handler by the class
    return problem_response(error)


async def _on_http_exception(conn: Request | WebSocket, error: Exception) -> Response:
    """Translate what Starlette itself refuses: unknown paths, methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette picks the handler by the class
    headers = error.headers or {}
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return problem_response(NotFound("there is nothing at this path; GET /openapi.json lists what there is"))
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = headers.get("Allow", "other methods")
            return problem_response(MethodNotAllowed(f"this path supports {allowed}"), headers)
    status = HTTPStatus(error.status_code)
    problem = wire.Problem(type="about:blank", title=status.phrase, status=status.value)
    _log.info("request_refused", path=_path(conn), status=status.value)
    return json_response(problem, status=status.value, headers=headers, media_type=MEDIA_TYPE)


async def _on_store_error(conn: Request | WebSocket, error: Exception) -> Response:
    refused = request_error_of(error, _path(conn))
    assert refused is not None  # noqa: S101 - Starlette picks the handler by the class
    return problem_response(refused)


async def _on_client_disconnect(_: Request | WebSocket, __: Exception) -> Response:
    """Nobody is there to read it, but the server wants an answer to every request."""
    return problem_response(MalformedBody("the connection ended before the body did"))


async def _on_unexpected(conn: Request | WebSocket, error: Exception) -> Response:
    _log.error("request_failed", path=_path(conn), exc_info=error)
    return json_response(INTERNAL_ERROR, status=500, media_type=MEDIA_TYPE)


def _path(conn: HTTPConnection) -> str:
    """Return the route's template: paths name users, and query strings can carry tickets."""
    route = conn.scope.get("route")
    template: object = getattr(route, "path", None)
    return template if isinstance(template, str) else "unknown"


exception_handlers: Final[Mapping[Any, ExceptionHandler]] = {
    RequestError: _on_request_error,
    HTTPException: _on_http_exception,
    DataError: _on_store_error,
    StoreUnavailable: _on_store_error,
    ClientDisconnect: _on_client_disconnect,
    Exception: _on_unexpected,
}
"""For `Starlette(exception_handlers=…)`. The last one answers, and Starlette then raises the error to the server."""
