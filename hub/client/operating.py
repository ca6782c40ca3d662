"""Queues, deliveries and schedules: what operators look at and act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hub.client.calls import Call, Series, encode, key_or_new, nothing, pages, path, query_of, reader
from hub.client.publishing import read_published
from hub.client.types import Published, ScheduleStatus
from hub.core import wire
from hub.core.wire.queues import (
    DeliveriesOut,
    DeliveryDetailOut,
    DeliveryPatchIn,
    DeliveryRowOut,
    EmptiedOut,
    QueueOut,
    QueuesOut,
    ReplayIn,
    ReplayOut,
)


def queues() -> Call[QueuesOut]:
    """Ask for every queue: depth, lag, what is on its way, what is dead."""
    return Call("GET", path("queues"), reader(QueuesOut))


def queue(channel: str) -> Call[QueueOut]:
    """Ask for the queue of one channel."""
    return Call("GET", path("queues", channel, channel=channel), reader(QueueOut))


def pause_queue(channel: str) -> Call[QueueOut]:
    """Stop sending on a channel, on every worker, until it is resumed."""
    return Call("PUT", path("queues", channel, "pause", channel=channel), reader(QueueOut))


def resume_queue(channel: str) -> Call[QueueOut]:
    """Go on sending."""
    return Call("PUT", path("queues", channel, "resume", channel=channel), reader(QueueOut))


def empty_queue(channel: str) -> Call[EmptiedOut]:
    """Cancel what waits. While the answer says `more`, call again."""
    return Call("PUT", path("queues", channel, "empty", channel=channel), reader(EmptiedOut), repeatable=False)


def deliveries_page(
    *,
    state: str | None = None,
    channel: str | None = None,
    user: str | None = None,
    notification: str | None = None,
    provider: str | None = None,
    reason: str | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    ended_after: str | None = None,
    ended_before: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Call[DeliveriesOut]:
    """Ask for a page of deliveries, the latest first. It may be short, or empty, and yet have more."""
    query = query_of(
        state=state,
        channel=channel,
        user=user,
        notification=notification,
        provider=provider,
        reason=reason,
        created_after=created_after,
        created_before=created_before,
        ended_after=ended_after,
        ended_before=ended_before,
        after=after,
        limit=limit,
    )
    return Call("GET", path("deliveries"), reader(DeliveriesOut), query=query)


def deliveries(
    *,
    state: str | None = None,
    channel: str | None = None,
    user: str | None = None,
    notification: str | None = None,
    provider: str | None = None,
    reason: str | None = None,
) -> Series[DeliveryRowOut]:
    """List all deliveries that match, the latest first, page by page."""
    return pages(
        lambda after: deliveries_page(
            state=state,
            channel=channel,
            user=user,
            notification=notification,
            provider=provider,
            reason=reason,
            after=after,
            limit=500,
        )
    )


def delivery(id: str) -> Call[DeliveryDetailOut]:  # noqa: A002 - what the hub calls it, here and below
    """Ask for a delivery, every call to a provider, and how it came to be what it is."""
    return Call("GET", path("deliveries", id, id=id), reader(DeliveryDetailOut))


def change_delivery(id: str, patch: DeliveryPatchIn) -> Call[DeliveryDetailOut]:  # noqa: A002
    """Reschedule a delivery, or correct its address."""
    return Call("PATCH", path("deliveries", id, id=id), reader(DeliveryDetailOut), body=encode(patch))


def act_on_delivery(id: str, act: Literal["retry", "cancel", "promote"]) -> Call[DeliveryDetailOut]:  # noqa: A002
    """Put a dead delivery back into the queue, cancel one that waits, or send it now."""
    # Repeating one that worked would be refused for the state that it has now.
    return Call("POST", path("deliveries", id, act, id=id), reader(DeliveryDetailOut), repeatable=False)


def replay(request: ReplayIn) -> Call[ReplayOut]:
    """Put dead deliveries that match back into the queue. While the answer says `has_more`, go on with its `next`."""
    # Repeating it would do no harm, but count anew.
    return Call("POST", path("deliveries", "replay"), reader(ReplayOut), body=encode(request), repeatable=False)


def create_schedule(schedule: wire.ScheduleIn, *, idempotency_key: str | None = None) -> Call[wire.ScheduleOut]:
    """Store a notification that is to be published later, or again and again."""
    key = key_or_new(idempotency_key)
    return Call("POST", path("schedules"), reader(wire.ScheduleOut), body=encode(schedule), key=key)


def schedules_page(*, after: str | None = None, limit: int | None = None) -> Call[wire.SchedulesOut]:
    """Ask for a page of schedules, the oldest first."""
    return Call("GET", path("schedules"), reader(wire.SchedulesOut), query=query_of(after=after, limit=limit))


def schedules() -> Series[wire.ScheduleOut]:
    """List all schedules, the oldest first, page by page."""
    return pages(lambda after: schedules_page(after=after, limit=100))


def schedule(id: str) -> Call[ScheduleStatus]:  # noqa: A002
    """Ask for a schedule, what it publishes, and the last that it did."""
    return Call("GET", path("schedules", id, id=id), reader(ScheduleStatus))


def change_schedule(id: str, patch: wire.SchedulePatchIn) -> Call[wire.ScheduleOut]:  # noqa: A002
    """Change a schedule; what is left out stays."""
    return Call("PATCH", path("schedules", id, id=id), reader(wire.ScheduleOut), body=encode(patch))


def delete_schedule(id: str) -> Call[None]:  # noqa: A002
    """Delete a schedule. What it has published stays."""
    # Repeating one that worked would say that there is no such schedule.
    return Call("DELETE", path("schedules", id, id=id), nothing, repeatable=False)


def pause_schedule(id: str) -> Call[wire.ScheduleOut]:  # noqa: A002
    """Pause a schedule; doing it again changes nothing."""
    return Call("PUT", path("schedules", id, "pause", id=id), reader(wire.ScheduleOut))


def resume_schedule(id: str) -> Call[wire.ScheduleOut]:  # noqa: A002
    """Resume a schedule; doing it again changes nothing."""
    return Call("PUT", path("schedules", id, "resume", id=id), reader(wire.ScheduleOut))


def run_schedule(id: str, *, idempotency_key: str | None = None) -> Call[Published]:  # noqa: A002
    """Publish now what a schedule publishes."""
    return Call("POST", path("schedules", id, "run", id=id), read_published, key=key_or_new(idempotency_key))


def next_runs(id: str, *, count: int | None = None) -> Call[wire.RunTimesOut]:  # noqa: A002
    """Ask when a schedule is due next."""
    return Call("GET", path("schedules", id, "next", id=id), reader(wire.RunTimesOut), query=query_of(count=count))


def request(
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    json: object = None,
    content: bytes | None = None,
    idempotency_key: str | None = None,
    repeatable: bool | None = None,
) -> Call[Any]:
    """Make any call of the REST reference, for what has no method here; gives what its JSON says, None for no content.

    The body is `json`, or `content` that is JSON already. `repeatable` is whether doing it twice is as good as once;
    left out, GET is, and what has an idempotency key.
    """
    key = None if idempotency_key is None else key_or_new(idempotency_key)
    safe = method == "GET" or key is not None
    return Call(
        method,
        path,
        lambda answer: _ANY(answer) if answer.body else None,
        query=query or {},
        body=content if json is None else encode(json),
        key=key,
        repeatable=safe if repeatable is None else repeatable,
    )


_ANY = reader(Any)
