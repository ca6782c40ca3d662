from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    """What a fake received."""

    path: str
    headers: Mapping[str, str]
    """With names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What a fake answers."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpFake:
    """An HTTP server on 127.0.0.1 that answers POSTs by path, and keeps what it was sent."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.silent: set[str] = set()
        """Paths that get no answer until the test is over."""
        self._over = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if self.path in fake.silent:
                    fake._over.wait()
                    self.close_connection = True
                    return
                reply = fake.replies.get(self.path, Reply(404))
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def received(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    @contextmanager
    def running(self) -> Iterator[HttpFake]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections for as long as the block lasts: bound, but nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
