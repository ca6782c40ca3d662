"""How this package reaches Redis: without redis-py's own retries, and without the password in any message."""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from hub.core.errors import ConfigurationError

PREFIX = "bellwire:"
"""What every key and channel of ours begins with."""


def connection_pool(url: str) -> ConnectionPool:
    """Return a pool of connections that never retry; its users put `asyncio.timeout` around what they ask.

    redis-py's own `socket_timeout` is off, as it goes by `asyncio.wait_for`, which in Python 3.11 can swallow a
    cancellation. RESP2 is asked for whatever the URL says: it answers on a subscribed connection in one shape.

    Raises:
        ConfigurationError: the URL is not one of Redis.

    """
    try:
        options: dict[str, Any] = {**parse_url(url)}
        options |= {
            "socket_timeout": None,
            "protocol": 2,
            "decode_responses": False,
            "health_check_interval": 0,
            "retry": Retry(NoBackoff(), 0),
            "client_name": "bellwire",
        }
        pool = ConnectionPool(**options)
        new_connection(pool)
    except (TypeError, ValueError):
        # `from None`: the original's text can quote the URL, and with it the password.
        raise ConfigurationError("the Redis URL cannot be understood; see docs/deploying.md") from None
    return pool


def new_connection(pool: ConnectionPool) -> AbstractConnection:
    """Return a connection of one's own, not connected yet and unknown to the pool."""
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's gap
    return connection


def where(pool: ConnectionPool) -> str:
    """Name the server for the log, without credentials."""
    options = pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def compound(tenant: str, user: str) -> bytes:
    """Join two names into one that no other pair gives, whatever characters they hold."""
    return f"{len(tenant)}:{tenant}{user}".encode(errors="surrogatepass")
