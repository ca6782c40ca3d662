"""The development mailbox: what the `console` provider sent, kept in memory for the demo page."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DevMessage:
    """One message that a real provider would have sent. `seq` grows by one with each."""

    seq: int
    channel: str
    to: str
    subject: str
    text: str
    html: str | None
    sent_at: int


class DevMailbox:
    """The newest messages, bounded."""

    def __init__(self, capacity: int = 200) -> None:
        self._messages: deque[DevMessage] = deque(maxlen=capacity)
        self._seq = 0

    def add(self, *, channel: str, to: str, subject: str, text: str, html: str | None, sent_at: int) -> DevMessage:
        """Keep a message, pushing out the oldest when full."""
        self._seq += 1
        message = DevMessage(self._seq, channel, to, subject, text, html, sent_at)
        self._messages.append(message)
        return message

    def messages(self, since: int = 0) -> list[DevMessage]:
        """Return the messages after sequence number `since`, oldest first."""
        return [message for message in self._messages if message.seq > since]
