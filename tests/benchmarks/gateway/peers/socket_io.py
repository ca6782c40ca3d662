"""Socket.IO on Node: npm's `socket.io`, with its Redis adapter and emitter, at the versions of `socketio/`."""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.gateway.peers import npm
from tests.benchmarks.gateway.processes import running
from tests.benchmarks.gateway.swarm import websocket_request
from tests.support.ports import free_port

EMIT = "/emit"

_SOURCES = Path(__file__).with_name("socketio")


@dataclass(frozen=True, slots=True)
class SocketIo:
    """A running Node process: a server, or an emitter."""

    pid: int
    port: int


def version() -> str:
    """Say which it is.

    Raises:
        Missing: there is no Node, or no npm.

    """
    node = npm.node_version()
    packages = json.loads((_SOURCES / "package.json").read_text())["dependencies"]
    return f"{packages['socket.io']} (Redis adapter {packages['@socket.io/redis-adapter']}) on Node {node}"


def install() -> Path:
    """Install the locked packages; returns their folder, and raises as `npm.install`."""
    return npm.install(_SOURCES, "socketio")


@contextmanager
def server(cores: Collection[int], folder: Path, redis_url: str | None = None) -> Iterator[SocketIo]:
    """Run a server; with `redis_url` behind the Redis adapter."""
    with _node("server.js", cores, folder, {"REDIS_URL": redis_url} if redis_url else {}) as running_server:
        yield running_server


@contextmanager
def emitter(cores: Collection[int], folder: Path, redis_url: str) -> Iterator[SocketIo]:
    """Run a publisher that reaches servers through Redis."""
    with _node("emitter.js", cores, folder, {"REDIS_URL": redis_url}) as running_emitter:
        yield running_emitter


def websocket(user: int | None = None) -> bytes:
    return websocket_request("/socket.io/?EIO=4&transport=websocket" + ("" if user is None else f"&user={user}"))


@contextmanager
def _node(script: str, cores: Collection[int], folder: Path, env: dict[str, str]) -> Iterator[SocketIo]:
    port = free_port()
    with running(
        ["node", str(_SOURCES / script)],
        log=folder / f"{script}-{port}.log",
        ready=lambda: _listens(port),
        cores=cores,
        env={"NODE_ENV": "production", "NODE_PATH": str(install() / "node_modules"), "PORT": str(port), **env},
    ) as pid:
        yield SocketIo(pid, port)


def _listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        connection.getresponse()
        connection.close()
        return True
    return False
