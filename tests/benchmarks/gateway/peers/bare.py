"""The floor: `send(2)` to every socket in a loop, nothing else. No server that writes to each socket gets below it.

As a program, a server of that kind: who comes by GET gets a 101 and is written to; what comes by POST is sent to all.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.gateway.processes import running
from tests.benchmarks.gateway.swarm import websocket_request
from tests.support.ports import free_port

PUBLISH = "/"


@dataclass(frozen=True, slots=True)
class Bare:
    """A running server."""

    pid: int
    port: int


@contextmanager
def bare(cores: Collection[int], folder: Path) -> Iterator[Bare]:
    """Run one."""
    port = free_port()
    command = [sys.executable, "-m", __name__, str(port)]
    with running(command, log=folder / "bare.log", ready=lambda: _listens(port), cores=cores) as pid:
        yield Bare(pid, port)


def websocket() -> bytes:
    return websocket_request("/")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def _serve(port: int) -> None:
    listening = socket.create_server(("127.0.0.1", port), backlog=4096)
    poll = select.epoll()
    poll.register(listening, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    subscribed: list[socket.socket] = []
    while True:
        for number, _ in poll.poll():
            if number == listening.fileno():
                client, _ = listening.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
                continue
            client = clients[number]
            data = client.recv(65536)
            if data.startswith(b"GET"):
                client.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                subscribed.append(client)
            elif data.startswith(b"POST"):
                _send_to_all(subscribed, data.partition(b"\r\n\r\n")[2])
                client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                poll.unregister(client)
                client.close()
                with suppress(ValueError):
                    subscribed.remove(client)


def _send_to_all(sockets: list[socket.socket], text: bytes) -> None:
    frame = b"\x81\x7e" + len(text).to_bytes(2) + text
    for one in sockets:
        one.send(frame)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
