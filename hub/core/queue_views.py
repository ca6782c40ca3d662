"""Queues, deliveries and their past, from the model to the wire."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby

import msgspec

from hub.core import views
from hub.core.errors import InvalidRequest
from hub.core.model import Delivery, DeliveryState
from hub.core.model.queues import COUNTED, DeliveryHistory, DeliveryPage, LaneDepth, Place, QueueState
from hub.core.transitions import ENDS
from hub.core.views import priority_name, rfc3339, rfc3339_or_none, rung_name
from hub.core.wire.queues import (
    DeliveriesOut,
    DeliveryDetailOut,
    DeliveryRowOut,
    LaneOut,
    QueueOut,
    RateOut,
    TraceOut,
)

WINDOWS = (1, 5, 15)
"""Minutes that rates are told for."""

_MINUTE = 60_000
_NOT_OURS = "is not a `next` that this server gave out"


def queue_view(queue: QueueState, now: int) -> QueueOut:
    """Show a queue as it is `now`."""
    lanes = [_lane_view(lane, now) for lane in queue.lanes]
    return QueueOut(
        channel=queue.channel.value,
        paused=queue.paused_at is not None,
        paused_at=rfc3339_or_none(queue.paused_at),
        queued=min(COUNTED, sum(lane.queued for lane in lanes)),
        due=min(COUNTED, sum(lane.due for lane in lanes)),
        lag_ms=max(lane.lag_ms for lane in lanes),
        in_flight=queue.in_flight,
        dead=queue.dead,
        audiences=queue.audiences,
        priorities=lanes,
        rates=[RateOut(minutes, _outcomes(queue.rates, now, minutes)) for minutes in WINDOWS],
    )


def _lane_view(lane: LaneDepth, now: int) -> LaneOut:
    lag = 0 if lane.earliest is None else max(0, now - lane.earliest)
    return LaneOut(priority=priority_name(lane.priority), queued=lane.queued, due=lane.due, lag_ms=lag)


def _outcomes(rates: Mapping[int, Mapping[str, int]], now: int, minutes: int) -> dict[str, int]:
    since = (now // _MINUTE - minutes) * _MINUTE
    total: Counter[str] = Counter()
    for minute, outcomes in rates.items():
        if minute >= since:
            total.update(outcomes)
    return dict(sorted(total.items()))


def row_view(delivery: Delivery) -> DeliveryRowOut:
    """Show a delivery in a list."""
    return DeliveryRowOut(
        id=str(delivery.id),
        notification=str(delivery.notification),
        recipient=delivery.user if delivery.user is not None else delivery.address or "",
        user=delivery.user,
        step=delivery.step,
        channel=delivery.channel.value,
        priority=priority_name(delivery.priority),
        state=delivery.state.value,
        reason=delivery.reason,
        due_at=rfc3339(delivery.due_at),
        unless=rung_name(delivery.unless),
        when=delivery.when.value,
        provider=delivery.provider,
        attempt_count=delivery.attempts,
        created_at=rfc3339(delivery.created_at),
        finished_at=rfc3339_or_none(delivery.finished_at),
    )


def page_view(page: DeliveryPage) -> DeliveriesOut:
    """Show a page of deliveries."""
    following = None if page.next is None else place_token(page.next)
    return DeliveriesOut([row_view(each) for each in page.deliveries], has_more=page.next is not None, next=following)


def detail_view(history: DeliveryHistory) -> DeliveryDetailOut:
    """Show a delivery with its past."""
    row = row_view(history.delivery)
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    trace = sorted(_trace(history), key=lambda each: each.at)  # stable: what is written down together stays so
    return DeliveryDetailOut(**fields, attempts=[views.attempt_view(each) for each in history.attempts], trace=trace)


def _trace(history: DeliveryHistory) -> Iterator[TraceOut]:
    """Put together what happened: what the delivery's rows say, and what was written down because they don't."""
    delivery = history.delivery
    queued = DeliveryState.QUEUED.value
    yield TraceOut(rfc3339(delivery.created_at), "created", queued, None)
    for number, calls in groupby(history.attempts, key=lambda each: each.number):
        made = list(calls)
        told = "; ".join(
            f"{call.endpoint}: {call.outcome}" + (f" ({call.detail})" * bool(call.detail)) for call in made
        )
        yield TraceOut(
            rfc3339(max(call.finished_at for call in made)),
            "attempt",
            DeliveryState.SENDING.value,
            f"Attempt {number} by {made[0].provider}: {told}",
        )
    for event in history.events:
        if event.ended_at is not None:
            yield TraceOut(rfc3339(event.ended_at), "ended", event.before.value, event.reason)
        yield TraceOut(
            rfc3339(event.at), event.kind.value, event.after.value, None if event.ended_at is not None else event.reason
        )
    if delivery.state in ENDS and delivery.finished_at is not None:
        yield TraceOut(rfc3339(delivery.finished_at), "ended", delivery.state.value, delivery.reason)


def place_token(place: Place) -> str:
    """Make the opaque `next` of a page that ends at a place."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def parse_place(token: str) -> Place:
    """Read what `place_token` wrote.

    Raises:
        InvalidRequest: it was not written by us.

    """
    try:
        raw = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        return msgspec.json.decode(raw, type=tuple[int | str, ...])
    except (ValueError, binascii.Error, UnicodeError, msgspec.DecodeError):
        raise InvalidRequest(_NOT_OURS, pointer="after") from None
