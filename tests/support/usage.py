"""What a process of ours holds: memory, descriptors, tasks, objects. Linux only."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import BellwireProcess

PROBE = {"PYTHONPATH": str(Path(__file__).parent / "probe")}
"""The environment of a process that `usage_of` can ask."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """One look."""

    rss: int
    """Bytes."""
    descriptors: int
    tasks: dict[str, int]
    """By what they run."""
    objects: dict[str, int]
    """Those that Python's garbage collector tracks, after a collection, by type."""


def usage_of(process: BellwireProcess) -> Usage:
    """Look into a running process started with `PROBE` (blocking: use a thread on an event loop).

    Raises:
        RuntimeError: it does not answer.

    """
    said = len(process.output)
    os.kill(process.pid, signal.SIGUSR1)
    process.wait_for_output("usage {", since=said)
    begin = process.output.index("usage {", said)
    process.wait_for_output("\n", since=begin)
    told = json.loads(process.output[begin:].partition("\n")[0].removeprefix("usage "))
    of_process = Path("/proc") / str(process.pid)
    rss = int((of_process / "statm").read_text().split()[1]) * _PAGE
    return Usage(rss, len(list((of_process / "fd").iterdir())), told["tasks"], told["objects"])
