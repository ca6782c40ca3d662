"""What every case is given: databases with a full queue, workers, and when they are done."""

# ruff: noqa: S608 - names of the project's own tables

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import asyncpg

from hub.core.ids import uuid7
from hub.core.model import Channel, NewDelivery, Publication, Rung, Step, When
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from hub.store.tables import deliveries, inbox_items, notifications
from tests.benchmarks.fallback.told import Told
from tests.benchmarks.fallback.worker import SENT
from tests.benchmarks.gateway import cpu
from tests.benchmarks.gateway.bellwire import Services, fresh, key, name_of
from tests.benchmarks.publish.publisher import now as now_ms
from tests.benchmarks.publish.publisher import publication as notification

BLOCKS = 3
"""A figure is the median of so many blocks."""
USERS = 2_000
BATCH = 1_000
LATER = 24 * 3_600_000
"""Milliseconds: due when no benchmark runs any more."""

WARM_UP = 10
"""The first of so many parts of a queue warms up, and does not count."""

_LOOK = 0.01
"""Seconds between looks how much was sent, and whether that has been settled too."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The settings of a run."""

    quick: bool
    folder: Path
    services: Services

    @property
    def deliveries(self) -> int:
        """How many a block works off, or adds."""
        return 2_000 if self.quick else 30_000

    @property
    def backlog(self) -> int:
        """How many are queued for later where the queue is long."""
        return 20_000 if self.quick else 1_000_000

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Services]:
        """Lend an empty database with the schema and 2,000 users who have an e-mail address; and an empty Redis."""
        async with fresh(self.services, "bench_fallback") as own:
            connection = await asyncpg.connect(own.postgres_url)
            tenant, now = key("").tenant, now_ms()
            await connection.copy_records_to_table(
                "users",
                columns=["tenant", "user_id", "email", "created_at", "updated_at"],
                records=[(tenant, user, f"{user}@example.com", now, now) for user in map(name_of, range(USERS))],
            )
            await connection.close()
            yield own


def publication(number: int, after: int, at: int) -> Publication:
    """A notification to one user, with an e-mail `after` so many milliseconds unless it has been seen."""
    step = Step(Channel.EMAIL, after, Rung.SEEN)
    user = name_of(number % USERS)
    plain = notification([user], number)
    delivery = NewDelivery(
        id=uuid7(at),
        step=0,
        channel=step.channel,
        due_at=at + after,
        unless=step.unless,
        when=When.ALWAYS,
        user=user,
    )
    return replace(plain, content=replace(plain.content, created_at=at, plan=(step,)), deliveries=(delivery,))


async def fill(url: str, count: int, *, after: int = 0) -> None:
    """Publish so many notifications, each with a delivery that is due after so many milliseconds."""
    await publish(url, count, after=after)
    await _tidied(url)


async def publish(url: str, count: int, *, after: int = 0) -> None:
    """Do so, and leave the tables as that leaves them."""
    async with await open_database(url) as database:
        store = SqlInboxStore(database)
        for first in range(0, count, BATCH):
            at, numbers = now_ms(), range(first, min(first + BATCH, count))
            await store.publish_all([publication(number, after, at) for number in numbers], at)


async def multiply(url: str, times: int) -> None:
    """Copy everything that was published so often that there is so many times as much of it.

    As rows: to publish a million takes some minutes. They differ in their ids only.
    """
    connection = await asyncpg.connect(url)
    await connection.execute(
        f"CREATE TEMP TABLE made AS SELECT id AS was, uuidv7() AS id FROM notifications, generate_series(2, {times})"
    )
    for table, names in {
        notifications: {"id": "made.id"},
        inbox_items: {"notification_id": "made.id"},
        deliveries: {"notification_id": "made.id", "id": "uuidv7()"},
    }.items():
        own = "id" if table is notifications else "notification_id"
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        values = ", ".join(names.get(column.name, f'{table.name}."{column.name}"') for column in table.columns)
        await connection.execute(
            f"INSERT INTO {table.name} ({columns}) SELECT {values} FROM made JOIN {table.name} "
            f"ON {table.name}.{own} = made.was"
        )
    await connection.close()
    await _tidied(url)


async def _tidied(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM wakeups")  # a node would have told everybody by now
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def worker(on: Services, cores: Collection[int], *, takes: float = 0, times: bool = False) -> Told:
    """A worker process whose provider does nothing, but takes its time for it: so many seconds.

    It tells how many it has sent whenever it has sent more; with `times`, in the end, when each was sent.
    """
    env = {**on.env, "BELLWIRE_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "tests.benchmarks.fallback.worker", str(takes), *(["times"] if times else [])]
    return Told(command, cores, env)


class WorkedOff(NamedTuple):
    """What it took to work a queue off, for each delivery or job."""

    rate: float
    """A second."""
    worker: float
    """Microseconds of processor time; of all workers together."""
    store: float
    """The same of PostgreSQL or Valkey."""

    @classmethod
    def median(cls, blocks: Sequence[WorkedOff]) -> WorkedOff:
        """Return the block with the median rate."""
        return sorted(blocks)[len(blocks) // 2]


class Meter:
    """The time by the clock, and the processor time of workers and their store, from now on."""

    def __init__(self, workers: Sequence[int], store: int) -> None:
        """Begin; the processes are given by their ids."""
        self._meters = [cpu.Meter(pid) for pid in (*workers, store)]
        for meter in self._meters:
            meter.start()

    def read(self, count: int) -> WorkedOff:
        """Say what each of so many deliveries or jobs took."""
        *workers, store = [meter.read() for meter in self._meters]
        each = [spent.cpu / count * 1e6 for spent in workers]
        return WorkedOff(count / store.wall, sum(each), store.cpu / count * 1e6)


async def work_off(on: Services, count: int, cores: Collection[Collection[int]], *, takes: float = 0) -> WorkedOff:
    """Let a worker for each set of cores work a full queue off.

    Raises:
        AssertionError: not every delivery was sent.

    """
    connection = await asyncpg.connect(on.postgres_url)
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(on, own, takes=takes)) for own in cores]
        sent = await stack.enter_async_context(Sent(workers))
        for each in workers:
            each.go()
        warm = await sent.reach(count // WARM_UP)
        meter = Meter([each.pid for each in workers], on.postgres)
        await sent.reach(count)
        while await connection.fetchval(_OPEN):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(_LOOK)
        took = meter.read(count - warm)
    sent = await connection.fetchval("SELECT count(*) FROM deliveries WHERE state = 'sent'")
    await connection.close()
    assert sent == count
    return took


class Sent:
    """How many deliveries some workers have sent together; they tell for the length of its block."""

    def __init__(self, workers: Sequence[Told]) -> None:
        self._sent = dict.fromkeys(workers, 0)
        self._following: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._following = [asyncio.create_task(self._follow(each)) for each in self._sent]
        return self

    async def __aexit__(self, *_failure: object) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    async def reach(self, count: int) -> int:
        """Return once they are so many, and how many they are then.

        Raises:
            ServerFailed: a worker ended.
            TimeoutError: a worker said nothing for too long.

        """
        while (sent := sum(self._sent.values())) < count:
            ended, _ = await asyncio.wait(self._following, timeout=_LOOK, return_when=asyncio.FIRST_EXCEPTION)
            for task in ended:
                task.result()
        return sent

    async def _follow(self, each: Told) -> None:
        while True:
            self._sent[each] = int((await each.line()).removeprefix(SENT))


_OPEN = "SELECT EXISTS (SELECT FROM deliveries WHERE state = 'sending')"
