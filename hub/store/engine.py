"""Opening the database: one `Database` for either kind, with separate ways for reading and for writing.

* PostgreSQL (asyncpg): reads are REPEATABLE READ READ ONLY, so that one answer is one snapshot; writes are READ
  COMMITTED with explicit row locks.
* SQLite (aiosqlite, WAL, `synchronous=FULL`): one writer connection that begins every transaction IMMEDIATE (a
  deferred one that turns into a writer fails at once, whatever the timeout), and a few read-only readers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hub.core.errors import ConfigurationError, DataError
from hub.store import identity
from hub.store.failures import CommitUnknown, Conflict, Disconnected, Failure, classify, translated
from hub.store.sqlite_file import SqliteFile

T = TypeVar("T")
Dialect = Literal["postgresql", "sqlite"]
Transaction = Callable[[AsyncConnection], Awaitable[T]]

_TRIES = 5
_FIRST_PAUSE = 0.02
"""Seconds before the second try; doubled with each."""

_CONNECT_TIMEOUT = 10
_COMMAND_TIMEOUT = 60
"""Seconds."""
_POOL = 10
_ONLY_PROCESS = 0x62656C6C6F6E6C79
"""The advisory lock of the only process: `bellonly` in ASCII (migrations have one of their own)."""
_SERVER_SETTINGS = {
    "application_name": "bellwire",
    # To compile a plan takes longer than any of our statements; over partitions they look expensive enough for it.
    "jit": "off",
    # A process that is stopped within a transaction (SIGSTOP, a paused container) holds its locks until it goes on:
    # claims and the rescuer pass over those rows for ever. None of our transactions waits for anything but the server.
    "idle_in_transaction_session_timeout": "15s",
}

logger = structlog.get_logger(__name__)


class Database:
    """An open database. Made by `open_database`; `close()` it."""

    def __init__(self, dialect: Dialect, writing: AsyncEngine, reading: AsyncEngine, file: SqliteFile | None) -> None:
        self.dialect: Dialect = dialect
        self._writing = writing
        self._reading = reading
        self._file = file
        self._cluster: str | None = None
        self._open_writes: set[asyncio.Task[object]] = set()
        self._alone: AsyncConnection | None = None
        """Holds the lock of the only process, see `stand_alone`."""
        self._must_stand_alone = False

    @property
    def cluster(self) -> str:
        """The identity of this very database: another after a restore, a failover or a copy.

        Raises:
            ConfigurationError: the database has no tables yet.

        """
        if self._cluster is None:
            raise ConfigurationError("the database has no tables yet: run `bellwire migrate`")
        return self._cluster

    async def identify(self) -> None:
        """Learn `cluster` anew (a failover may have happened); leaves it alone while there are no tables."""
        if self._file is None:
            self._cluster = await self.write(identity.of_postgres)
            if self._must_stand_alone:
                await self.stand_alone()
        elif self._cluster is None:
            self._cluster = await self.write(self._file.identify)

    async def stand_alone(self) -> None:
        """Be the only process that works on this database, as the in-process bus knows no other.

        A SQLite file is locked anyway. Called again it takes the lock anew where its connection was lost.

        Raises:
            ConfigurationError: there is another process.
            StoreUnavailable: the server cannot be reached.

        """
        if self._file is not None:
            return
        self._must_stand_alone = True
        with translated():
            if self._alone is not None:
                try:
                    await self._alone.execute(sa.text("SELECT 1"))
                    await self._alone.commit()
                except sa.exc.DBAPIError:
                    await self._alone.invalidate()
                    await self._alone.close()
                    self._alone = None
                else:
                    return
            connection = await self._writing.connect()
            taken = (await connection.execute(sa.text(f"SELECT pg_try_advisory_lock({_ONLY_PROCESS})"))).scalar_one()
            await connection.commit()  # the lock is the session's, not the transaction's
            if taken:
                self._alone = connection
                return
            await connection.close()
        raise ConfigurationError(
            "another Bellwire process works on this database. PostgreSQL with the in-process bus serves one process "
            "only: stop the other, or set BELLWIRE_REDIS_URL for both"
        )

    def reader(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a read-only snapshot; errors are those of `hub.core.errors`."""
        return self._transaction(self._reading)

    def writer(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a write transaction, committed at the end of the block, without any retry: see `write`."""
        return self._transaction(self._writing)

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with engine.connect() as connection:
                begun = await connection.begin()
                try:
                    yield connection
                except BaseException:
                    await begun.rollback()
                    raise
                try:
                    await begun.commit()
                except Exception as error:
                    if classify(error) in {Failure.DISCONNECTED, Failure.EXHAUSTED}:
                        raise CommitUnknown("the connection was lost during COMMIT") from error
                    raise

    async def read(self, work: Transaction[T]) -> T:
        """Run `work` in a read-only snapshot, again (from the start) where the connection was lost.

        Raises:
            StoreUnavailable: the database stayed out of reach.

        """
        return await self._retried(work, self.reader, None)

    async def write(self, work: Transaction[T], *, lookup: Transaction[T | None] | None = None) -> T:
        """Do what `commit` does; a caller that goes away does not stop it half-way.

        Raises:
            DataError: the database refused a value; nothing is stored.
            StoreUnavailable: the database stayed out of reach.

        """
        return await asyncio.shield(self.start(self.commit(work, lookup=lookup)))

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something to its end, whoever goes away meanwhile: `settled` and `close` wait for it."""
        task = asyncio.ensure_future(work)
        self._open_writes.add(task)
        task.add_done_callback(self._write_done)
        return task

    async def commit(self, work: Transaction[T], *, lookup: Transaction[T | None] | None = None) -> T:
        """Run `work` in a write transaction and commit it, for callers that are not cancelled.

        After a deadlock, a serialization failure or a lost connection it runs again, from the start. Where the
        connection was lost while committing, `lookup` is asked first whether it was stored after all; without it
        `work` must be safe to repeat.

        Raises:
            DataError: the database refused a value; nothing is stored.
            StoreUnavailable: the database stayed out of reach.

        """
        return await self._retried(work, self.writer, lookup)

    def _write_done(self, task: asyncio.Task[object]) -> None:
        self._open_writes.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller is gone: nothing was stored for nobody

    async def _retried(
        self,
        work: Transaction[T],
        connect: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        lookup: Transaction[T | None] | None,
    ) -> T:
        pause = _FIRST_PAUSE
        unknown = False
        for attempt in range(1, _TRIES + 1):
            try:
                async with connect() as connection:
                    found = await lookup(connection) if unknown and lookup is not None else None
                    return await work(connection) if found is None else found
            except (Conflict, Disconnected, CommitUnknown, DataError) as error:
                if isinstance(error, DataError) and not (unknown and lookup is not None):
                    raise
                # A DataError then: the COMMIT that was lost sight of came through after the look-up, and what it
                # stored is in our way. The next look finds it.
                unknown = unknown or isinstance(error, CommitUnknown)
                logger.warning("transaction_repeated", attempt=attempt, cause=type(error.__cause__).__name__)
                if attempt == _TRIES:
                    raise
                await asyncio.sleep(pause)
                pause *= 2
        raise AssertionError("unreachable")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_failure: object) -> None:
        await self.close()

    async def settled(self) -> None:
        """Return once the writes that are under way have ended, those of callers who went away too."""
        while self._open_writes:  # one that ends may have started the next
            await asyncio.wait(self._open_writes)

    async def close(self) -> None:
        """Let open writes end, then release connections and the file. Idempotent."""
        await self.settled()
        try:
            if self._file is not None and self._cluster is not None:
                await self.write(self._file.sign_off)
                self._cluster = None
        finally:
            if self._alone is not None:
                await self._alone.invalidate()  # ends the session, and with it the lock
                await self._alone.close()
                self._alone = None
            await self._reading.dispose()
            await self._writing.dispose()
            if self._file is not None:
                self._file.release()


