"""`make bench-publish`: durable publishes beside what their parts take alone, measured in one run."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from tests.benchmarks.gateway import bellwire, machine, results
from tests.benchmarks.gateway.bench import Screen
from tests.benchmarks.gateway.http import PublishFailed
from tests.benchmarks.gateway.processes import ServerFailed
from tests.benchmarks.gateway.report import in_words
from tests.benchmarks.gateway.results import Bar, CaseResult, Figure, Run
from tests.benchmarks.gateway.swarm import LoadFailed
from tests.benchmarks.publish import publisher, report
from tests.benchmarks.publish.bench import Bench
from tests.benchmarks.publish.cases import audiences, batches, contention, inboxes, members, singles, storm
from tests.benchmarks.publish.databases import Databases


@dataclass(frozen=True, slots=True)
class Case:
    """A case, and what its heading in the report says; its docstring says how it measures."""

    title: str
    run: Callable[[Bench], Awaitable[tuple[list[Figure], list[Bar]]]]
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
    chosen = only or list(CASES)
    if unknown := set(chosen) - set(CASES):
        raise typer.BadParameter(f"no such case: {', '.join(sorted(unknown))}")
    out = out or Path("test-artifacts/benchmarks" if quick else "docs/benchmarks")
    console, found = Console(), list[CaseResult]()
    signal.signal(signal.SIGTERM, _interrupt)
    status = 0
    try:
        machine.leave_the_server_alone()
        out.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="bellwire-bench-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_run(chosen, Path(folder), console, found, quick=quick))
    except (machine.TooSmall, ServerFailed, PublishFailed, LoadFailed) as error:
        console.print(f"[red]bench-publish:[/] {error}", highlight=False)
        status = 1
    except KeyboardInterrupt:
        console.print("Interrupted.")
        status = 130
    if found:
        _write(found, out)
        console.print(f"Written: {out}/publish.md, publish.json and plots.")
    raise typer.Exit(status)


def _write(found: Sequence[CaseResult], out: Path) -> None:
    """Write the report; cases that were not run, or not to their end, stay as they were."""
    raw = out / "publish.json"
    run = Run(dict(machine.describe()), {}, results.load(raw)).with_cases(found, list(CASES))
    results.save(run, raw)
    report.write(run, out)


async def _run(chosen: Sequence[str], folder: Path, console: Console, found: list[CaseResult], *, quick: bool) -> None:
    """Run the cases one after the other; each is in `found` once it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(bellwire.services())
        screen = Screen(stack.enter_context(Progress(*columns, console=console, refresh_per_second=2, transient=True)))
        bench = Bench(quick, folder, services, Databases(services, screen, stack))
        for name in chosen:
            case = CASES[name]
            begun = datetime.now(UTC)
            with screen.task(f"[bold]{case.title}", 1):
                figures, bars = await case.run(bench)
            how = " ".join((case.run.__doc__ or "").split())
            taken = begun.isoformat(timespec="seconds")
            found.append(CaseResult(name, case.title, how, taken, case.callers, figures, bars))
            took = (datetime.now(UTC) - begun).total_seconds()
            screen.say(f"[bold]{case.title}[/] ({took:.0f} s)\n{in_words(figures, bars)}\n")


def _interrupt(*_: object) -> None:
    """End as by Ctrl-C, so that everything started is stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
