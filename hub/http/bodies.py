"""Reading JSON bodies: bounded, strict, and with errors that point at what is wrong."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from hub.core.errors import BodyTooLarge, InvalidRequest, MalformedBody, UnsupportedMediaType

T = TypeVar("T")

MAX_BODY = 64 * 1024
"""Bytes that a call accepts unless it says otherwise (a mark with 1,000 ids is 40 kB)."""

_POINTER = re.compile(r" - at `(?:key in )?(\$[^`]*)`\Z")
_UNKNOWN_FIELD = re.compile(r"\AObject contains unknown field `([A-Za-z_][A-Za-z0-9_-]{0,63})`")
_MISSING_FIELD = re.compile(r"\AObject missing required field `([A-Za-z_][A-Za-z0-9_]{0,63})`")


async def read_json(
    request: Request, decoder: msgspec.json.Decoder[T], *, limit: int = MAX_BODY, declared: bool = False
) -> T:
    """Read and decode the body. With `declared`, its content type has to be given (no form can send it then).

    Raises:
        UnsupportedMediaType: the content type is given and is not JSON in UTF-8.
        BodyTooLarge: more than `limit` bytes; the rest is not read.
        MalformedBody: not JSON (NaN and lone surrogates are not), not UTF-8, or nested too deeply.
        InvalidRequest: another shape than the decoder's, pointing at the place.

    """
    require_json(request, declared=declared)
    return decode_json(await read_body(request, limit), decoder)


async def read_json_or(default: T, request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """Read and decode the body, or take `default` where none was sent; raises as `read_json` does."""
    body = await read_body(request, MAX_BODY)
    if not body:
        return default
    require_json(request, declared=False)
    return decode_json(body, decoder)


async def read_body(request: Request, limit: int) -> bytes:
    """Read at most `limit` bytes.

    Raises:
        BodyTooLarge: there are more.

    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > len(str(limit)) or int(announced) > limit):
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:  # not by `request.stream()`, whose generator costs as much as all the rest of this
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunk


def decode_json(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON strictly.

    Raises:
        MalformedBody, InvalidRequest: see `read_json`.

    """
    if not body.strip():
        raise MalformedBody("the body is empty; this call needs a JSON object")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except msgspec.DecodeError as error:
        raise MalformedBody(str(error)) from None
    except UnicodeDecodeError:
        raise MalformedBody("the body is not valid UTF-8") from None
    except RecursionError:
        raise MalformedBody("the body is nested too deeply") from None


def require_json(request: Request, *, declared: bool) -> None:
    """Check the content type, which has to be given if `declared`.

    Raises:
        UnsupportedMediaType: it is not JSON in UTF-8.

    """
    content_type = request.headers.get("content-type")
    if content_type is None:
        if declared:
            raise UnsupportedMediaType("send Content-Type: application/json")
        return
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType("send Content-Type: application/json")
    for parameter in parameters:
        if parameter.startswith("charset=") and parameter[8:].strip('"') not in {"utf-8", "utf8"}:
            raise UnsupportedMediaType("JSON is always UTF-8 (RFC 8259); leave the charset out")


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"this call accepts at most {limit:,} bytes")


def _invalid(message: str) -> InvalidRequest:
    """Split msgspec's message into what is wrong and where."""
    match = _POINTER.search(message)
    pointer = "$" if match is None else match[1]
    text = message if match is None else message[: match.start()]
    field = _UNKNOWN_FIELD.match(text) or _MISSING_FIELD.match(text)
    return InvalidRequest(text, pointer=pointer if field is None else f"{pointer}.{field[1]}")
