"""`make bench-publish`: durable publishes beside what their parts take alone, measured in one run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tests.benchmarks.gateway import bellwire
from tests.benchmarks.gateway.bench import Screen
from tests.benchmarks.gateway.runner import Case as ReportedCase
from tests.benchmarks.gateway.runner import Measured, Runner, folder_of
from tests.benchmarks.publish import publisher, report
from tests.benchmarks.publish.bench import Bench
from tests.benchmarks.publish.cases import audiences, batches, contention, inboxes, members, singles, storm
from tests.benchmarks.publish.databases import Databases


@dataclass(frozen=True, slots=True)
class Case:
    """A case, and what its heading in the report says; its docstring says how it measures."""

    title: str
    run: Callable[[Bench], Awaitable[Measured]]
    callers: int


CASES = {
    "singles": Case("One notification a call", singles.singles, singles.CALLERS),
    "batches": Case("A thousand notifications a call", batches.batches, batches.CALLERS),
    "contention": Case("Several processes on one database", contention.contention, publisher.CALLERS),
    "members": Case("One publish to a topic of many online", members.members, members.USERS),
    "inboxes": Case("The inbox of a user who has much", inboxes.inboxes, inboxes.CALLERS),
    "audiences": Case("One publish to everybody", audiences.audiences, audiences.CALLERS),
    "storm": Case("Everybody has seen it at once", storm.storm, storm.ONLINE),
}


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Cases, of: {', '.join(CASES)}.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A smoke run, no figures worth keeping.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the report [docs/benchmarks].")] = None,
) -> None:
    """Measure durable publishing; write a table, a plot and the raw figures."""
    runner = Runner("publish", list(CASES), quick, folder_of(out, quick=quick), report.write)
    chosen = runner.choose(only)

    async def work(folder: Path, screen: Screen) -> None:
        async with AsyncExitStack() as stack:
            services = await stack.enter_async_context(bellwire.services())
            bench = Bench(quick, folder, services, Databases(services, screen, stack))
            for name in chosen:
                case = CASES[name]
                told = ReportedCase(name, case.title, case.run.__doc__, case.callers)
                await runner.case(screen, told, partial(case.run, bench))

    runner.run(list, work)


if __name__ == "__main__":
    typer.run(main)
