"""Servers as child processes: pinned, watched, and gone when the benchmark is, whatever ends it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a server has to start or to stop."""

_LOOK_AGAIN = 0.05
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_LIBC = ctypes.CDLL(None)


class ServerFailed(Exception):
    """A server did not start, or ended; the message has the end of its log."""


@contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    ready: Callable[[], bool],
    cores: Collection[int],
    env: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server for the length of a block, on the given cores; yields its process id once it is ready.

    Raises:
        ServerFailed: it ended, or was not ready in time.

    """

    def settle() -> None:
        os.sched_setaffinity(0, cores)
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)

    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the benchmark, which then stops its servers in order
            preexec_fn=settle,  # noqa: PLW1509 - no thread of ours holds a lock that `settle` takes
        )
    try:
        _await(server, ready, log)
        yield server.pid
    finally:
        _stop(server)


def _await(server: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    give_up = time.monotonic() + PATIENCE
    while not ready():
        if server.poll() is not None:
            raise ServerFailed(f"{server.args!r} ended with {server.returncode}:\n{_end_of(log)}")
        if time.monotonic() > give_up:
            raise ServerFailed(f"{server.args!r} was not ready in {PATIENCE:.0f} s:\n{_end_of(log)}")
        time.sleep(_LOOK_AGAIN)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and insist if it does not: with 10,000 connections a drain may take a while."""
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
