"""The machine of a run: its cores, its limits, and what it calls itself."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.gateway.cpu import tree

SERVER_CORES = frozenset({0})
"""Where the server under measurement runs, alone."""


class TooSmall(Exception):
    """The machine cannot carry the benchmark; the message says what is missing."""


def load_cores() -> frozenset[int]:
    """Every core but the server's: for the load, and for what helps the server (database, Redis, publisher)."""
    return all_cores() - SERVER_CORES


def all_cores() -> frozenset[int]:
    return frozenset(range(os.cpu_count() or 1))


def leave_the_server_alone() -> None:
    """Move this process, and all that it will start, off the server's core.

    Raises:
        TooSmall: there is one core only.

    """
    if not load_cores():
        raise TooSmall("the benchmark needs two cores: one for the server, one for the load")
    os.sched_setaffinity(0, load_cores())


@contextmanager
def unpinned(*pids: int) -> Iterator[None]:
    """Let this process, and these with all below them, use every core for the length of a block."""
    everybody = [os.getpid(), *(below for pid in pids for below in tree(pid))]
    _pin(everybody, all_cores())
    try:
        yield
    finally:
        _pin(everybody, load_cores())


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the limit of open descriptors to the hard limit; children inherit it.

    Raises:
        TooSmall: the hard limit is below `wanted`.

    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        raise TooSmall(
            f"{wanted:,} descriptors are needed, the hard limit is {hard:,}: see `ulimit -Hn`, limits.conf(5)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe() -> Mapping[str, str]:
    """What a reader has to know of the machine to place the figures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "uvloop": version("uvloop"),
        "uvicorn": version("uvicorn"),
    }


def _pin(pids: Iterable[int], cores: Collection[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # one of the database's, say, that has ended since
            os.sched_setaffinity(pid, cores)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
