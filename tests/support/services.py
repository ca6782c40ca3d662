"""Real databases and a real Valkey for tests. `tests/conftest.py` makes the fixtures known.

Given addresses (`BELLWIRE_TEST_POSTGRES_URL`, of a database whose role may create databases, and
`BELLWIRE_TEST_REDIS_URL` and `BELLWIRE_TEST_REDIS_CLUSTER_URL`, flushed by tests) are used instead of servers of our
own. A part that is missing fails the tests that need it; with `REQUIRE_SERVICES=0` it skips them, and says so.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import asyncpg
import pytest
import redis
import sqlalchemy as sa

from hub.store.migrate import migrate

T = TypeVar("T")

EMPTIED = ("BELLWIRE_TEST_REDIS_URL", "BELLWIRE_TEST_REDIS_CLUSTER_URL")
"""Variables with addresses of servers that tests empty: one test process at a time can use them."""

_numbers = itertools.count()


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own, out of the way of the test's event loop."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def missing(what: str, reason: Exception) -> NoReturn:
    """Fail, or visibly skip with `REQUIRE_SERVICES=0`."""
    message = f"{what} is not available: {reason!r}. `make test` installs it; REQUIRE_SERVICES=0 skips what needs it."
    if os.environ.get("REQUIRE_SERVICES") == "0":
        pytest.skip(message)
    pytest.fail(message, pytrace=False)


def _service(what: str, variable: str, start: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    given = os.environ.get(variable)
    if given:
        yield given
        return
    try:
        server = start()
        url = server.__enter__()
    except (ImportError, OSError, RuntimeError, KeyError) as error:
        missing(what, error)
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


def _start_postgres() -> AbstractContextManager[str]:
    from tests.support.postgres import postgres_server  # noqa: PLC0415 - only where it is needed

    return postgres_server()


@contextmanager
def _start_valkey() -> Iterator[str]:
    from tests.support.valkey import valkey_server  # noqa: PLC0415 - only where it is needed

    with valkey_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The server, by the URL of a database to administer it from."""
    yield from _service("PostgreSQL", "BELLWIRE_TEST_POSTGRES_URL", _start_postgres)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis or Valkey that tests share."""
    yield from _service("Valkey", "BELLWIRE_TEST_REDIS_URL", _start_valkey)


@pytest.fixture
def flushed_redis_url(redis_url: str) -> str:
    """Make Valkey empty."""
    client = redis.Redis.from_url(redis_url)
    try:
        client.flushall()
    finally:
        client.close()
    return redis_url


@contextmanager
def _start_cluster() -> Iterator[str]:
    from tests.support.valkey import valkey_cluster  # noqa: PLC0415 - only where it is needed

    with valkey_cluster() as cluster:
        yield cluster.url


@pytest.fixture(scope="session")
def redis_cluster_url() -> Iterator[str]:
    """A cluster of three Redis or Valkey primaries that tests share."""
    yield from _service("Valkey", "BELLWIRE_TEST_REDIS_CLUSTER_URL", _start_cluster)


@pytest.fixture
def flushed_redis_cluster_url(redis_cluster_url: str) -> str:
    """Make the cluster empty."""
    host, _, port = redis_cluster_url.removeprefix("redis+cluster://").partition(",")[0].rpartition(":")
    with redis.RedisCluster(host=host, port=int(port)) as client:
        client.flushall(target_nodes=redis.RedisCluster.PRIMARIES)
    return redis_cluster_url


async def _administer(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _database(url: str, name: str) -> str:
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


def _fresh_name(kind: str) -> str:
    return f"bellwire_{kind}_{os.getpid()}_{next(_numbers)}"


@pytest.fixture(scope="session")
def postgres_template(postgres_server_url: str) -> Iterator[str]:
    """The name of a migrated database to clone."""
    name = _fresh_name("template")
    run_apart(_administer(postgres_server_url, f"CREATE DATABASE {name} TEMPLATE template0"))
    try:
        run_apart(migrate(_database(postgres_server_url, name)))
        yield name
    finally:
        run_apart(_administer(postgres_server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgres_url(postgres_server_url: str, postgres_template: str) -> Iterator[str]:
    """Make a migrated PostgreSQL database, dropped after the test."""
    name = _fresh_name("test")
    create = f"CREATE DATABASE {name} TEMPLATE {postgres_template}"
    run_apart(_administer(postgres_server_url, create))
    try:
        yield _database(postgres_server_url, name)
    finally:
        run_apart(_administer(postgres_server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def empty_postgres_url(postgres_server_url: str) -> Iterator[str]:
    """Make a PostgreSQL database without any table."""
    name = _fresh_name("empty")
    run_apart(_administer(postgres_server_url, f"CREATE DATABASE {name} TEMPLATE template0"))
    try:
        yield _database(postgres_server_url, name)
    finally:
        run_apart(_administer(postgres_server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "bellwire.db"
    run_apart(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Make a migrated SQLite file."""
    path = tmp_path / "bellwire.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Make a migrated database of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
