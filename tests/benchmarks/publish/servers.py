"""What is measured, as processes: Bellwire on either database, also with a commit for each publish, and the bare."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.gateway.bellwire import API_KEY, JWT_SECRET
from tests.benchmarks.gateway.machine import SERVER_CORES
from tests.benchmarks.gateway.processes import running
from tests.support.ports import free_port

_BARE = "tests.benchmarks.publish.bare"
_ONE_BY_ONE = "tests.benchmarks.publish.one_by_one"

HEADERS = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    pid: int
    port: int


@contextmanager
def bellwire(
    folder: Path, database_url: str, redis_url: str | None = None, *, grouped: bool = True
) -> Iterator[Server]:
    """Run `bellwire serve`, without a worker; not `grouped`, every publish has a transaction of its own."""
    env = {
        "BELLWIRE_DATABASE_URL": database_url,
        "BELLWIRE_API_KEY": API_KEY,
        "BELLWIRE_JWT_SECRET": JWT_SECRET,
        "BELLWIRE_DATA_DIR": str(folder / "data"),
        "BELLWIRE_WORKER": "false",
        "BELLWIRE_LOG_LEVEL": "warning",
        **({} if redis_url is None else {"BELLWIRE_REDIS_URL": redis_url}),
    }
    command = [str(Path(sys.executable).with_name("bellwire"))] if grouped else [sys.executable, "-m", _ONE_BY_ONE]
    with _serving([*command, "serve", "--port"], folder, "/readyz", env) as server:
        yield server


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """Run the endpoint that only reads the body."""
    with _serving([sys.executable, "-m", _BARE], folder, "/", {}) as server:
        yield server


@contextmanager
def _serving(command: list[str], folder: Path, ready: str, env: Mapping[str, str]) -> Iterator[Server]:
    port = free_port()
    log = folder / f"server-{port}.log"
    with running(
        [*command, str(port)], log=log, ready=lambda: _answers(port, ready), cores=SERVER_CORES, env=env
    ) as pid:
        yield Server(pid, port)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        good = connection.getresponse().status == 200
        connection.close()
        return good
    return False
