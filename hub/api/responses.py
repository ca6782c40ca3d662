"""What every answer has in common: JSON in bytes, and the headers that keep it private and literal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

SAFE_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""On every answer: browsers take content for what it says it is, and tell other sites nothing of where they were."""

_PRIVATE: Final[Mapping[str, str]] = {**SAFE_HEADERS, "Cache-Control": "no-store"}
_PRIVATE_RAW: Final = tuple((name.lower().encode(), value.encode()) for name, value in _PRIVATE.items())


class _Encoded(Response):
    """A response whose headers are put together by hand: what all have in common is encoded once."""

    body: bytes

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the headers in the form in which ASGI has them."""
        self.raw_headers = [
            (b"content-length", str(len(self.body)).encode()),
            (b"content-type", (self.media_type or "").encode()),
            *_PRIVATE_RAW,
        ]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """Answer with a value as JSON; `bytes` are taken for JSON that is encoded already."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return _Encoded(body, status, headers, media_type)


def json_stream(pieces: AsyncIterator[bytes], filename: str) -> Response:
    """Answer with JSON in pieces, to be saved as a file. If they break off, so does the answer, visibly."""
    disposition = f'attachment; filename="{filename}"'
    return StreamingResponse(pieces, 200, {**_PRIVATE, "Content-Disposition": disposition}, "application/json")


def no_content() -> Response:
    """Answer 204."""
    return Response(status_code=204, headers=dict(_PRIVATE))


def location(request: Request, path: str) -> str:
    """Return a path as the client has to call it, also where the hub is mounted inside another app."""
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/") + path
