"""The hot path: what arrives on a subscribed connection, straight from the socket to the listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from hiredis import ProtocolError, Reader, ReplyError

from hub.bus.subscriptions import WANTED, Subscriptions
from hub.core.model import InboxKey, TopicKey
from hub.core.wire import LiveChange, SharedChange

_log = structlog.get_logger(__name__)

_decode = msgspec.msgpack.Decoder(LiveChange).decode
_decode_shared = msgspec.msgpack.Decoder(SharedChange).decode

_MESSAGES = frozenset((b"message", b"smessage"))
_CONFIRMATIONS = {b"subscribe": True, b"ssubscribe": True, b"unsubscribe": False, b"sunsubscribe": False}

_NOT_HERE = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "CROSSSLOT")
"""Error replies of a cluster that mean: this slot is not served here, or not now. Any other ends the connection."""


class Receiver(asyncio.Protocol):
    """Reads one connection until it is lost; takes over from the `Connection` that logged in."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        *,
        on_change: Callable[[InboxKey, LiveChange], None],
        on_shared: Callable[[TopicKey, SharedChange], None],
        on_reply: Callable[[], None],
        on_trouble: Callable[[], None],
    ) -> None:
        """`on_reply` hears of every confirmation; `on_trouble` of channels that this server serves no more."""
        self._reader = Reader()
        self._subscriptions = subscriptions
        self._entries = subscriptions.entries
        self._on_change = on_change
        self._on_shared = on_shared
        self._on_reply = on_reply
        self._on_trouble = on_trouble
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self.heard_at = loop.time()
        self.in_doubt = False
        """Whether something could not be understood or handled since this was last reset: no better than lost."""
        self.lost: asyncio.Future[None] = loop.create_future()
        """Raises when the connection is of no more use."""

    def data_received(self, data: bytes) -> None:
        """Hand every message on; nothing that a message holds ends the connection."""
        self.heard_at = self._clock()
        gets, entries, on_change = self._reader.gets, self._entries, self._on_change
        try:
            self._reader.feed(data)
            while (reply := gets()) is not False:
                if type(reply) is not list or reply[0] not in _MESSAGES:
                    self._take_in(reply)
                    continue
                _, channel, payload = reply
                entry = entries.get(channel)
                if entry is None or not entry.state & WANTED:
                    continue
                target = entry.target
                try:
                    if isinstance(target, InboxKey):
                        on_change(target, _decode(payload))
                    elif isinstance(target, TopicKey):
                        self._on_shared(target, _decode_shared(payload))
                    else:
                        target(payload)
                except (ValueError, msgspec.DecodeError):
                    self._doubt("bus_message_unreadable")
                except Exception as error:  # noqa: BLE001 - a fault in a listener must not end live delivery
                    self._doubt("bus_listener_failed", error)
        except (ProtocolError, ReplyError) as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell whoever watches."""
        self._end(ConnectionResetError("the server hung up"))

    def _take_in(self, reply: Any) -> None:
        if isinstance(reply, ReplyError):
            if not str(reply).startswith(_NOT_HERE):
                raise reply
            self._subscriptions.refused()
            self._on_trouble()
        elif type(reply) is list and len(reply) == 3 and reply[0] in _CONFIRMATIONS:  # noqa: PLR2004 - kind, channel, count
            kind, channel, _ = reply
            self._on_reply()
            if not self._subscriptions.replied(channel, subscribed=_CONFIRMATIONS[kind]):
                self._on_trouble()

    def _doubt(self, event: str, error: Exception | None = None) -> None:
        if not self.in_doubt:
            self.in_doubt = True
            _log.warning(event, exc_info=error)

    def _end(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)
            self.lost.exception()  # seen, should nobody look any more
