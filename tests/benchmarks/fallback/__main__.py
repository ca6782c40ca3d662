"""`make bench-fallback`: the fallback queue beside BullMQ, measured in one run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tests.benchmarks.fallback import bullmq, report
from tests.benchmarks.fallback.bench import Bench
from tests.benchmarks.fallback.cases import backlog, enqueue, lag, processing
from tests.benchmarks.fallback.worker import CONCURRENCY
from tests.benchmarks.gateway import bellwire
from tests.benchmarks.gateway.bench import Screen
from tests.benchmarks.gateway.runner import Case as ReportedCase
from tests.benchmarks.gateway.runner import Measured, Runner, folder_of


@dataclass(frozen=True, slots=True)
class Case:
    """A case, and what its heading in the report says; its docstring says how it measures."""

    title: str
    run: Callable[[Bench], Awaitable[Measured]]


CASES = {
    "processing": Case("A full queue, worked off", processing.processing),
    "enqueue": Case("Queued for later, as part of publishing", enqueue.enqueue),
    "workers": Case("Two workers", processing.workers),
    "lag": Case("A step that falls due while nothing else happens", lag.lag),
    "backlog": Case("Claims beside a long queue", backlog.backlog),
}


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Cases, of: {', '.join(CASES)}.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A smoke run, no figures worth keeping.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the report [docs/benchmarks].")] = None,
) -> None:
    """Measure the fallback queue beside BullMQ; write a table, a plot and the raw figures."""
    versions: dict[str, str] = {}
    runner = Runner("fallback", list(CASES), quick, folder_of(out, quick=quick), report.write, versions)
    chosen = runner.choose(only)

    def prepare() -> Iterator[object]:
        yield versions.update({"BullMQ": bullmq.version()})
        yield bullmq.install()

    async def work(folder: Path, screen: Screen) -> None:
        async with bellwire.services() as services:
            bench = Bench(quick, folder, services)
            for name in chosen:
                case = CASES[name]
                told = ReportedCase(name, case.title, case.run.__doc__, CONCURRENCY)
                await runner.case(screen, told, partial(case.run, bench))

    runner.run(prepare, work)


if __name__ == "__main__":
    typer.run(main)
