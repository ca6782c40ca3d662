"""`bellwire serve` processes on one PostgreSQL and one Valkey, and publishers who keep account of what was stored."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import httpx2

from hub.core.model import InboxKey
from hub.keyring import Keyring
from hub.settings import Settings
from tests.support.fleet import Fleet
from tests.support.process import BellwireProcess
from tests.support.usage import PROBE

API_KEY = "an-api-key-for-tests"
JWT_SECRET = "a-secret-for-tests-of-32-bytes-or-more"
PATIENCE = 60.0
_KEYRING = Keyring.from_settings(Settings(), API_KEY, JWT_SECRET)
_LOOK_AGAIN = 0.05
"""Seconds between two looks at what announces nothing."""
_LAST_WORDS = 4000
"""Characters of a node's output that go with a failure."""
_TOKEN_TTL = 6 * 3_600_000


def token(user: str) -> str:
    """Issue a user's token, good for longer than any test."""
    return _KEYRING.issue(InboxKey("default", user), time.time_ns() // 1_000_000, _TOKEN_TTL)


class Cluster:
    """The nodes, and what publishers were promised."""

    def __init__(self, database_url: str, redis_url: str, nodes: int, settings: Mapping[str, str]) -> None:
        env = {
            "BELLWIRE_ENV": "production",
            "BELLWIRE_HOST": "127.0.0.1",
            "BELLWIRE_DATABASE_URL": database_url,
            "BELLWIRE_REDIS_URL": redis_url,
            "BELLWIRE_API_KEY": API_KEY,
            "BELLWIRE_JWT_SECRET": JWT_SECRET,
            **PROBE,
            **settings,
        }
        self.nodes = [BellwireProcess("serve", env=env) for _ in range(nodes)]
        self.promised: dict[str, set[str]] = defaultdict(set)
        """By user: ids of the notifications that a 201 stands for."""
        self.http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {API_KEY}"}, timeout=PATIENCE, trust_env=False
        )
        self._keys = 0

    @property
    def ports(self) -> list[int]:
        return [node.port for node in self.nodes]

    async def publish(self, port: int, users: Sequence[str], *, key: str | None = None, **fields: Any) -> str:
        """Publish and return the id; the item carries in `data.at` when that was.

        Raises:
            httpx2.TransportError: the node does not answer.

        """
        body = {"title": "t", "recipients": list(users), "data": {"at": time.perf_counter_ns()}, **fields}
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await self.http.post(f"http://127.0.0.1:{port}/v1/notifications", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        notification = str(answer.json()["id"])
        for user in users:
            self.promised[user].add(notification)
        return notification

    async def publish_somewhere(self, users: Sequence[str], first: int) -> str:
        """Publish as every publisher should: again, at the other node, under the same key, when one is away."""
        self._keys += 1
        key = f"somewhere-{self._keys}"
        async with asyncio.timeout(PATIENCE):
            for turn in range(first, first + 10_000):
                try:
                    return await self.publish(self.ports[turn % len(self.nodes)], users, key=key)
                except httpx2.TransportError:
                    await asyncio.sleep(_LOOK_AGAIN)
        raise AssertionError("no node answers")

    async def connections_of(self, user: str) -> int:
        """Return how many connections presence knows of."""
        answer = await self.http.get(f"http://127.0.0.1:{self.ports[0]}/v1/users/{user}/presence")
        assert answer.status_code == 200, answer.text
        return int(answer.json()["connections"])

    async def metrics(self, node: int = 0) -> dict[str, float]:
        """Read a node's counters from `/metrics`, by name with labels as written there."""
        answer = await self.http.get(f"http://127.0.0.1:{self.ports[node]}/metrics")
        assert answer.status_code == 200, "this needs /metrics"
        lines = (line for line in answer.text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def check_promises(self, fleet: Fleet) -> None:
        """Check that every client holds exactly what was promised to its user."""
        for member in fleet.members:
            assert set(member.client.items) == self.promised[member.user]

    def check_logs(self) -> None:
        """Check that nothing failed that nobody expects to fail."""
        for node in self.nodes:
            assert "Traceback" not in node.output, node.output[-5000:]
            assert '"level":"error"' not in node.output.replace(" ", ""), node.output[-5000:]


@asynccontextmanager
async def open_cluster(
    database_url: str, redis_url: str, nodes: int = 2, settings: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Cluster]:
    """Run nodes; `settings` are further `BELLWIRE_…` variables. At the end the logs are checked."""
    cluster = Cluster(database_url, redis_url, nodes, settings)
    try:
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in cluster.nodes))
        yield cluster
    except BaseException as error:
        for node in cluster.nodes:
            error.add_note(f"{node.url} said at the end:\n{node.output[-_LAST_WORDS:]}")
        raise
    finally:
        await cluster.http.aclose()
        await asyncio.gather(*(asyncio.to_thread(node.stop) for node in cluster.nodes))
    cluster.check_logs()


async def until(look: Callable[[], Awaitable[bool]], patience: float = PATIENCE) -> None:
    """Wait for something outside this process that announces nothing.

    Raises:
        TimeoutError: it did not come.

    """
    async with asyncio.timeout(patience):
        while not await look():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_LOOK_AGAIN)
