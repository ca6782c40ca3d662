"""`bellwire serve`: a node behind uvicorn, drained before it goes, and the first words on the terminal."""

from __future__ import annotations

import signal
import socket
import sys
from asyncio.trsock import TransportSocket
from collections.abc import Generator
from contextlib import contextmanager

import structlog
import uvicorn

from hub.app import Node, StartBackground, open_node
from hub.collector import spare_the_collector
from hub.core.errors import ConfigurationError
from hub.credentials import load_credentials
from hub.gateway.detaching import DetachableHttp
from hub.settings import Settings

log = structlog.get_logger(__name__)

SPARE_FILES = 200
"""Descriptors for all that is not a live connection: REST calls, the database, Redis."""

GRACE = 10
"""Seconds that requests under way have to end once the node is drained."""


SILENCE = 30_000
"""Milliseconds that what was written may stay unread before the connection is broken off. With a ping every 25 s, a
peer that vanished without a word is gone within 55."""


class NodeServer(uvicorn.Server):
    """A uvicorn server that tells live clients to come back elsewhere before it closes their connections."""

    def __init__(self, config: uvicorn.Config, node: Node) -> None:
        super().__init__(config)
        self._node = node
        self.ended_by: list[int] = []
        """The signals that ended it."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take signals as uvicorn does, but do not raise them again yet: the node has to be closed first."""
        with super().capture_signals():
            try:
                yield
            finally:
                self.ended_by, self._captured_signals = self._captured_signals, []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say where."""
        await super().startup(sockets)
        if self.started:
            for server in self.servers:
                for listening in server.sockets:
                    break_off_silence(listening)
            port = self.servers[0].sockets[0].getsockname()[1]
            announce(self._node.parts.settings, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the live connections while the loop still serves, then stop as uvicorn does."""
        await self._node.gateway.drain()
        await super().shutdown(sockets)


async def serve(settings: Settings, background: StartBackground | None = None) -> None:
    """Serve a node until a signal ends it.

    Raises:
        ConfigurationError: it cannot start as it is set up, or the address is taken.

    """
    refuse_taken_port(settings)
    open_enough_files(settings.connections)
    async with open_node(settings, background) as node:
        config = uvicorn.Config(
            node.app,
            host=settings.host,
            port=settings.port,
            http=DetachableHttp,
            ws="websockets-sansio",  # never called: `DetachableHttp` shakes hands itself
            lifespan="off",
            access_log=False,  # tickets travel in query strings
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            forwarded_allow_ips=settings.forwarded_allow_ips,
        )
        server = NodeServer(config, node)
        spare_the_collector()
        await server.serve()
    for number in reversed(server.ended_by):
        signal.raise_signal(number)


def open_enough_files(connections: int) -> None:
    """Raise the limit of open files as far as we may (it is often 1,024), and say so if that is not enough."""
    try:
        import resource  # noqa: PLC0415 - Unix only
    except ImportError:
        return
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < most or most == resource.RLIM_INFINITY:
        wanted = max(allowed, connections + SPARE_FILES) if most == resource.RLIM_INFINITY else most
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        allowed = wanted
    if allowed < connections + SPARE_FILES:
        log.warning("few_open_files", limit=allowed, needed=connections + SPARE_FILES, see="docs/gateway.md")


def break_off_silence(listening: socket.socket | TransportSocket, after: int = SILENCE) -> None:
    """Have the system end connections whose peer has vanished, or does not read; accepted sockets inherit it.

    Closing alone waits for a buffer that never drains: a slow client would keep its descriptor, and megabytes of the
    kernel's memory, for as long as it likes; one that vanished would count as present for a quarter of an hour.
    """
    if listening.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, after)


def refuse_taken_port(settings: Settings) -> None:
    """Say clearly that the address cannot be had, before anything is opened.

    Raises:
        ConfigurationError: naming the address.

    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
                "choose another with --port or BELLWIRE_PORT (make run PORT=9010)"
            ) from None


def announce(settings: Settings, port: int) -> None:
    """Say where the page is and how to publish. Secrets go to a terminal only, never into a log."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{'127.0.0.1' if host in {'0.0.0.0', '[::]'} else host}:{port}"  # noqa: S104 - compared, not bound
    credentials = load_credentials(settings)
    key_file = credentials.api_key_file
    key = f"$(cat {key_file})" if key_file is not None else "$BELLWIRE_API_KEY"
    if not sys.stdout.isatty():
        log.info("listening", page=f"{base}/", publish=_curl(base, key))
        return
    log.info("listening", page=f"{base}/")
    made = (
        f"  API key     {credentials.api_key}\n  JWT secret  {credentials.jwt_secret}\n"
        f"  (made for this machine, kept in {key_file.parent}/)\n\n"
        if key_file is not None
        else ""
    )
    print(  # noqa: T201 - a person's terminal, not a log
        f"\n  Bellwire is ringing at  {base}/\n\n{made}  Try it:\n\n  {_curl(base, key)}\n", flush=True
    )


def _curl(base: str, key: str) -> str:
    return (
        f'curl {base}/v1/notifications -H "Authorization: Bearer {key}" -H "Content-Type: application/json" '
        """-d '{"recipients": ["ada"], "title": "Hello, Ada", "body": "Your first notification."}'"""
    )