async def open_database(url: str, *, exclusive: bool = True) -> Database:
    """Open a database by its URL: `postgresql://…` (libpq's parameters and Unix sockets too) or `sqlite:///path`.

    With `exclusive`, a SQLite file is locked for the life of the `Database`: the in-process bus knows only one
    process. Commands that merely look or migrate pass False. It works without tables too; `cluster` needs them.

    Raises:
        ConfigurationError: the URL is of another kind, the server does not let us in, the file is in use.
        StoreUnavailable: the server cannot be reached.

    """
    database = _postgres(url) if url.startswith(("postgresql://", "postgres://")) else _sqlite(url, exclusive=exclusive)
    try:
        await database.identify()
    except BaseException:
        await database.close()
        raise
    return database


def _postgres(url: str) -> Database:
    import asyncpg  # noqa: PLC0415 - a process on SQLite starts sooner without it

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        # asyncpg reads the URL itself: it knows libpq's parameters, which SQLAlchemy's dialect does not.
        try:
            return await asyncpg.connect(
                url, timeout=_CONNECT_TIMEOUT, command_timeout=_COMMAND_TIMEOUT, server_settings=_SERVER_SETTINGS
            )
        except ValueError:
            # `from None`: the original's text quotes what it took for the port, often a piece of the password.
            raise ConfigurationError(
                "the database's URL cannot be understood; in a password, write @ : / # ? % as %40 %3A %2F %23 %3F %25"
            ) from None

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        isolation_level="READ COMMITTED",
        pool_size=_POOL,
        max_overflow=_POOL,
        hide_parameters=True,  # what people wrote stays out of errors, and so out of logs
    )
    reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Database("postgresql", engine, reading, None)


def sqlite_path(url: str) -> Path:
    """Return the file that a `sqlite:///` URL names.

    Raises:
        ConfigurationError: it is another kind of URL, or names no file.

    """
    name = sa.make_url(url).database if url.startswith("sqlite:///") else None
    if not name or name == ":memory:":
        raise ConfigurationError("the database's URL must be postgresql://… or sqlite:///path/to/file")
    return Path(name)


def _sqlite(url: str, *, exclusive: bool) -> Database:
    file = SqliteFile(sqlite_path(url), exclusive=exclusive)
    return Database("sqlite", *file.engines(), file)
