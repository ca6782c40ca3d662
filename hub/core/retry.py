"""When to try again: exponential back-off with full jitter, and what the provider asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from hub.core.model import Channel

MAX_RETRY_AFTER = 24 * 3_600_000
"""Milliseconds: a provider that asks for more is asked again after a day."""

Random = Callable[[], float]
"""Returns a number in [0, 1), as `random.random` does."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast to try again; times in milliseconds.

    The n-th wait is drawn evenly from [0, min(cap, base * factor**(n-1))): full jitter, so that what failed
    together does not come back together.
    """

    max_attempts: int = 5
    base: int = 15_000
    factor: int = 4
    cap: int = 15 * 60_000

    def next_due(self, attempts: int, now: int, random: Random, retry_after: int | None = None) -> int | None:
        """Return when to try again after `attempts` failed attempts; None if that was the last.

        Never earlier than the provider's `retry_after` (milliseconds); the jitter comes on top of it.
        """
        if attempts >= self.max_attempts:
            return None
        return now + min(max(retry_after or 0, 0), MAX_RETRY_AFTER) + self.jitter(attempts, random)

    def jitter(self, attempts: int, random: Random) -> int:
        """Draw the wait that follows the `attempts`-th attempt."""
        # The exponent is bounded so that an attempt count of any size stays cheap to compute.
        ceiling = min(self.cap, self.base * self.factor ** min(max(attempts - 1, 0), 16))
        return int(ceiling * random())


POLICIES: Mapping[Channel, RetryPolicy] = MappingProxyType(
    {
        Channel.EMAIL: RetryPolicy(max_attempts=5),
        Channel.CHAT: RetryPolicy(max_attempts=4),
        Channel.PUSH: RetryPolicy(max_attempts=3),
        Channel.WEBPUSH: RetryPolicy(max_attempts=3),
        Channel.SMS: RetryPolicy(max_attempts=3),
    }
)
"""The policy of each channel, if the settings do not say otherwise.

Mail servers that put strangers off for minutes (greylisting) are an everyday matter, and a mail is as good half an hour
later. A push or a text message is about now: after three attempts, about a minute, the next step shall have its turn.
"""


def policies(max_attempts: Mapping[Channel, int]) -> Mapping[Channel, RetryPolicy]:
    """Return the policies with other limits for some channels."""
    return {
        channel: replace(policy, max_attempts=max_attempts.get(channel, policy.max_attempts))
        for channel, policy in POLICIES.items()
    }


def parse_retry_after(value: str | None, now: int) -> int | None:
    """Read a `Retry-After` header (RFC 9110: seconds or an HTTP date) as milliseconds from `now`.

    What cannot be read counts as absent: a provider's slip must not turn into an error of ours.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:10]) * 1000, MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without an offset is UTC, not this machine's time.
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0, int(at.timestamp() * 1000) - now), MAX_RETRY_AFTER)
