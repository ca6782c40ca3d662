"""Reading a Redis URL: one server, a Sentinel service, or a cluster; and never repeating the password in it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from redis.asyncio.connection import ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.core.errors import ConfigurationError

_SEVERAL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>sentinel|cluster)://(?P<login>[^/?#]*@)?(?P<hosts>[^@/?#]+)(?P<path>/[^?#]*)?(?P<query>\?.*)?"
)


class Server(NamedTuple):
    """Where one server is. A Unix socket is a path with port 0."""

    host: str
    port: int
    generation: int = 0
    """Counts up when the name has come to stand for another machine."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


class Kind(Enum):
    """How the servers belong together."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection says first, and whether it is encrypted. Holds the password: never log one."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: ssl.SSLContext | None = None
    primary_only: bool = False
    """Refuse a server that says it is a replica (Sentinel may name one that has just been demoted)."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a Redis URL says."""

    kind: Kind
    seeds: tuple[Server, ...]
    """The server; or the sentinels; or some servers of the cluster."""
    login: Login
    sentinel_login: Login
    service: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """For redis-py: everything but where."""

    def __str__(self) -> str:
        """Name the servers for the log, without credentials."""
        return ",".join(map(str, self.seeds))

    def pool(self, server: Server) -> ConnectionPool:
        """Return redis-py connections to one server. They never retry; their users put `asyncio.timeout` around.

        redis-py's own `socket_timeout` is off, as it goes by `asyncio.wait_for`, which in Python 3.11 can swallow a
        cancellation.
        """
        where = {"host": server.host, "port": server.port} if server.port else {"path": server.host}
        return ConnectionPool(**self.options, **where)


def read_url(url: str) -> Address:
    """Understand `redis://`, `rediss://`, `unix://`, `redis+sentinel://` and `redis+cluster://` (see docs/redis.md).

    Raises:
        ConfigurationError: the URL is none of these.

    """
    try:
        several = _SEVERAL.fullmatch(url)
        return _single(url) if several is None else _several(**several.groupdict(default=""))
    except (TypeError, ValueError, OSError, RedisError):
        # `from None`: the original's text can quote the URL, and with it the password.
        raise ConfigurationError("the Redis URL cannot be understood; see docs/redis.md") from None


def _single(url: str) -> Address:
    options: dict[str, Any] = {**parse_url(url)}
    server = Server(options.pop("path"), 0) if "path" in options else _server_in(options, 6379)
    return _address(Kind.SINGLE, (server,), options)


def _several(*, scheme: str, kind: str, login: str, hosts: str, path: str, query: str) -> Address:
    sentinel = kind == "sentinel"
    service, _, db = path.removeprefix("/").partition("/") if sentinel else ("", "", path.removeprefix("/"))
    if sentinel is not bool(service) or (db and not db.isdecimal()) or (not sentinel and db not in {"", "0"}):
        raise ValueError("no such service or database")
    parsed: list[dict[str, Any]] = [{**parse_url(f"{scheme}://{login}{host}/{db}{query}")} for host in hosts.split(",")]
    seeds = tuple(_server_in(options, 26379 if sentinel else 6379) for options in parsed)
    return _address(Kind(kind), seeds, parsed[0], service)


def _server_in(options: dict[str, Any], port: int) -> Server:
    return Server(options.pop("host", "localhost"), options.pop("port", port))


def _address(kind: Kind, seeds: tuple[Server, ...], options: dict[str, Any], service: str = "") -> Address:
    sentinel_username, sentinel_password = (
        options.pop("sentinel_username", None),
        options.pop("sentinel_password", None),
    )
    options |= {
        "socket_timeout": None,
        "protocol": 2,
        "decode_responses": False,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "bellwire",
    }
    # redis-py reads the TLS options, and refuses what it does not know.
    connection = ConnectionPool(**options).make_connection()  # type: ignore[no-untyped-call]  # redis-py's gap
    tls = connection.ssl_context.get() if isinstance(connection, SSLConnection) else None
    login = Login(
        username=options.get("username"),
        password=options.get("password"),
        db=options.get("db") or 0,
        tls=tls,
        primary_only=kind is Kind.SENTINEL,
    )
    sentinel_login = Login(username=sentinel_username, password=sentinel_password, tls=tls)
    return Address(kind, seeds, login, sentinel_login, service, options)
