"""What surrounds a SQLite file: its lock, its identity, and how its connections are set up."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from hub.core.errors import ConfigurationError
from hub.store.identity import fact, has_table, new_id, remember
from hub.store.tables import meta

_IDENTITY = "identity"
_MARKER = "marker"
_READERS = 4
_BUSY_MS = 10_000
_WAL_PAUSE_MS = 10
_WRITER_CACHE_KIB = 65_536
"""Memory that the writer may keep pages in, once it has met so many: inboxes are places all over the indexes.

With SQLite's 2 MiB a batch of 1,000 notifications wrote pages to the log and read them back before its own COMMIT.
"""
_CHECKPOINT_PAGES = 4_000
"""Pages of the log (16 MB) after which a COMMIT copies them into the file.

SQLite's 1,000 are fewer than a large group writes: each would copy, and flush the file besides the log.
"""


class SqliteFile:
    """A SQLite database file, its lock file `<db>.lock`, and its `<db>.epoch`.

    The identity is kept in the database, and with it a marker that is also kept in `<db>.epoch`. The process that
    owns the file renews the marker in both when it begins and when it ends. A file put back from a backup carries
    an older marker (or none beside it), and so gets a new identity.
    """

    def __init__(self, path: Path, *, exclusive: bool) -> None:
        self.path = path
        self._marker_path = path.with_name(path.name + ".epoch")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _lock(path) if exclusive else None
        # Made here, and not by SQLite, to be its owner's alone; the WAL gets the same mode from it. A file that is
        # there is left alone: closing it would drop the locks that SQLite holds on it in this process.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def engines(self) -> tuple[AsyncEngine, AsyncEngine]:
        """Make the writer, which is one connection, and the readers."""
        url = sa.URL.create("sqlite+aiosqlite", database=str(self.path))
        writing = create_async_engine(url, pool_size=1, max_overflow=0, hide_parameters=True)
        reading = create_async_engine(url, pool_size=_READERS, max_overflow=0, hide_parameters=True)
        prepare_connections(writing, "write")
        prepare_connections(reading, "read")
        return writing, reading

    async def identify(self, connection: AsyncConnection) -> str | None:
        """Return the identity, a new one where the file is not the one we left; None while it has no tables."""
        if not await has_table(connection, meta.name):
            return None
        identity, marker = await fact(connection, _IDENTITY), await fact(connection, _MARKER)
        if self._lock is None and identity is not None:
            return identity  # a visitor leaves it to the owner
        if identity is None or marker is None or marker != self._read_marker():
            identity = await remember(connection, _IDENTITY, new_id())
        await self._renew_marker(connection)
        return identity

    async def sign_off(self, connection: AsyncConnection) -> None:
        """Renew the marker at the end, so that backups taken until now are known as such."""
        if self._lock is not None:
            await self._renew_marker(connection)

    def release(self) -> None:
        """Give up the lock. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _renew_marker(self, connection: AsyncConnection) -> None:
        # A crash between the two leaves them different: a new identity, which costs clients only a resync.
        marker = await remember(connection, _MARKER, new_id())
        self._marker_path.write_text(marker, encoding="ascii")

    def _read_marker(self) -> str | None:
        try:
            return self._marker_path.read_text(encoding="ascii")
        except (FileNotFoundError, UnicodeDecodeError):
            return None


def _lock(path: Path) -> int:
    """Lock `<db>.lock` for the life of the process, or say who to look for."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise ConfigurationError(
            f"{path} is in use by another Bellwire process (pid {owner}). SQLite with the in-process bus serves one "
            "process only: stop the other, or set BELLWIRE_DATABASE_URL=postgresql://… and BELLWIRE_REDIS_URL"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _use_wal(cursor: Any) -> None:
    """Switch the file to WAL, once for all; the switch needs the file for itself, and `busy_timeout` does not cover it.

    Raises:
        sqlite3.OperationalError: others did not let go of the file in 10 s.

    """
    for left in reversed(range(_BUSY_MS // _WAL_PAUSE_MS)):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if left == 0:
                raise
            await_only(asyncio.sleep(_WAL_PAUSE_MS / 1000))
        else:
            return


def prepare_connections(engine: AsyncEngine, purpose: Literal["read", "write"]) -> None:
    """Set up every connection of an engine, and how its transactions begin."""
    begin = "BEGIN IMMEDIATE" if purpose == "write" else "BEGIN"

    @sa.event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions on its own
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous = FULL")
        if purpose == "read":
            cursor.execute("PRAGMA query_only = ON")
        else:
            cursor.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
            cursor.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)
