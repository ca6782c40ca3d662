"""Bellwire as operators run it: `bellwire serve` processes on a real PostgreSQL and a real Valkey."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec
from redis.asyncio import Redis

from hub.core.model import InboxKey
from hub.keyring import DEFAULT_TENANT, Keyring
from hub.settings import Settings
from hub.store.migrate import migrate
from tests.benchmarks.gateway.http import Poster, poster
from tests.benchmarks.gateway.processes import running
from tests.support.ports import free_port
from tests.support.postgres import postgres_server
from tests.support.valkey import valkey_server

API_KEY = "an-api-key-for-benchmarks"
JWT_SECRET = "a-secret-for-benchmarks-of-32-bytes-or-more"
ROOM = 19_000
"""Connections that a node takes here; its process may have 20,000 descriptors."""

KEYRING = Keyring.from_settings(Settings(), API_KEY, JWT_SECRET)
_TOKEN_MS = 4 * 3_600_000


@dataclass(frozen=True, slots=True)
class Services:
    """What nodes stand on, with the process ids to measure."""

    postgres_url: str
    postgres: int
    redis_url: str
    redis: int

    @property
    def env(self) -> dict[str, str]:
        """The environment of every node: limits of the test machine out of the way, nothing else changed."""
        return {
            "BELLWIRE_DATABASE_URL": self.postgres_url,
            "BELLWIRE_REDIS_URL": self.redis_url,
            "BELLWIRE_API_KEY": API_KEY,
            "BELLWIRE_JWT_SECRET": JWT_SECRET,
            "BELLWIRE_WORKER": "false",
            "BELLWIRE_LOG_LEVEL": "warning",
            "BELLWIRE_CONNECTIONS": str(ROOM),
            "BELLWIRE_PER_USER_CONNECTIONS": str(ROOM),
            "BELLWIRE_MAX_STRANGERS": str(ROOM),
            "BELLWIRE_STRANGERS_PER_ADDRESS": str(ROOM),
            "BELLWIRE_ADMISSION_RATE": "0",
        }


@dataclass(frozen=True, slots=True)
class Node:
    """One `bellwire serve` process."""

    pid: int
    port: int

    def publisher(self) -> AbstractAsyncContextManager[Poster]:
        """A connection for `POST /v1/notifications`."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
        return poster(self.port, "/v1/notifications", headers)


@asynccontextmanager
async def services() -> AsyncIterator[Services]:
    """Run PostgreSQL (on the disk, fsync on) and Valkey (no persistence), with an empty schema."""
    with postgres_server(durable=True) as postgres_url, valkey_server() as valkey:
        folder = Path(postgres_url.partition("?host=")[2])
        postgres = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        async with Redis.from_url(valkey.url) as client:
            redis = int((await client.info("server"))["process_id"])
        yield Services(postgres_url, postgres, valkey.url, redis)


@asynccontextmanager
async def fresh(shared: Services, name: str) -> AsyncIterator[Services]:
    """Give a case a database of its own, with the schema, and an empty Redis."""
    async with Redis.from_url(shared.redis_url) as client:
        await client.flushall()
    connection = await asyncpg.connect(shared.postgres_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
        await connection.execute(f'CREATE DATABASE "{name}"')
        url = shared.postgres_url.replace("/postgres?", f"/{name}?")
        await migrate(url)
        yield Services(url, shared.postgres, shared.redis_url, shared.redis)
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@contextmanager
def node(on: Services, cores: Collection[int], folder: Path) -> Iterator[Node]:
    """Run a node."""
    port = free_port()
    with running(
        [str(Path(sys.executable).with_name("bellwire")), "serve", "--port", str(port)],
        log=folder / f"bellwire-{port}.log",
        ready=lambda: _ready(port),
        cores=cores,
        env=on.env,
    ) as pid:
        yield Node(pid, port)


def token(user: str) -> str:
    """A user's JWT."""
    return KEYRING.issue(key(user), time.time_ns() // 1_000_000, _TOKEN_MS)


def key(user: str) -> InboxKey:
    return InboxKey(DEFAULT_TENANT, user)


def name_of(number: int) -> str:
    """The id of user number n."""
    return f"user-{number:06d}"


def notification(title: str, *users: str) -> bytes:
    """A request body for `Node.publisher`."""
    return msgspec.json.encode({"recipients": users, "title": title})


def authorization(user: str) -> str:
    return f"Authorization: Bearer {token(user)}"


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/readyz")
        ready = connection.getresponse().status == 200
        connection.close()
        return ready
    return False
