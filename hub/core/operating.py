"""What an operator does to a delivery: each act returns the delivery as it is then, or says why it cannot be done.

A delivery that a worker is sending is left alone, whatever is asked: its claim's fence is what keeps results in order.
"""

from __future__ import annotations

from dataclasses import replace

from hub.core.errors import InvalidRequest, StateConflict
from hub.core.model import Channel, Delivery, DeliveryState
from hub.core.model.queues import Change
from hub.core.text import check_email, check_phone
from hub.core.transitions import Actor, may

BY_OPERATOR = "Cancelled by an operator."
EMPTIED = "The queue was emptied by an operator."


def retried(delivery: Delivery, now: int) -> Delivery:
    """Put a dead delivery back into the queue, due now, with all its attempts before it.

    Endpoints that were reached stay so; those that were refused get another chance. Whether it is still needed is
    looked at as for any other: what was read or recalled meanwhile ends `cancelled`.

    Raises:
        StateConflict: it is not dead.

    """
    if not may(Actor.OPERATOR, delivery.state, DeliveryState.QUEUED):
        raise StateConflict(f"only what is `failed` or `skipped` can be retried; {_standing(delivery)}")
    return replace(
        delivery,
        state=DeliveryState.QUEUED,
        due_at=now,
        reason=None,
        finished_at=None,
        claims=0,
        forgiven=delivery.attempts,
    )


def promoted(delivery: Delivery, now: int) -> Delivery:
    """Make a delivery that waits due now; what its step asks of the user's presence still goes.

    Raises:
        StateConflict: it does not wait.

    """
    _require_queued(delivery, "be sent now")
    return replace(delivery, due_at=min(delivery.due_at, now))


def cancelled(delivery: Delivery, now: int, reason: str = BY_OPERATOR) -> Delivery:
    """End a delivery that waits; one that is cancelled stays as it is. Its next step keeps its own time.

    Raises:
        StateConflict: it does not wait.

    """
    if delivery.state is DeliveryState.CANCELLED:
        return delivery
    _require_queued(delivery, "be cancelled")
    return replace(delivery, state=DeliveryState.CANCELLED, reason=reason, finished_at=now)


def changed(delivery: Delivery, change: Change) -> Delivery:
    """Move a delivery to another time or priority while it waits; or correct the address that it goes to.

    Only the address may also be changed of one that is dead, so that it can be retried. A delivery to a user has no
    address of its own: it goes where the user's contact says when it is claimed.

    Raises:
        StateConflict: it does not wait (or, for an address alone, it is not dead either).
        InvalidRequest: it goes to a user, or the channel has other addresses.

    """
    address = delivery.address
    if change.address is not None:
        address = _address(delivery, change.address)
    dead = may(Actor.OPERATOR, delivery.state, DeliveryState.QUEUED)
    if not (dead and change.due_at is None and change.priority is None):
        _require_queued(delivery, "be changed")
    return replace(
        delivery,
        address=address,
        due_at=delivery.due_at if change.due_at is None else change.due_at,
        priority=delivery.priority if change.priority is None else change.priority,
    )


def _address(delivery: Delivery, address: str) -> str:
    if delivery.address is None:
        raise InvalidRequest(
            "this delivery goes to a user: change the contact instead (PUT /v1/users/{user}), which is read when the "
            "delivery is claimed",
            pointer="$.address",
        )
    check = check_phone if delivery.channel is Channel.SMS else check_email
    return check(address, "$.address")


def _require_queued(delivery: Delivery, what: str) -> None:
    if delivery.state is not DeliveryState.QUEUED:
        raise StateConflict(f"only what is `queued` can {what}; {_standing(delivery)}")


def _standing(delivery: Delivery) -> str:
    if delivery.state is DeliveryState.SENDING:
        return "a worker is sending it right now; look again once it has ended"
    if delivery.state is DeliveryState.QUEUED:
        return "it is `queued`, and not dead"
    return f"it is `{delivery.state.value}`"
