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
  its text, and keeps every attempt; a job of BullMQ's does nothing.
- **Where.** A worker has core 0 to itself; PostgreSQL and Valkey have the other, except where a case says otherwise.
  All traffic is on 127.0.0.1 and Unix sockets, without TLS.
- **A figure** is the median of three blocks, which take turns with the peer's; the first tenth of a queue warms up, and
  does not count. A bar is met or not as measured; nothing is rounded in its favour.
"""

_WHERE = """\
## What either side does

| | Bellwire | BullMQ |
| --- | --- | --- |
| what it takes over is on the disk before it says so | yes | only with `appendfsync always`: the second row |
| enqueued in the same transaction as what it is about | yes: item, counts and delivery | no: two systems, two writes |
| before it works on one | read in the claim, and before the send: whether it has been seen | nothing |
| what it works with | content and addresses, read with the claim | the job's own data |
| what it does | decides, renders, calls the provider through breaker and time limit | an empty function |
| what is left of it | the delivery with state and times, and a row for each call | nothing (`removeOnComplete`) |
| two workers never end one claim | fence, checked with every end | lock token, checked with every end |

## Where the time goes

A worker's processor time, sampled in the steady state of a busy machine:

| | share |
| --- | --- |
| event loop, sockets, driver and SQLAlchemy: some ten statements for each hundred deliveries | 45 % |
| deciding, rendering, calling, and what follows from the call's end | 17 % |
| lanes, tasks, and grouping of reads and writes | 12 % |
| claims: rows to deliveries, contents and contacts | 9 % |
| settlements: who still holds what, and arrays for the driver | 8 % |
| the other loops: timers, schedules, audiences, leases, reports | 7 % |
| counting for metrics and rates | 2 % |

PostgreSQL's: claims 55 %, settlements 35 %, the last look before the send 10 %. A claim and a settlement are an
update each, and as a delivery's state stands in the conditions of its indexes, neither can be a HOT one: the first
writes to four indexes, the second to three. Its flushes to the disk are shared by hundreds of deliveries, and other
deliveries are sent meanwhile.

So one worker is bounded by its own core, as one Python process is, and PostgreSQL's core has time left; the second
worker brings what that leaves, on two cores until both are busy. A job costs BullMQ about 47 µs of Node's time and 47
of Valkey's: to be 1.5 times as fast on cores of their own, a delivery could take 31 µs of ours, which is less than
the loop and the driver alone take. Why it stays so is told in [decision
26](../decisions/0026-what-a-delivery-costs.md).
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
    (folder / "fallback.md").write_text(f"{page}\n{_WHERE}")


def _draw(cases: Sequence[CaseResult], folder: Path) -> list[str]:
    groups = {
        _GROUPS[case.name]: {figure.system: figure.value for figure in case.figures if figure.plotted}
        for case in cases
        if case.name in _GROUPS
    }
    if not groups:
        return []
    for theme, ink in plots.INK.items():
        drawn = plots.plot(groups, _TITLE, ink, _COLOURS)
        drawn.savefig(folder / f"fallback-{theme}.svg", transparent=True, metadata={"Date": None})
    return [plots.shown("fallback", _TITLE)]
