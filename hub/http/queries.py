"""Reading query strings as strictly as bodies: an unknown parameter is a typo that would change the answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from starlette.requests import HTTPConnection

from hub.core.errors import InvalidRequest


def read_query(request: HTTPConnection, known: Collection[str]) -> Mapping[str, str]:
    """Return the query parameters, each known and given once.

    Raises:
        InvalidRequest: naming the parameter.

    """
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            some = ", ".join(sorted(known)) or "none"
            raise InvalidRequest(f"is not a query parameter of this call; known: {some}", pointer=name[:64])
        if name in values:
            raise InvalidRequest("is given twice", pointer=name)
        values[name] = value
    return values


def read_flag(values: Mapping[str, str], name: str) -> bool:
    """Read `true` or `false`; absent is false."""
    value = values.get(name, "false")
    if value not in {"true", "false"}:
        raise InvalidRequest("must be true or false", pointer=name)
    return value == "true"


def read_int(values: Mapping[str, str], name: str, default: int, *, at_least: int, at_most: int) -> int:
    """Read a decimal number within bounds."""
    text = values.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(at_most))):
        raise InvalidRequest(f"must be a number from {at_least} to {at_most}", pointer=name)
    number = int(text)
    if not at_least <= number <= at_most:
        raise InvalidRequest(f"must be a number from {at_least} to {at_most}", pointer=name)
    return number
