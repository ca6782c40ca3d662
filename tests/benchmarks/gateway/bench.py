"""What every case is given."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress, TaskID

from tests.benchmarks.gateway.bellwire import Services
from tests.benchmarks.gateway.cpu import Meter
from tests.benchmarks.gateway.streams import mark
from tests.benchmarks.gateway.swarm import Swarm, without_collections

BLOCKS = 3
"""A figure is the median of so many blocks of rounds."""


class Screen:
    """Progress bars."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Callable[..., None]]:
        """Show a bar while something is done so many times; call what it yields each time, or with how many it were."""
        task: TaskID = self._progress.add_task(what, total=total)
        try:
            yield lambda count=1: self._progress.advance(task, count)
        finally:
            self._progress.remove_task(task)

    def say(self, what: str) -> None:
        self._progress.console.print(what)


@dataclass(frozen=True, slots=True)
class Bench:
    """The settings of a run, and the parts that cases share."""

    clients: int
    quick: bool
    rate: float
    """Connects per second while a case is set up; 0: as many as the server takes."""
    folder: Path
    """For logs and configurations."""
    screen: Screen
    profiles: Path | None
    """Where profiles of the gateway go, if they are wanted."""
    services: Services
    """An empty database of the case's own, and Redis."""

    @property
    def rounds(self) -> int:
        """Messages in each block of a fan-out."""
        return 3 if self.quick else 10

    @property
    def costly_rounds(self) -> int:
        """Rounds in each block where one is many messages."""
        return 2 if self.quick else 4

    async def connect(self, load: Swarm, who: str, names: range | None = None) -> None:
        """Open the case's connections, gently."""
        names = range(self.clients) if names is None else names
        with self.screen.task(f"{who}: connecting", len(names)) as opened:
            await load.open(names, rate=self.rate, opened=opened)

    async def deliveries_per_cpu_second(
        self,
        load: Swarm,
        pid: int,
        publish: Callable[[range], Awaitable[object]],
        who: str,
        *,
        messages: int = 1,
        rounds: int | None = None,
        also: Meter | None = None,
    ) -> float:
        """Publish round after round, each once the last has reached everybody; returns the median rate.

        `publish` gets the numbers of the messages. `also` is started with the first counted round.
        """
        rounds = rounds or self.rounds
        meter, rates = Meter(pid), []
        with self.screen.task(f"{who}: messages", BLOCKS * rounds) as done, without_collections():
            for _ in range(2):  # to warm up
                await _round(load, publish, messages)
            if also is not None:
                also.start()
            with self.profile(pid, who):
                for _ in range(BLOCKS):
                    meter.start()
                    for _ in range(rounds):
                        await _round(load, publish, messages)
                        done()
                    rates.append(meter.read().per_cpu_second(rounds * messages * len(load.streams)))
        return statistics.median(rates)

    @contextmanager
    def profile(self, pid: int, who: str) -> Iterator[None]:
        """Record where a process of Bellwire spends its time, with py-spy, if profiles were asked for."""
        if self.profiles is None or not who.startswith("Bellwire"):
            yield
            return
        target = self.profiles / f"{who.lower().replace(' ', '-').replace(',', '')}.svg"
        spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        assert spy is not None
        recorder = subprocess.Popen(
            [spy, "record", "--native", "--rate", "200", "--output", str(target), "--pid", str(pid)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait(60)
            self.screen.say(f"profile: {target}")


async def _round(load: Swarm, publish: Callable[[range], Awaitable[object]], messages: int) -> None:
    await publish(load.expect(messages))
    await load.arrive()


def padded(number: int, size: int) -> str:
    """A text for a peer, as long as Bellwire's frames are."""
    return mark(number).ljust(size, "x")
