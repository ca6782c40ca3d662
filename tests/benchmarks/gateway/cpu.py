"""Processor time and memory of whole process trees, as the kernel counts them (proc(5))."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_AFTER_NAME = 3
"""The first two fields of /proc/<pid>/stat, and the third begins after the `)` that ends the name."""


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[4 - _AFTER_NAME]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, all their threads, and of children that have ended."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += sum(int(field) for field in fields[14 - _AFTER_NAME : 18 - _AFTER_NAME])
    return ticks / _TICKS


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory; what processes share is counted once, in equal parts (PSS)."""
    return sum(_pss(pid) for pid in pids)


@dataclass(slots=True)
class Meter:
    """Counts the time of one server (all its processes) from `start` to `read`."""

    pid: int
    _cpu: float = 0.0
    _wall: float = 0.0

    def start(self) -> None:
        self._cpu, self._wall = cpu_seconds(tree(self.pid)), time.perf_counter()

    def read(self) -> Spent:
        """What has been spent since `start`."""
        return Spent(cpu_seconds(tree(self.pid)) - self._cpu, time.perf_counter() - self._wall)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of processor time, and by the clock on the wall."""

    cpu: float
    wall: float

    def per_cpu_second(self, count: float) -> float:
        """A rate; the kernel counts in ticks, and what took less than one counts as one."""
        return count / max(self.cpu, 1 / _TICKS)


def _stat(pid: int) -> list[str]:
    """The fields from the third on; none if the process has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
