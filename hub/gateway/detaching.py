"""uvicorn's HTTP protocol, from which a connection can be taken out of its ASGI task (`DETACH`).

Routing, middleware and authentication are the app's, as on any server. Then an endpoint may take the transport over:
the task ends, and with it go the parser, the queue and the events that are kept per connection (20 kB).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, cast

from httptools import HttpParserUpgrade
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hub.gateway.bounded_http import BoundedHttpProtocol
from hub.gateway.joined import JoinedWrites
from hub.gateway.upgrade import Upgrade

DETACH = "bellwire.detach"
"""The ASGI extension's name; its value is a `Detach`. Call it after the response's head (or `accept`) has been sent."""

Detach = Callable[[asyncio.Protocol], bool]
"""Gives the transport to a protocol (`connection_made` is called); False if it cannot: the client has gone, say."""


def detach_of(request: HTTPConnection) -> Detach | None:
    """Return how to take the connection over; None on servers that are not ours."""
    extensions: MutableMapping[str, Any] = request.scope.get("extensions") or {}
    detach: Detach | None = extensions.get(DETACH)
    return detach


class DetachableHttp(BoundedHttpProtocol):
    """For `uvicorn.Config(http=…)`; WebSockets are its own business then, whatever `ws` says (but not "none")."""

    _latest = b""
    """What is being parsed."""

    def data_received(self, data: bytes) -> None:
        """Parse, and keep at hand what may stand behind a handshake."""
        self._latest = data
        super().data_received(data)
        self._latest = b""

    def on_message_begin(self) -> None:
        """Offer the extension."""
        super().on_message_begin()
        self.scope["extensions"] = {DETACH: self._detach}  # type: ignore[dict-item]  # an extension of ours

    def handle_websocket_upgrade(self) -> None:
        """Hand over to a handshake of our own; called while `HttpParserUpgrade` is handled.

        Behind a request that has not been answered, a 101 would come before its answer, and that among the frames.
        Nobody needs this: the connection ends with the answer.
        """
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn types it as if there always were one
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            return
        upgraded = sys.exception()
        early = self._latest[upgraded.args[0] :] if isinstance(upgraded, HttpParserUpgrade) else b""
        transport = self.transport
        upgrade = Upgrade(transport, cast("MutableMapping[str, Any]", self.scope), self.url, early)
        upgrade.scope["extensions"][DETACH] = upgrade.detach
        self.connections.discard(self)
        transport.set_protocol(upgrade)
        task = self.loop.create_task(upgrade.run(cast(ASGIApp, self.app)))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self._forget()

    def _detach(self, protocol: asyncio.Protocol) -> bool:
        cycle = self.cycle
        pending = self.pipeline or self.flow.write_paused or self.transport.is_closing()
        if pending or not cycle.response_started or not cycle.chunked_encoding or cycle.disconnected:
            return False
        transport = self.transport
        cast(JoinedWrites, cycle.transport).flush()  # the head, before whatever the protocol writes
        cycle.disconnected = True  # so that uvicorn does not miss the response's end
        self.connections.discard(self)
        self._progress()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self._forget()
        return True

    def _forget(self) -> None:
        """Break the cycles between these, or they live until the garbage collector comes by: 20 kB a connection."""
        self.parser = self.scope = self.headers = self.cycle = self.flow = None  # type: ignore[assignment]
