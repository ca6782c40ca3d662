"""`bellwire archive` as an operator runs it: beside a node, with bad input, and killed in the middle."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from hub.core.model import InboxKey, MarkAction
from hub.store.clock import DatabaseClock
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.tables import attempts, deliveries, inbox_items, notifications, shared_items
from tests.support.archive import DAY
from tests.support.inboxes import TENANT, check_inbox, ids, publication
from tests.support.process import PATIENCE, BellwireProcess
from tests.support.shared_inboxes import check, to

BELLWIRE = str(Path(sys.executable).with_name("bellwire"))
USERS = [f"user-{number}" for number in range(5)]


def environment(**env: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")}
    return {**inherited, "COLUMNS": "200", **env}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BELLWIRE, "archive", *arguments],
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob("*/*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def unfinished(folder: Path) -> list[Path]:
    return list(folder.glob("*/.*.part"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with await open_database(database_url, exclusive=False) as opened:
        yield opened


@pytest.fixture
async def store(database: Database) -> SqlInboxStore:
    return SqlInboxStore(database)


async def now_of(database: Database) -> int:
    clock = DatabaseClock(database)
    await clock.sync()
    return clock.now()


async def fill(database: Database, store: SqlInboxStore, count: int) -> None:
    """Publish old notifications, some of them to everybody, and one of today."""
    now = await now_of(database)
    for user in USERS:
        await store.head(InboxKey(TENANT, user))
    old = [now - 100 * DAY + number for number in range(count)]
    made = [to("", now=at) if at % 5 == old[0] % 5 else publication(*USERS, now=at) for at in old]
    await store.publish_all(made, old[-1])
    for number, each in enumerate(made):
        if each.audience is not None:
            key = InboxKey(TENANT, USERS[number % 3])
            await store.mark(key, MarkAction.READ, ids(each.content.id), now)
    await store.publish(publication(USERS[0], now=now), now)


async def test_old_ones_go_to_files_and_a_second_run_has_nothing_to_do(
    database: Database, store: SqlInboxStore, database_url: str, tmp_path: Path
) -> None:
    await fill(database, store, 10)
    env = {"BELLWIRE_DATABASE_URL": database_url}
    planned = run("--older-than", "90d", "--to", str(tmp_path / "unused"), "--dry-run", **env)
    assert (planned.returncode, planned.stdout) == (
        0,
        "default: 10 looked at, nothing to write\n10 notifications would be archived\n",
    )
    assert not (tmp_path / "unused").exists()
    done = run("--older-than", "90d", "--to", str(tmp_path), **env)
    assert done.returncode == 0, done.stderr
    assert "10 notifications archived in 1 files (" in done.stdout
    assert Counter(line["kind"] for line in lines_of(tmp_path)) == {
        "notification": 10, "item": 40, "shared_event": 4, "shared_item": 2
    }  # fmt: skip
    again = run("--older-than", "90d", "--to", str(tmp_path), **env)
    assert again.stdout == "0 notifications archived\n"
    assert (await check(database, InboxKey(TENANT, USERS[0]))).counts == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--older-than", "90"], "--older-than must be an age such as 90d, 12w or 36h"),
        (["--older-than", "0d"], "--older-than must be an age"),
        (["--older-than", "90d", "--to", "/dev/null/x"], "cannot be written to"),
        (["--older-than", "90d", "--to", "s3://bucket"], "s3fs"),
        (["--older-than", "90d", "--tenant", "a\nb"], "--tenant"),
    ],
)
def test_bad_input(arguments: list[str], message: str, sqlite_url: str, tmp_path: Path) -> None:
    given = [*arguments, *([] if "--to" in arguments else ["--to", str(tmp_path)])]
    refused = run(*given, BELLWIRE_DATABASE_URL=sqlite_url)
    assert refused.returncode == 2, refused.stderr
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_a_schema(tmp_path: Path) -> None:
    refused = run("--older-than", "90d", "--to", str(tmp_path), BELLWIRE_DATA_DIR=str(tmp_path))
    assert refused.returncode == 2
    assert "bellwire migrate" in refused.stderr


def test_a_database_that_is_away(tmp_path: Path) -> None:
    url = "postgresql://127.0.0.1:1/x"
    refused = run("--older-than", "90d", "--to", str(tmp_path), BELLWIRE_DATABASE_URL=url)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


@pytest.fixture(params=["sqlite alone", "postgresql and redis"])
def node_environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    secrets = {"BELLWIRE_DATA_DIR": str(tmp_path / "data"), "BELLWIRE_API_KEY": "k", "BELLWIRE_JWT_SECRET": "s" * 32}
    if request.param == "sqlite alone":
        return {**secrets, "BELLWIRE_DATABASE_URL": request.getfixturevalue("sqlite_url")}
    return {
        **secrets,
        "BELLWIRE_DATABASE_URL": request.getfixturevalue("postgres_url"),
        "BELLWIRE_REDIS_URL": request.getfixturevalue("flushed_redis_url"),
    }


async def test_beside_a_node_whose_clients_are_told(node_environment: dict[str, str], tmp_path: Path) -> None:
    """A node on SQLite owns the file; the archive works beside it, and the node tells its clients of it."""
    env = node_environment
    async with await open_database(env["BELLWIRE_DATABASE_URL"], exclusive=False) as database:
        await fill(database, SqlInboxStore(database), 5)
    user = USERS[0]
    with BellwireProcess("serve", env=env) as hub:
        issued = await asyncio.to_thread(
            subprocess.run,
            [BELLWIRE, "token", "--user", user],
            env=environment(**env),
            capture_output=True,
            text=True,
            check=True,
        )
        headers = {"Authorization": f"Bearer {issued.stdout.strip()}"}
        async with httpx2.AsyncClient(base_url=hub.url, headers=headers, trust_env=False, timeout=PATIENCE) as client:
            cursor = (await client.get("/v1/inbox")).json()["cursor"]
            waiting = asyncio.ensure_future(client.get("/v1/poll", params={"cursor": cursor, "timeout": 20}))
            done = await asyncio.to_thread(run, "--older-than", "90d", "--to", str(tmp_path / "to"), **env)
            assert done.returncode == 0, done.stderr
            told = (await waiting).json()
            # Over the bus comes what changed; otherwise, that it is worth a look, when the change is no more.
            expected = "change" if "BELLWIRE_REDIS_URL" in env else "resync"
            assert expected in {frame["type"] for frame in told["frames"]}
            assert len((await client.get("/v1/inbox")).json()["data"]) == 1


async def until_somebody_waits(database: Database) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while True:
        async with database.reader() as connection:
            if (await connection.execute(waiting)).scalar_one():
                return


@asynccontextmanager
async def stopped_while_writing(database: Database) -> AsyncIterator[None]:
    """Have the archive wait at its first look at who touched what: others' items are written by then."""
    async with database.writer() as connection:
        await connection.exec_driver_sql("LOCK TABLE shared_items IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def stopped_while_dropping(database: Database) -> AsyncIterator[None]:
    """Have the archive wait for the last notification of those that it drops first, in its second transaction."""
    own = sa.select(notifications.c.id).where(notifications.c.topic.is_(None))
    last = own.order_by(notifications.c.id.desc()).offset(1).limit(1).with_for_update()  # the very last is new
    async with database.writer() as connection:
        assert (await connection.execute(last)).first() is not None
        yield


@pytest.mark.parametrize("stopped", [stopped_while_writing, stopped_while_dropping])
async def test_killed_at_its_work_nothing_is_lost(
    postgres_url: str, tmp_path: Path, stopped: Callable[[Database], AbstractAsyncContextManager[None]]
) -> None:
    async with await open_database(postgres_url) as database:
        await fill(database, SqlInboxStore(database), 250)
        before = await stored(database)
        process = await started(postgres_url, tmp_path)
        async with stopped(database), asyncio.timeout(PATIENCE):
            await until_somebody_waits(database)
            process.kill()
            await process.wait()
        dropped = before["notification"] - (await stored(database))["notification"]
        assert bool(dropped) == (stopped is stopped_while_dropping)
        assert unfinished(tmp_path) != [] or dropped
        await goes_on(database, before, postgres_url, tmp_path)


async def test_killed_on_sqlite_nothing_is_lost(sqlite_url: str, tmp_path: Path) -> None:
    async with await open_database(sqlite_url, exclusive=False) as database:
        await fill(database, SqlInboxStore(database), 250)
        before = await stored(database)
        process = await started(sqlite_url, tmp_path)
        async with asyncio.timeout(PATIENCE):
            killed = False
            while not killed:
                async with database.writer():  # its next transaction waits for us
                    if len((await stored(database))["notification"]) < len(before["notification"]):
                        process.kill()
                        await process.wait()
                        killed = True
        await goes_on(database, before, sqlite_url, tmp_path)


async def started(url: str, to: Path) -> asyncio.subprocess.Process:
    command = [BELLWIRE, "archive", "--older-than", "90d", "--to", str(to)]
    env = environment(BELLWIRE_DATABASE_URL=url)
    return await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.DEVNULL)


