"""Child processes that get ready, wait for a word, and say what they did: BullMQ's and our own workers alike."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.benchmarks.gateway.processes import ServerFailed

_PATIENCE = 120.0
"""Seconds that anything here may take."""


class Told:
    """A process that prints `ready`, reads a line, and prints lines; it ends with the block."""

    def __init__(self, command: Sequence[str], cores: Collection[int], env: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._cores = cores
        self._env = {**os.environ, **(env or {})}
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=self._env
        )
        os.sched_setaffinity(self._process.pid, self._cores)
        assert await self.line() == "ready"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def go(self) -> None:
        """Let it begin (or, said again, end)."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    async def line(self) -> str:
        """Read what it says next.

        Raises:
            ServerFailed: it ended, or said nothing for too long.

        """
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise ServerFailed(f"{' '.join(self._command)} ended with {await self._process.wait()}")
        return line.decode().strip()
