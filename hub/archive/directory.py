"""Archives in a directory of this machine."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from hub.core.archives import file_of, folder_of
from hub.core.errors import ArchiveUnavailable, ConfigurationError

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class Directory:
    """`Shelf` on a file system: a folder for each tenant, files and folders for their owner's eyes alone."""

    def __init__(self, root: Path) -> None:
        """Make the directory if there is none.

        Raises:
            ConfigurationError: nothing can be written there.

        """
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            trial = root / f".trial-{secrets.token_hex(8)}"
            os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            trial.unlink()
        except OSError as error:
            raise ConfigurationError(f"--to {root} cannot be written to: {error.strerror}") from error

    async def open(self, tenant: str, name: str) -> LocalFile:
        """Begin a file."""
        return await asyncio.to_thread(LocalFile, self._root / folder_of(tenant), name)


class LocalFile:
    """A gzip file under a hidden name, until it is whole."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        with _told():
            folder.mkdir(exist_ok=True, mode=0o700)
            self._hidden = folder / f".{name}.{secrets.token_hex(8)}.part"
            descriptor = os.open(self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb")
            self._gzip = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)

    async def write(self, lines: Sequence[bytes]) -> None:
        """Append lines."""
        await asyncio.to_thread(self._write, lines)

    def _write(self, lines: Sequence[bytes]) -> None:
        with _told():
            self._gzip.write(b"".join(lines))

    async def keep(self) -> str:
        """Flush it to the disk, then give it its name."""
        return await asyncio.to_thread(self._keep)

    def _keep(self) -> str:
        with _told():
            self._gzip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            path = self._named()
            for folder in (self._folder, self._folder.parent):
                _flush_folder(folder)
        return str(path)

    def _named(self) -> Path:
        """Give it a name that is free: what is there already is in no other place."""
        for number in count(1):
            path = self._folder / file_of(self._name, number)
            try:
                _move(self._hidden, path)
            except FileExistsError:
                continue
            return path
        raise AssertionError("unreachable")

    async def discard(self) -> None:
        """Drop it."""
        await asyncio.to_thread(self._discard)

    def _discard(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._hidden.unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    """Rename a file, replacing none.

    Raises:
        FileExistsError: the name is taken.

    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            raise FileExistsError(target) from None
        source.rename(target)
    else:
        source.unlink()


def _flush_folder(folder: Path) -> None:
    """Have the names in a folder outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveUnavailable(
            f"the archive cannot be written: {error.strerror}. What it should hold is still in the database; "
            "run it again once there is room"
        ) from error
