"""`make bench-gateway`: the gateway beside nchan and Socket.IO, measured in one run."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks.gateway import bellwire, machine, report, results
from tests.benchmarks.gateway.bench import Bench, Screen
from tests.benchmarks.gateway.cases import connect, fanout, fleet, latency, memory, routing
from tests.benchmarks.gateway.http import PublishFailed
from tests.benchmarks.gateway.peers import nchan, socket_io
from tests.benchmarks.gateway.peers.missing import Missing
from tests.benchmarks.gateway.processes import ServerFailed
from tests.benchmarks.gateway.results import Bar, CaseResult, Figure, Run
from tests.benchmarks.gateway.swarm import LoadFailed

QUICK_CLIENTS = 1_000
_SPARE = 1_000
"""Descriptors for everything that is not a client's connection."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case, and what its heading in the report says; its docstring says how it measures."""

    title: str
    run: Callable[[Bench], Awaitable[tuple[list[Figure], list[Bar]]]]


CASES = {
    "ws_fanout": Case("One message to all WebSockets", fanout.ws_fanout),
    "ws_burst": Case("Ten messages at once to all WebSockets", fanout.ws_burst),
    "sse_fanout": Case("One message to all event streams", fanout.sse_fanout),
    "memory": Case("Memory of an idle connection", memory.memory),
    "routing": Case("Each user their own message, through Redis", routing.routing),
    "connect": Case("Connect and resume", connect.connect),
    "latency": Case("Publish at one node, socket on another", latency.latency),
    "fleet": Case("All connections of one machine", fleet.fleet),
}


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Cases, of: {', '.join(CASES)}.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A smoke run: few clients, no figures worth keeping.")] = False,
    clients: Annotated[int, typer.Option(help="Connections of each kind.", min=100)] = 10_000,
    rate: Annotated[float, typer.Option(help="Connects a second while setting up; 0: no bound.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the report [docs/benchmarks].")] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Record the gateway with py-spy (figures suffer).")
    ] = False,
) -> None:
    """Measure the gateway, nchan and Socket.IO; write a table, plots and the raw figures."""
    chosen = only or list(CASES)
    if unknown := set(chosen) - set(CASES):
        raise typer.BadParameter(f"no such case: {', '.join(sorted(unknown))}")
    out = out or Path("test-artifacts/benchmarks" if quick else "docs/benchmarks")
    count = QUICK_CLIENTS if quick else clients
    console, found = Console(), list[CaseResult]()
    signal.signal(signal.SIGTERM, _interrupt)
    status = 0
    try:
        machine.leave_the_server_alone()
        machine.raise_descriptor_limit(count + _SPARE)
        versions = {"nchan": nchan.version(), "Socket.IO": socket_io.version()}
        socket_io.install()
        out.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="bellwire-bench-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            setting = _Setting(count, quick, rate, Path(folder), out if profile else None)
            runner.run(_run(chosen, setting, console, found))
    except (machine.TooSmall, Missing, ServerFailed, LoadFailed, PublishFailed) as error:
        console.print(f"[red]bench-gateway:[/] {error}", highlight=False)
        status = 1
    except KeyboardInterrupt:
        console.print("Interrupted.")
        status = 130
    if found:
        _write(found, versions, out)
        console.print(f"Written: {out}/gateway.md, gateway.json and plots.")
    raise typer.Exit(status)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all cases of a run have in common."""

    clients: int
    quick: bool
    rate: float
    folder: Path
    profiles: Path | None


def _write(found: Sequence[CaseResult], versions: dict[str, str], out: Path) -> None:
    """Write the report; cases that were not run, or not to their end, stay as they were."""
    raw = out / "gateway.json"
    run = Run(dict(machine.describe()), versions, results.load(raw)).with_cases(found, list(CASES))
    results.save(run, raw)
    report.write(run, out)


async def _run(chosen: Sequence[str], setting: _Setting, console: Console, found: list[CaseResult]) -> None:
    """Run the cases one after the other; each is in `found` once it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        screen = Screen(progress)
        async with bellwire.services() as services:
            for name in chosen:
                case = CASES[name]
                async with bellwire.fresh(services, f"bench_{name}") as own:
                    bench = Bench(
                        setting.clients, setting.quick, setting.rate, setting.folder, screen, setting.profiles, own
                    )
                    begun = datetime.now(UTC)
                    with screen.task(f"[bold]{case.title}", 1):
                        figures, bars = await case.run(bench)
                taken = begun.isoformat(timespec="seconds")
                how = " ".join((case.run.__doc__ or "").split())
                found.append(CaseResult(name, case.title, how, taken, setting.clients, figures, bars))
                took = (datetime.now(UTC) - begun).total_seconds()
                screen.say(f"[bold]{case.title}[/] ({took:.0f} s)\n{report.in_words(figures, bars)}\n")


def _interrupt(*_: object) -> None:
    """End as by Ctrl-C, so that everything started is stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
