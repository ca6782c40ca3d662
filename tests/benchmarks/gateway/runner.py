"""What the command of every benchmark does around its cases: choose, run, report, and stop in order."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from tests.benchmarks.gateway import machine, results
from tests.benchmarks.gateway.bench import Screen
from tests.benchmarks.gateway.http import PublishFailed
from tests.benchmarks.gateway.peers.missing import Missing
from tests.benchmarks.gateway.processes import ServerFailed
from tests.benchmarks.gateway.report import in_words
from tests.benchmarks.gateway.results import Bar, CaseResult, Figure, Run
from tests.benchmarks.gateway.swarm import LoadFailed

Measured = tuple[list[Figure], list[Bar]]


class Case(NamedTuple):
    """A case as the report has it."""

    name: str
    title: str
    how: str | None
    """How it measures."""
    clients: int


@dataclass(slots=True)
class Runner:
    """One run of a benchmark."""

    name: str
    """Of the command behind `bench-`, and of the files."""
    cases: Sequence[str]
    """All there are, in the order of the report."""
    quick: bool
    out: Path
    write: Callable[[Run, Path], None]
    """Writes the report."""
    versions: Mapping[str, str] = field(default_factory=dict)
    _found: list[CaseResult] = field(default_factory=list)
    _console: Console = field(default_factory=Console)

    def choose(self, only: Sequence[str] | None) -> list[str]:
        """Return the cases that are to be run.

        Raises:
            BadParameter: there is no case of such a name.

        """
        chosen = list(only or self.cases)
        if unknown := set(chosen) - set(self.cases):
            raise typer.BadParameter(f"no such case: {', '.join(sorted(unknown))}")
        return chosen

    def run(
        self, prepare: Callable[[], Iterable[object]], work: Callable[[Path, Screen], Coroutine[None, None, None]]
    ) -> None:
        """Run the cases; `work` calls `case` for each. Ends the process.

        `prepare` looks whether all is there that is needed, before anything is started.
        """
        signal.signal(signal.SIGTERM, _interrupt)
        status = 0
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        try:
            machine.leave_the_server_alone()
            list(prepare())
            self.out.mkdir(parents=True, exist_ok=True)
            with (
                tempfile.TemporaryDirectory(prefix="bellwire-bench-") as folder,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
                Progress(*columns, console=self._console, refresh_per_second=2, transient=True) as progress,
            ):
                runner.run(work(Path(folder), Screen(progress)))
        except (machine.TooSmall, Missing, ServerFailed, LoadFailed, PublishFailed) as error:
            self._console.print(f"[red]bench-{self.name}:[/] {error}", highlight=False)
            status = 1
        except KeyboardInterrupt:
            self._console.print("Interrupted.")
            status = 130
        if self._found:
            self._save()
            self._console.print(f"Written: {self.out}/{self.name}.md, {self.name}.json and plots.")
        raise typer.Exit(status)

    async def case(self, screen: Screen, case: Case, measure: Callable[[], Awaitable[Measured]]) -> None:
        """Run one case and tell what it found."""
        begun = datetime.now(UTC)
        with screen.task(f"[bold]{case.title}", 1):
            figures, bars = await measure()
        taken, how = begun.isoformat(timespec="seconds"), " ".join((case.how or "").split())
        self._found.append(CaseResult(case.name, case.title, how, taken, case.clients, figures, bars))
        took = (datetime.now(UTC) - begun).total_seconds()
        screen.say(f"[bold]{case.title}[/] ({took:.0f} s)\n{in_words(figures, bars)}\n")

    def _save(self) -> None:
        """Write the report; cases that were not run, or not to their end, stay as they were."""
        raw = self.out / f"{self.name}.json"
        run = Run(dict(machine.describe()), dict(self.versions), results.load(raw)).with_cases(self._found, self.cases)
        results.save(run, raw)
        self.write(run, self.out)


def folder_of(out: Path | None, *, quick: bool) -> Path:
    """Return where the report goes."""
    return out or Path("test-artifacts/benchmarks" if quick else "docs/benchmarks")


def _interrupt(*_: object) -> None:
    """End as by Ctrl-C, so that everything started is stopped."""
    raise KeyboardInterrupt
