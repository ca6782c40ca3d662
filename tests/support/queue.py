"""Claims and settlements, as the suites of `DeliveryQueue` use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hub.core.model import Channel, DeliveryState, FailureKind, Priority, Rung
from hub.ports import Claim, DeliveryQueue, Lane, Settlement
from tests.support.clock import START

EMAIL = Lane(Channel.EMAIL, Priority.NORMAL)
PUSH = Lane(Channel.PUSH, Priority.NORMAL)
SMS = Lane(Channel.SMS, Priority.NORMAL)
LEASE = 30_000
SECOND = 1_000
MAX_CLAIMS = 3

TOUCHES: dict[Rung, dict[str, Any]] = {
    Rung.NONE: {},
    Rung.DELIVERED: {"delivered_at": START},
    Rung.SEEN: {"seen_at": START},
    Rung.READ: {"seen_at": START, "read_at": START},
}
"""What a user's item says once they have got so far."""


def settled(claim: Claim, state: DeliveryState, reason: str | None = None, *, due_at: int | None = None) -> Settlement:
    """End a claim; vary it with `replace`."""
    return Settlement(
        delivery=claim.delivery.id,
        tenant=claim.delivery.tenant,
        fence=claim.delivery.fence,
        state=state,
        reason=reason,
        due_at=due_at,
        failure=FailureKind.REFUSED if state is DeliveryState.FAILED else None,
    )


def ids(claims: Sequence[Claim]) -> list[UUID]:
    return [claim.delivery.id for claim in claims]


async def claim_one(queue: DeliveryQueue, now: int = START, lane: Lane = EMAIL) -> Claim:
    [claim] = await queue.claim(lane, now, LEASE, 10)
    return claim
