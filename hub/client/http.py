"""What both drivers share of HTTP: addresses, headers, and how httpx2's answers and errors are understood."""

from __future__ import annotations

import re
import time
from typing import Final
from urllib.parse import urlsplit

import httpx2

from hub.client.calls import Answer, Broken, Call
from hub.client.tries import Patience
from hub.core.errors import ConfigurationError

LIMITS: Final = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=3.0)
"""Servers close idle connections after 5 s; whoever lets go later sends calls into connections that just ended."""

_CREDENTIAL = re.compile(r"[\x21-\x7e]+", re.ASCII)
_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
"""What goes wrong before the first byte of a request has left."""


def address(url: str) -> str:
    """Return a hub's address without a slash at its end; it may have a path, where the hub is mounted in another app.

    Raises:
        ConfigurationError: it is not an http or https URL, or has more in it than a place.

    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine:
        raise ConfigurationError("the hub's URL must be like https://bell.example.com")
    if parts.query or parts.fragment or parts.username is not None:
        raise ConfigurationError("the hub's URL must have no user, query or fragment: credentials go beside it")
    return (parts.scheme + url[len(parts.scheme) :]).rstrip("/")


def bearer(credential: str, what: str) -> str:
    """Return the value of an Authorization header.

    Raises:
        ConfigurationError: it cannot stand in a header; the message does not show it.

    """
    if _CREDENTIAL.fullmatch(credential) is None:
        raise ConfigurationError(f"{what} must be text of printable ASCII characters, without spaces or line breaks")
    return f"Bearer {credential}"


def headers_of(call: Call[object], authorization: str) -> dict[str, str]:
    """Return the headers of a call."""
    headers = {"Authorization": authorization, "Accept": "application/json"}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.key is not None:
        headers["Idempotency-Key"] = call.key
    return headers


def timeout_of(patience: Patience) -> httpx2.Timeout:
    """Return what one attempt may take."""
    return httpx2.Timeout(patience.timeout, connect=patience.connect_timeout)


def answer_of(response: httpx2.Response) -> Answer:
    """Return an answer that has been read whole."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content, int(time.time() * 1000))


def broken_by(error: httpx2.RequestError) -> Broken:
    """Return what an error of httpx2 means for the call."""
    return Broken(f"{type(error).__name__}: {error}".rstrip(": "), sent=not isinstance(error, _UNSENT))
