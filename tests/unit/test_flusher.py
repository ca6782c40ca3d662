"""Joining writes: at once when idle, together under load."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from hub.gateway.flusher import Flusher


class Writer:
    def __init__(self, flusher: Flusher, log: list[str], name: str) -> None:
        self.flushed = asyncio.Event()
        self._flusher = flusher
        self._log = log
        self._name = name

    def flush(self) -> None:
        self._log.append(self._name)
        self.flushed.set()

    def fail(self) -> None:
        raise RuntimeError(self._name)


async def test_idle_means_with_the_loops_next_round() -> None:
    log: list[str] = []
    flusher = Flusher(window=3_600)
    for name in "abc":
        flusher.ask(Writer(flusher, log, name))
    assert log == []
    await asyncio.sleep(0)
    assert log == ["a", "b", "c"], "in the order of asking"


async def test_under_load_a_flush_waits_for_the_window() -> None:
    log: list[str] = []
    flusher = Flusher(window=0.02)
    flusher.ask(Writer(flusher, log, "first"))
    await asyncio.sleep(0)
    second, third = (Writer(flusher, log, name) for name in ("second", "third"))
    flusher.ask(second)
    for _ in range(10):
        await asyncio.sleep(0)
    assert log == ["first"], "others may come"
    flusher.ask(third)
    async with asyncio.timeout(5):
        await third.flushed.wait()
    assert log == ["first", "second", "third"]


async def test_one_that_fails_does_not_keep_the_others_from_writing() -> None:
    log: list[str] = []
    flusher = Flusher(window=0)
    first, broken, last = (Writer(flusher, log, name) for name in ("first", "broken", "last"))
    broken.flush = broken.fail  # type: ignore[method-assign]  # a bug
    with capture_logs() as logs:
        for writer in (first, broken, last):
            flusher.ask(writer)
        await asyncio.sleep(0)
    assert log == ["first", "last"]
    assert [entry["event"] for entry in logs] == ["flush_failed"]
