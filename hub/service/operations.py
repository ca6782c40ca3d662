"""Operating the fallback side: queues, deliveries, the dead-letter queue, and what a publish would do."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from hub.core import publication, wire
from hub.core.errors import InvalidRequest, NotFound, RequestError
from hub.core.events import prepare_event
from hub.core.model import Channel, DeliveryState, InboxKey, Priority, Publication
from hub.core.model.queues import Change, DeliveryFilter, EventKind, Place, QueueKey
from hub.core.publication import LATE, MAX_AHEAD, MAX_RECIPIENTS
from hub.core.queue_views import detail_view, page_view, parse_place, place_token, queue_view
from hub.core.rehearsal import Surroundings, rehearse
from hub.core.text import check_id, check_text
from hub.core.views import parse_rfc3339, rfc3339
from hub.core.wire.queues import (
    DeliveriesOut,
    DeliveryDetailOut,
    DeliveryPatchIn,
    EmptiedOut,
    QueueOut,
    ReplayIn,
    ReplayOut,
)
from hub.core.wire.rehearsal import RehearsalOut
from hub.ports import Bus, Clock, Presence
from hub.ports.operating import QueueControl, WorkerReports

CHUNK = 500
"""Deliveries that one transaction changes."""

MAX_EMPTIED = 20_000
"""Deliveries that one call cancels; the caller repeats it while there are more."""

MAX_REPLAYED = 10_000
"""Dead deliveries that one call looks at."""

_MAX_REASON = 200


class Operations:
    """What operators see and do; of their own tenant."""

    def __init__(
        self, control: QueueControl, reports: WorkerReports, presence: Presence, bus: Bus, clock: Clock
    ) -> None:
        self._control = control
        self._reports = reports
        self._presence = presence
        self._bus = bus
        self._clock = clock

    async def queues(self, tenant: str) -> Sequence[QueueOut]:
        """Tell of every queue."""
        now = self._clock.now()
        return [queue_view(queue, now) for queue in await self._control.states(tenant, tuple(Channel), now)]

    async def queue(self, key: QueueKey) -> QueueOut:
        """Tell of one queue."""
        now = self._clock.now()
        [queue] = await self._control.states(key.tenant, (key.channel,), now)
        return queue_view(queue, now)

    async def pause(self, key: QueueKey) -> QueueOut:
        """Stop sending on a channel. When this returns, no worker claims any more; what is on its way goes on."""
        await self._control.pause(key, self._clock.now())
        return await self.queue(key)

    async def resume(self, key: QueueKey) -> QueueOut:
        """Go on; what fell due meanwhile is sent now, unless it is not needed any more."""
        await self._control.resume(key)
        await self._bus.announce_due(self._clock.now())
        return await self.queue(key)

    async def empty(self, key: QueueKey) -> EmptiedOut:
        """Cancel what waits in a queue, a chunk a transaction, up to `MAX_EMPTIED`."""
        cancelled = 0
        while cancelled < MAX_EMPTIED:
            count = await self._control.empty(key, self._clock.now(), CHUNK)
            cancelled += count
            if count < CHUNK:
                return EmptiedOut(cancelled, more=False)
        return EmptiedOut(cancelled, more=True)

    async def deliveries(self, tenant: str, wanted: DeliveryFilter, after: str | None, limit: int) -> DeliveriesOut:
        """Read a page of deliveries.

        Raises:
            InvalidRequest: `after` is not from such a page.

        """
        place = None if after is None else parse_place(after)
        return page_view(await self._control.find(tenant, wanted, place, limit))

    async def delivery(self, tenant: str, delivery: UUID) -> DeliveryDetailOut:
        """Tell of one delivery, with its past.

        Raises:
            NotFound: not in this tenant.

        """
        history = await self._control.history(tenant, delivery)
        if history is None:
            raise NotFound("there is no such delivery")
        return detail_view(history)

    async def retry(self, tenant: str, delivery: UUID) -> DeliveryDetailOut:
        """Put a dead delivery back into the queue; raises as `act`."""
        return await self._act(tenant, delivery, EventKind.RETRIED)

    async def promote(self, tenant: str, delivery: UUID) -> DeliveryDetailOut:
        """Send now what is due later; raises as `act`."""
        return await self._act(tenant, delivery, EventKind.PROMOTED)

    async def cancel(self, tenant: str, delivery: UUID) -> DeliveryDetailOut:
        """End what waits; raises as `act`."""
        return await self._act(tenant, delivery, EventKind.CANCELLED)

    async def change(self, tenant: str, delivery: UUID, patch: DeliveryPatchIn) -> DeliveryDetailOut:
        """Move what waits to another time or priority, or correct its address.

        Raises:
            InvalidRequest: the change is not one for this delivery.
            NotFound, StateConflict: see `QueueControl.act`.

        """
        change = Change(
            due_at=self._due_at(patch.due_at),
            priority=None if patch.priority is None else Priority[patch.priority.upper()],
            address=patch.address,
        )
        if change == Change():
            raise InvalidRequest("say what to change: `due_at`, `priority` or `address`", pointer="$")
        return await self._act(tenant, delivery, EventKind.CHANGED, change)

    async def _act(
        self, tenant: str, delivery: UUID, kind: EventKind, change: Change | None = None
    ) -> DeliveryDetailOut:
        changed = await self._control.act(tenant, delivery, kind, self._clock.now(), change)
        if changed is None:
            raise NotFound("there is no such delivery")
        if changed.state is DeliveryState.QUEUED:
            await self._bus.announce_due(changed.due_at)
        return await self.delivery(tenant, delivery)

    def _due_at(self, text: str | None) -> int | None:
        if text is None:
            return None
        at, now = parse_rfc3339(text, "$.due_at"), self._clock.now()
        if not now - LATE <= at <= now + MAX_AHEAD:
            raise InvalidRequest(f"must lie ahead, by at most a year (it is {rfc3339(now)})", pointer="$.due_at")
        return max(at, now)

    async def replay(self, tenant: str, request: ReplayIn) -> ReplayOut:
        """Put dead deliveries back into the queue, from the oldest on.

        What fails again is not met twice, however long the caller goes on: the first call's time is the limit.

        Raises:
            InvalidRequest: a filter is out of its bounds, or `after` is not from such a call.

        """
        if not 1 <= request.limit <= MAX_REPLAYED:
            raise InvalidRequest(f"must be from 1 to {MAX_REPLAYED:,}", pointer="$.limit")
        until, place = self._from(request.after)
        wanted = _dead(request, until)
        replayed, left = 0, request.limit
        while left > 0:
            size = min(CHUNK, left)
            chunk = await self._control.replay(tenant, wanted, place, size, self._clock.now(), dry_run=request.dry_run)
            replayed, place, left = replayed + chunk.deliveries, chunk.next, left - size
            if place is None:
                break
        if replayed and not request.dry_run:
            await self._bus.announce_due(self._clock.now())
        following = None if place is None else place_token((until, *place))
        return ReplayOut(replayed, dry_run=request.dry_run, has_more=place is not None, next=following)

    def _from(self, token: str | None) -> tuple[int, Place | None]:
        """Read until when deliveries have to have failed, and where to go on."""
        if token is None:
            return self._clock.now() + 1, None
        until, *place = parse_place(token)
        if not isinstance(until, int) or not place:
            raise InvalidRequest("is not the `next` of a replay", pointer="$.after")
        return until, tuple(place)

    async def rehearse(self, tenant: str, request: wire.PublishIn, idempotency_key: str | None = None) -> RehearsalOut:
        """Tell what publishing this would do, and why; stores nothing, and looks at no idempotency key.

        Raises:
            InvalidRequest, NotBuilt: as publishing would.

        """
        publication.idempotency_key(idempotency_key, "Idempotency-Key")
        prepared = publication.prepare(request, tenant=tenant, now=self._clock.now())
        return rehearse(prepared, await self._surroundings(tenant, [prepared]))

    async def rehearse_event(self, tenant: str, event: wire.EventIn) -> RehearsalOut:
        """Tell what publishing this event would do; as `rehearse`."""
        prepared = prepare_event(event, tenant=tenant, now=self._clock.now())
        return rehearse(prepared, await self._surroundings(tenant, [prepared]))

    async def rehearse_batch(
        self, tenant: str, requests: Sequence[wire.BatchItemIn | RequestError], idempotency_key: str | None = None
    ) -> Sequence[RehearsalOut | RequestError]:
        """Tell for each notification of a batch what publishing it would do, or what is wrong with it.

        Raises:
            InvalidRequest: the batch as a whole is too large, or its key not one.

        """
        publication.idempotency_key(idempotency_key, "Idempotency-Key")
        # As many as a single publish may have: an answer tells each step of each of them.
        publication.check_batch([each for each in requests if not isinstance(each, RequestError)], MAX_RECIPIENTS)
        now = self._clock.now()
        prepared = [_prepared(tenant, each, now) for each in requests]
        around = await self._surroundings(tenant, [each for each in prepared if isinstance(each, Publication)])
        return [rehearse(each, around) if isinstance(each, Publication) else each for each in prepared]

    async def _surroundings(self, tenant: str, publications: Sequence[Publication]) -> Surroundings:
        """Look up all that what happens depends on, for all of them at once."""
        now = self._clock.now()
        users = sorted({user for each in publications for user in _users(each)})
        people = await self._control.reach(tenant, users) if users else {}
        presence = await self._presence.read([InboxKey(tenant, user) for user in users], now) if users else {}
        attention = {key.user: state.attention for key, state in presence.items()}
        return Surroundings(await self._reports.providers(now), people, attention)


def _prepared(tenant: str, request: wire.BatchItemIn | RequestError, now: int) -> Publication | RequestError:
    if isinstance(request, RequestError):
        return request
    try:
        publication.idempotency_key(request.idempotency_key, "$.idempotency_key")
        return publication.prepare(request, tenant=tenant, now=now)
    except RequestError as error:
        return error


def _users(prepared: Publication) -> set[str]:
    return {each.user for each in prepared.deliveries if each.user is not None} | {*prepared.users}


def _dead(request: ReplayIn, until: int) -> DeliveryFilter:
    """Read which dead deliveries are meant."""
    before = None if request.failed_before is None else parse_rfc3339(request.failed_before, "$.failed_before")
    return DeliveryFilter(
        state=DeliveryState.FAILED,
        channel=None if request.channel is None else publication.channel_of(request.channel, "$.channel"),
        user=None if request.user is None else check_id(request.user, "$.user"),
        notification=None if request.notification is None else uuid_of(request.notification, "$.notification"),
        provider=None if request.provider is None else check_text(request.provider, "$.provider", _MAX_REASON),
        reason=None if request.reason is None else check_text(request.reason, "$.reason", _MAX_REASON),
        ended_after=None if request.failed_after is None else parse_rfc3339(request.failed_after, "$.failed_after"),
        ended_before=until if before is None else min(until, before),
    )


def uuid_of(text: str, pointer: str) -> UUID:
    """Read an id.

    Raises:
        InvalidRequest: it is none.

    """
    try:
        return UUID(text)
    except ValueError:
        raise InvalidRequest("is not an id", pointer=pointer) from None
