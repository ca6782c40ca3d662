"""When a provider is out, when it is back, and when operators are told.

Each worker has breakers of its own and tells how it finds its providers. A provider is *out* as long as one living
worker finds it so. It is *back* once none does and one has had an answer since the outage began: that a worker which
found it out has stopped says nothing. Pure; times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hub.core.model.queues import ProviderSign


@dataclass(frozen=True, slots=True)
class Outage:
    """The last outage of a provider of a channel, and what operators know of it."""

    since: int
    ended_at: int | None = None
    told: bool = False
    """Operators were told that it is out, and not yet that it is back."""
    quiet_until: int = 0
    """Not before this are they told again that it is out."""


def observe(known: Outage | None, signs: Sequence[ProviderSign], now: int) -> Outage | None:
    """Bring what is known up to what workers tell now; None: there has never been an outage."""
    since = min((sign.out_since for sign in signs if sign.out_since is not None), default=None)
    if since is None:
        if known is None or known.ended_at is not None or not _answered(signs, known.since):
            return known
        return replace(known, ended_at=now)
    if known is None:
        return Outage(since)
    if known.ended_at is None:
        return known
    # Who was not told that the last one has ended need not be told that this one has begun.
    return replace(known, ended_at=None, since=known.since if known.told else since)


def to_tell(outage: Outage, now: int) -> bool:
    """Tell whether there is something that operators do not know.

    That it is out they are told at most once in each quiet time, and that it is back only where they were told that it
    is out: a provider that comes and goes makes two messages in it, not a storm.
    """
    if outage.ended_at is None:
        return not outage.told and outage.quiet_until <= now
    return outage.told


def _answered(signs: Sequence[ProviderSign], since: int) -> bool:
    return any(sign.answered_at is not None and sign.answered_at > since for sign in signs)