async def goes_on(database: Database, before: dict[str, set[Any]], url: str, to: Path) -> None:
    """Check that what is not in the database is in a file, now and after another run, which ends what was begun."""
    nothing_is_lost(before, await stored(database), lines_of(to))
    done = await asyncio.to_thread(run, "--older-than", "90d", "--to", str(to), BELLWIRE_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    after = await stored(database)
    lines = lines_of(to)
    nothing_is_lost(before, after, lines)
    times = Counter(line["id"] for line in lines if line["kind"] == "notification")
    assert set(times) == before["notification"] - after["notification"]
    assert len(after["notification"]) == 1
    assert max(times.values()) <= 2
    for user in USERS:
        await check(database, InboxKey(TENANT, user))
        await check_inbox(database, InboxKey(TENANT, user))


KEYS = {
    "notification": (notifications, ("id",)),
    "item": (inbox_items, ("user_id", "notification_id")),
    "delivery": (deliveries, ("id",)),
    "attempt": (attempts, ("delivery_id", "number", "endpoint")),
    "shared_item": (shared_items, ("user_id", "position")),
}


async def stored(database: Database) -> dict[str, set[Any]]:
    """Read the keys of all rows, by kind."""
    found: dict[str, set[Any]] = {}
    async with database.reader() as connection:
        for kind, (table, key) in KEYS.items():
            rows = await connection.execute(sa.select(*(table.c[name] for name in key)))
            found[kind] = {_key(*row) for row in rows}
    return found


def _key(*columns: object) -> object:
    key = tuple(map(str, columns))
    return key[0] if len(key) == 1 else key


def nothing_is_lost(before: dict[str, set[Any]], left: dict[str, set[Any]], lines: list[dict[str, Any]]) -> None:
    for kind, (_, key) in KEYS.items():
        written = {_key(*(line[name] for name in key)) for line in lines if line["kind"] == kind}
        assert before[kind] - left[kind] <= written
