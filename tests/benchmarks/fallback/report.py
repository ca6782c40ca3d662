"""The report of a run: a page of tables, and a plot beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.gateway import plots, report
from tests.benchmarks.gateway.results import CaseResult, Run

_HOW = """\
Written by `make bench-fallback`; the raw figures are in [fallback.json](fallback.json).

- **What is compared.** Bellwire's queue is rows in PostgreSQL, with `fsync` and `synchronous_commit` on; BullMQ's is in
  Valkey, in memory, without persistence. Bellwire decides for each delivery whether its user still needs it, renders
  an e-mail, and keeps every attempt; a job of BullMQ's does nothing.
- **Where.** A worker has core 0 to itself; PostgreSQL and Valkey have the other, except where a case says otherwise.
  All traffic is on 127.0.0.1 and Unix sockets, without TLS.
- **A figure** is the median of three blocks, which take turns with the peer's; the first tenth of a queue warms up, and
  does not count. A bar is met or not as measured; nothing is rounded in its favour.
"""

_COLOURS = {
    "Bellwire": "#2f81f7",
    "BullMQ": "#c98a1b",
    "BullMQ, flushed": "#e6c88a",
    "one worker": "#8db8f2",
    "two workers": "#2f81f7",
}
_GROUPS = {"processing": "worked off", "enqueue": "queued for later", "workers": "by one and two\nworkers"}
_TITLE = "Deliveries (or jobs) per second (more is better)"


def write(run: Run, folder: Path) -> None:
    """Write `fallback.md` and the plot."""
    page = report.page(run, "# The fallback queue, measured\n", _HOW, _draw(run.cases, folder))
    (folder / "fallback.md").write_text(page)


def _draw(cases: Sequence[CaseResult], folder: Path) -> list[str]:
    groups = {
        _GROUPS[case.name]: {figure.system: figure.value for figure in case.figures if figure.plotted}
        for case in cases
        if case.name in _GROUPS
    }
    for theme, ink in plots.INK.items():
        drawn = plots.plot(groups, _TITLE, ink, _COLOURS)
        drawn.savefig(folder / f"fallback-{theme}.svg", transparent=True, metadata={"Date": None})
    return [plots.shown("fallback", _TITLE)]
