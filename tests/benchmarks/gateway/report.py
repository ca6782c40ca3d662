"""The report of a run: a page of tables, and plots beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.gateway import plots
from tests.benchmarks.gateway.results import Bar, CaseResult, Figure, Run

_HOW = """\
Written by `make bench-gateway`; the raw figures are in [gateway.json](gateway.json).

- **Whose time.** Rates are per CPU-second of the server's own processes: user and system time of all their threads, as
  the kernel counts them in `/proc/<pid>/stat`. What the kernel does to hand a message to the receiving socket counts
  for the server that sends it, for every system alike. PostgreSQL and Redis are told apart where they matter.
- **Where.** The measured server has core 0 to itself. The load, PostgreSQL, Valkey and whoever else publishes run on
  the other cores, except where a case says otherwise. All traffic is on 127.0.0.1 and Unix sockets, without TLS.
- **The load** is one Python process (uvloop) that checks every message of every client: each exactly once, in order,
  or the run fails. It is slower than the servers and shapes none of the figures: a round's few kilobytes fit into each
  socket's buffer, no server ever waits for the client to read, and rates count the server's CPU, not the clock's time.
- **A figure** is the median of three blocks of rounds after a warm-up. Messages of the peers are as long as Bellwire's
  frames. No server compresses. A bar is met or not as measured; nothing is rounded in its favour.
"""


def write(run: Run, folder: Path) -> None:
    """Write `gateway.md` and the plots."""
    drawn = plots.draw(run.cases, folder)
    (folder / "gateway.md").write_text(page(run, "# The gateway, measured\n", _HOW, drawn))


def page(run: Run, title: str, how: str, drawn: Sequence[str]) -> str:
    """Put the report of any benchmark together."""
    return "\n".join([title, how, _machine(run), _bars(run.cases), *drawn, *map(_case, run.cases)])


def in_words(figures: Sequence[Figure], bars: Sequence[Bar]) -> str:
    """A case's result for the terminal."""
    lines = [f"  {figure.system:20} {figure.what}: {number(figure.value)} {figure.unit}" for figure in figures]
    lines += [f"  {_verdict(bar):20} {bar.what}: {number(bar.value)} ({_bound(bar)})" for bar in bars]
    return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits, or all before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _machine(run: Run) -> str:
    known = {**run.machine, **run.versions}
    return "\n".join(
        ["| machine | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in known.items()), ""]
    )


def _bars(cases: Sequence[CaseResult]) -> str:
    lines = ["| what had to be reached | at | measured | |", "| --- | --- | --- | --- |"]
    for case in cases:
        lines += [
            f"| {case.title}: {bar.what} | {_bound(bar)} | {number(bar.value)} | {_verdict(bar)} |" for bar in case.bars
        ]
    return "\n".join([*lines, ""])


def _case(case: CaseResult) -> str:
    lines = [
        f"## {case.title}\n",
        f"{case.how}\n",
        f"Taken {case.taken} with {case.clients:,} clients.\n",
        "| system | what | | whose |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {figure.system} | {figure.what} | {number(figure.value)} {figure.unit} | {figure.whose} |"
        for figure in case.figures
    ]
    return "\n".join([*lines, ""])


def _bound(bar: Bar) -> str:
    return f"{'≥' if bar.at_least else '≤'} {number(bar.bound)}"


def _verdict(bar: Bar) -> str:
    return "met" if bar.met else "**not met**"
