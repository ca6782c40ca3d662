"""The state machine of deliveries: which state may follow which, and by whose doing.

The store writes no other transition, and a test compares this table with the ones that a random history makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from hub.core.model import DeliveryState


class Actor(StrEnum):
    """Who changes a delivery's state."""

    WORKER = "worker"
    """Whoever holds the claim, as its fence proves."""
    RESCUER = "rescuer"
    """Acts for a worker that vanished, once its lease is over."""
    HUB = "hub"
    """What happens to the notification: it is seen, read, recalled, replaced, or it expires."""
    OPERATOR = "operator"
    """A person or program with the tenant's API key."""
    PROVIDER = "provider"
    """A receipt."""


_QUEUED, _SENDING, _SENT = DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.SENT
_DELIVERED, _OPENED, _CLICKED = DeliveryState.DELIVERED, DeliveryState.OPENED, DeliveryState.CLICKED
_FAILED, _CANCELLED = DeliveryState.FAILED, DeliveryState.CANCELLED
_SKIPPED, _EXPIRED = DeliveryState.SKIPPED, DeliveryState.EXPIRED

TRANSITIONS: Final[Mapping[tuple[DeliveryState, DeliveryState], frozenset[Actor]]] = MappingProxyType(
    {
        (_QUEUED, _SENDING): frozenset({Actor.WORKER}),
        (_QUEUED, _CANCELLED): frozenset({Actor.HUB, Actor.OPERATOR}),
        (_QUEUED, _EXPIRED): frozenset({Actor.HUB}),
        # What is `sending` belongs to its worker: nobody else ends it, and no operator either.
        (_SENDING, _QUEUED): frozenset({Actor.WORKER, Actor.RESCUER}),
        (_SENDING, _SENT): frozenset({Actor.WORKER}),
        (_SENDING, _FAILED): frozenset({Actor.WORKER, Actor.RESCUER}),
        (_SENDING, _CANCELLED): frozenset({Actor.WORKER}),
        (_SENDING, _SKIPPED): frozenset({Actor.WORKER}),
        (_SENDING, _EXPIRED): frozenset({Actor.WORKER}),
        (_FAILED, _QUEUED): frozenset({Actor.OPERATOR}),
        (_SKIPPED, _QUEUED): frozenset({Actor.OPERATOR}),
        (_SENT, _DELIVERED): frozenset({Actor.PROVIDER}),
        (_SENT, _OPENED): frozenset({Actor.PROVIDER}),
        (_SENT, _CLICKED): frozenset({Actor.PROVIDER}),
        (_DELIVERED, _OPENED): frozenset({Actor.PROVIDER}),
        (_DELIVERED, _CLICKED): frozenset({Actor.PROVIDER}),
        (_OPENED, _CLICKED): frozenset({Actor.PROVIDER}),
    }
)
"""Every legal transition, with those who may make it. A delivery begins as `queued`."""

ENDS: Final = frozenset(DeliveryState) - {_QUEUED, _SENDING}
"""The states in which nothing is left to do; `finished_at` is set in these, and only in these."""


def may(actor: Actor, before: DeliveryState, after: DeliveryState) -> bool:
    """Tell whether somebody may make this transition."""
    return actor in TRANSITIONS.get((before, after), frozenset())


def sources(actor: Actor, after: DeliveryState) -> frozenset[DeliveryState]:
    """Return the states out of which somebody may bring a delivery into another."""
    return frozenset(before for before, to in TRANSITIONS if to is after and may(actor, before, to))
