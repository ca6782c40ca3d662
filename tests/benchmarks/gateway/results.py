"""What a run found out: figures, and whether they are good enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct


class Figure(Struct, frozen=True):
    """One measured number."""

    system: str
    """`Bellwire`, `nchan`, `Socket.IO`, or what else was measured."""
    what: str
    value: float
    unit: str
    whose: str = ""
    """Whose processor time or memory it is, where that needs saying."""
    plotted: bool = False
    """Whether it stands for its system in the plot of the case."""


class Bar(Struct, frozen=True):
    """What had to be reached, and what was."""

    what: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


class CaseResult(Struct, frozen=True):
    """One case of one run."""

    name: str
    title: str
    how: str
    """How it was measured, for the reader of the report."""
    taken: str
    """When: an ISO date and time."""
    clients: int
    figures: list[Figure]
    bars: list[Bar]


class Run(Struct, frozen=True):
    """All that the report is made of; cases may be of different runs on the same machine."""

    machine: dict[str, str]
    versions: dict[str, str]
    cases: list[CaseResult]

    def with_cases(self, cases: Sequence[CaseResult], order: Sequence[str]) -> Run:
        """Put cases in, in the place of older ones of their name."""
        newest = {case.name: case for case in (*self.cases, *cases)}
        ordered = sorted(newest.values(), key=lambda case: order.index(case.name) if case.name in order else len(order))
        return Run(self.machine, self.versions, ordered)


def load(path: Path) -> list[CaseResult]:
    """Read the cases of earlier runs; none if there is no file, or one that does not fit."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run).cases
    except (FileNotFoundError, msgspec.DecodeError):
        return []


def save(run: Run, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
