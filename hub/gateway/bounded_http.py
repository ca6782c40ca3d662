"""uvicorn's HTTP protocol, with the bounds on strangers that httptools and uvicorn leave out.

httptools takes heads of any size, and joins a long header in quadratic time: 64 MiB of it, sent by anybody, stop the
loop for seconds and stay in memory. uvicorn waits for the end of a head, or for its first byte, for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hub.gateway.joined import JoinedWrites

MAX_HEAD = 64 * 1024
"""Bytes of request line and headers (or of a chunked body's framing and trailers), give or take one read."""

HEAD_TIMEOUT = 20.0
"""Seconds from a connection's beginning, or a request's first byte, to the end of its head."""

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttpProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    max_head = MAX_HEAD
    head_timeout = HEAD_TIMEOUT

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unaccounted = 0
        """Bytes read since the last progress: the end of a head, a piece of body, the end of a request."""
        self._late: asyncio.TimerHandle | None = None
        self._in_head = False
        """Whether a head has begun and not ended. As a rule it comes in one piece, and needs no timer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._progress()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and hang up on whoever sends on and on without getting anywhere."""
        self._unaccounted += len(data)
        super().data_received(data)
        if self._unaccounted > self.max_head and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif (self._in_head and self._late is None) or self._unwatched:
            self._expect_head()

    def on_message_begin(self) -> None:
        """See a request begin."""
        super().on_message_begin()
        self._progress()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """See a head end."""
        self._progress()
        self._in_head = False
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # it is the old one where a handshake follows
            self.cycle.transport = JoinedWrites(self.transport, self.loop)  # type: ignore[assignment]  # all that it uses

    def on_body(self, body: bytes) -> None:
        """See a piece of a body."""
        self._unaccounted = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See a request end."""
        self._unaccounted = 0
        super().on_message_complete()

    @property
    def _unwatched(self) -> bool:
        """Whether nothing waits for anything: uvicorn's wait for the next request ends with any byte.

        That may be an empty line, or the rest of a body that was refused.
        """
        cycle: RequestResponseCycle | None = self.cycle
        answered = cycle is not None and cycle.response_complete
        waiting = self._late is not None or self.timeout_keep_alive_task is not None
        return answered and not waiting and self in self.connections  # else it is somebody else's by now

    def _expect_head(self) -> None:
        self._progress()
        self._late = self.loop.call_later(self.head_timeout, self._give_up)

    def _give_up(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn types it as if there always were one
        if cycle is not None and not cycle.response_complete:
            self._late = self.loop.call_later(self.head_timeout, self._give_up)  # a pipelined head waits its turn
        else:
            self.transport.close()

    def _progress(self) -> None:
        self._unaccounted = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None
