"""`make bench-gateway`: the gateway beside nchan and Socket.IO, measured in one run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tests.benchmarks.gateway import bellwire, machine, report
from tests.benchmarks.gateway.bench import Bench, Screen
from tests.benchmarks.gateway.cases import connect, fanout, fleet, latency, memory, routing
from tests.benchmarks.gateway.peers import nchan, socket_io
from tests.benchmarks.gateway.runner import Case as ReportedCase
from tests.benchmarks.gateway.runner import Measured, Runner, folder_of

QUICK_CLIENTS = 1_000
_SPARE = 1_000
"""Descriptors for everything that is not a client's connection."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case, and what its heading in the report says; its docstring says how it measures."""

    title: str
    run: Callable[[Bench], Awaitable[Measured]]


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
    count = QUICK_CLIENTS if quick else clients
    versions: dict[str, str] = {}
    runner = Runner("gateway", list(CASES), quick, folder_of(out, quick=quick), report.write, versions)
    chosen = runner.choose(only)

    def prepare() -> Iterator[object]:
        yield machine.raise_descriptor_limit(count + _SPARE)
        yield versions.update({"nchan": nchan.version(), "Socket.IO": socket_io.version()})
        yield socket_io.install()

    async def work(folder: Path, screen: Screen) -> None:
        async with bellwire.services() as services:
            for name in chosen:
                case = CASES[name]
                async with bellwire.fresh(services, f"bench_{name}") as own:
                    bench = Bench(count, quick, rate, folder, screen, runner.out if profile else None, own)
                    told = ReportedCase(name, case.title, case.run.__doc__, count)
                    await runner.case(screen, told, partial(case.run, bench))

    runner.run(prepare, work)


if __name__ == "__main__":
    typer.run(main)
