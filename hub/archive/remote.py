"""Archives wherever fsspec reaches: object stores, SFTP and others."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from hub.archive.directory import LocalFile
from hub.core.archives import file_of, folder_of
from hub.core.errors import ArchiveUnavailable, ConfigurationError


class Remote:
    """`Shelf` on a file system of fsspec's."""

    def __init__(self, url: str) -> None:
        """Find what the URL names.

        Raises:
            ConfigurationError: fsspec, or what it needs for this kind of URL, is not installed; or it does not answer.

        """
        try:
            import fsspec  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigurationError(
                f"--to {url} needs fsspec: pip install 'bellwire[archive]', or give a directory"
            ) from None
        try:
            self._system, self._root = fsspec.core.url_to_fs(url)
            self._system.makedirs(self._root, exist_ok=True)
        except ImportError as error:
            raise ConfigurationError(f"--to {url} needs more than fsspec: {error}") from None
        except Exception as error:  # each file system has errors of its own
            raise ConfigurationError(f"--to {url} cannot be written to: {error}") from error

    async def open(self, tenant: str, name: str) -> RemoteFile:
        """Begin a file."""
        return await asyncio.to_thread(RemoteFile, self._system, f"{self._root}/{folder_of(tenant)}", name)


class RemoteFile:
    """A file that is written here first, and sent when it is whole."""

    def __init__(self, system: Any, folder: str, name: str) -> None:
        self._system = system
        self._folder = folder
        self._name = name
        self._spool = tempfile.TemporaryDirectory(prefix="bellwire-archive-")
        self._local = LocalFile(Path(self._spool.name), name)

    async def write(self, lines: Sequence[bytes]) -> None:
        """Append lines."""
        await self._local.write(lines)

    async def keep(self) -> str:
        """Send it, look whether all of it has arrived, then give it its name."""
        whole = Path(await self._local.keep())
        name = await asyncio.to_thread(self._send, whole)
        await self.discard()
        return name

    def _send(self, whole: Path) -> str:
        hidden = f"{self._folder}/.{self._name}.{secrets.token_hex(8)}.part"
        with _told():
            self._system.makedirs(self._folder, exist_ok=True)
            self._system.put_file(str(whole), hidden)
            if self._system.size(hidden) != whole.stat().st_size:
                raise OSError("not all of it has arrived")
            for number in count(1):
                path = f"{self._folder}/{file_of(self._name, number)}"
                if not self._system.exists(path):
                    self._system.mv(hidden, path)
                    return str(self._system.unstrip_protocol(path))
        raise AssertionError("unreachable")

    async def discard(self) -> None:
        """Drop what is here."""
        await asyncio.to_thread(self._spool.cleanup)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each file system has errors of its own
        raise ArchiveUnavailable(
            f"the archive cannot be sent: {error}. What it should hold is still in the database; run it again"
        ) from error
