"""The report of a run: a page of tables, and a plot beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.gateway import plots, report
from tests.benchmarks.gateway.results import CaseResult, Run
from tests.benchmarks.publish import curves

_HOW = """\
Written by `make bench-publish`; the raw figures are in [publish.json](publish.json).

- **Stored before said.** Every answer that counts came after COMMIT and flush: PostgreSQL with `fsync` and
  `synchronous_commit` on, SQLite in WAL mode with `synchronous=FULL`, both on the same disk.
- **Where.** The hub has core 0 to itself; the callers and PostgreSQL share the other cores, except where a case says
  otherwise. All traffic is on 127.0.0.1 and Unix sockets, without TLS.
- **Many users.** Where there are up to a million, their inboxes are written into the tables in bulk
  (`tests/support/population.py`); PostgreSQL's statistics are up to date then, and its `shared_buffers` are 64 MB.
- **A figure** is the median of three blocks after a warm-up; the percentiles are over all calls of the three. A bar is
  met or not as measured; nothing is rounded in its favour.
"""

_COLOURS = {
    "PostgreSQL": "#2f81f7",
    "SQLite": "#3fa45b",
    "PostgreSQL, one commit each": "#8db8f2",
    "SQLite, one commit each": "#a5d3b3",
    "bare endpoint": "#8b949e",
    "bare driver, PostgreSQL": "#6e7781",
    "bare driver, SQLite": "#afb8c1",
    "one process": "#8b949e",
    "two, the same users": "#c98a1b",
}
_GROUPS = {
    "singles": "single publishes\nover HTTP",
    "batches": "batches\nof 1,000",
    "contention": "with marks,\nno HTTP",
}
_TITLE = "Durable publishes per second (more is better)"


def write(run: Run, folder: Path) -> None:
    """Write `publish.md` and the plots."""
    drawn = [*_draw(run.cases, folder), *curves.draw(run.cases, folder)]
    page = report.page(run, "# Publishing, measured\n", _HOW, drawn)
    (folder / "publish.md").write_text(page)


def _draw(cases: Sequence[CaseResult], folder: Path) -> list[str]:
    groups = {
        _GROUPS[case.name]: {
            figure.system: figure.value for figure in case.figures if figure.plotted and figure.system in _COLOURS
        }
        for case in cases
        if case.name in _GROUPS
    }
    if not groups:
        return []
    for theme, ink in plots.INK.items():
        drawn = plots.plot(groups, _TITLE, ink, _COLOURS)
        drawn.savefig(folder / f"publish-{theme}.svg", transparent=True, metadata={"Date": None})
    return [plots.shown("publish", _TITLE)]
