"""Publishing, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.core import frames, publication, wire
from hub.core.errors import InvalidRequest, NotFound, RequestError
from hub.core.events import prepare_event
from hub.core.model import Content, Head, InboxChange, InboxKey, Item, ItemState, Publication, Published, TopicKey
from hub.core.publication import IdempotencyKey
from hub.core.views import notification_view
from hub.ports import Bus, Clock, InboxStore
from hub.service.outbox import Outbox

_SLICE = 50
"""Notifications of a batch that are worked on without giving way to others."""


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """The answer to a publisher (JSON of `wire.PublishOut`); `replayed` when an earlier publish gave it."""

    body: bytes
    replayed: bool


class Notifications:
    """The publisher's side."""

    def __init__(self, store: InboxStore, outbox: Outbox, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._bus = bus
        self._clock = clock

    async def publish(self, tenant: str, request: wire.PublishIn, idempotency_key: str | None = None) -> PublishOutcome:
        """Store a notification with its inbox items and deliveries, then tell whoever is connected.

        When this returns, it is committed. What could not be told is told within 5 s by a sweeper.

        Raises:
            InvalidRequest, NotBuilt, IdempotencyConflict: nothing is stored.
            StoreUnavailable: the caller should retry, with the same idempotency key.

        """
        key = publication.idempotency_key(idempotency_key, "Idempotency-Key")
        now = self._clock.now()
        prepared = await self._prepare(tenant, request, now, key)
        if isinstance(prepared, PublishOutcome):
            return prepared
        return await self._publish(prepared, now)

    async def publish_event(self, tenant: str, event: wire.EventIn) -> PublishOutcome:
        """Publish an event to its user; told again under its `event_id` or `idempotency_key`, the first answer stands.

        Raises:
            InvalidRequest, IdempotencyConflict: nothing is stored.
            StoreUnavailable: the event should be told again.

        """
        now = self._clock.now()
        return await self._publish(prepare_event(event, tenant=tenant, now=now), now)

    async def _publish(self, prepared: Publication, now: int) -> PublishOutcome:
        published = await self._store.publish(prepared, now)
        await self._tell([(prepared, published)])
        return _outcome(prepared, published)

    async def publish_batch(
        self, tenant: str, requests: Sequence[wire.BatchItemIn | RequestError], idempotency_key: str | None = None
    ) -> Sequence[PublishOutcome | Exception]:
        """Publish notifications that have nothing to do with each other; what one raises stands in its answer's place.

        A request that was found to be bad before is passed through, so that places in the batch stay what they are:
        `idempotency_key` is, for those without a key of their own, the key of the place.

        Raises:
            InvalidRequest: the batch as a whole is too large, or its key not one; nothing is stored.

        """
        publication.check_batch([request for request in requests if not isinstance(request, RequestError)])
        key = publication.idempotency_key(idempotency_key, "Idempotency-Key")
        now = self._clock.now()
        prepared: list[Publication | PublishOutcome | RequestError] = []
        for place, request in enumerate(requests):
            of_place = None if key is None else key.of_place(place)
            prepared.append(await self._prepare_item(tenant, request, now, of_place))
            if place % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)  # others have their turn
        outcomes = iter(await self.publish_prepared([each for each in prepared if isinstance(each, Publication)], now))
        return [next(outcomes) if isinstance(each, Publication) else each for each in prepared]

    async def publish_prepared(self, new: Sequence[Publication], now: int) -> list[PublishOutcome | Exception]:
        """Publish what is checked and worked out already; what one raises stands in its answer's place."""
        answers = list(zip(new, await self._store.publish_all(new, now), strict=True))
        stored = [(each, answer) for each, answer in answers if isinstance(answer, Published)]
        for start in range(0, len(stored), _SLICE):
            await self._tell(stored[start : start + _SLICE])
            await asyncio.sleep(0)
        return [answer if isinstance(answer, Exception) else _outcome(each, answer) for each, answer in answers]

    async def _prepare(
        self, tenant: str, request: wire.PublishIn, now: int, key: IdempotencyKey | None
    ) -> Publication | PublishOutcome:
        """Check a request, or find its first answer: what was good then need not be now, as `deliver_at` passes."""
        try:
            return publication.prepare(request, tenant=tenant, now=now, key=key)
        except InvalidRequest:
            if key is None:
                raise
            body_hash = publication.fingerprint(request)
            answer = await self._store.answered(tenant, key.operation, key.key, body_hash)
            if answer is None:
                raise
            return PublishOutcome(answer, replayed=True)

    async def _prepare_item(
        self, tenant: str, request: wire.BatchItemIn | RequestError, now: int, key: IdempotencyKey | None
    ) -> Publication | PublishOutcome | RequestError:
        if isinstance(request, RequestError):
            return request
        try:
            own = publication.idempotency_key(request.idempotency_key, "$.idempotency_key")
            return await self._prepare(tenant, request, now, own or key)
        except RequestError as error:
            return error

    async def _tell(self, stored: Sequence[tuple[Publication, Published]]) -> None:
        """Tell clients and workers of what was stored just now."""
        new = [(each, published) for each, published in stored if not published.replayed]
        changes: list[InboxChange] = []
        for each, published in new:
            changes += published.replaced
            changes += self._heard(each.content, published.heads)
        shared = [news for each, published in new for news in _shared(each.content, published)]
        await self._outbox.tell(changes, [published.wakeup for _, published in new], shared)
        due = [at for each, _ in new for at in _due(each)]
        if due:
            await self._bus.announce_due(min(due))

    def _heard(self, content: Content, heads: Mapping[str, Head]) -> Iterator[InboxChange]:
        """Say in which inboxes an item appeared, of those that anybody is connected to.

        To make and encode the news that nobody hears was 12 of 150 µs that a publish cost.
        """
        for user, head in heads.items():
            key = InboxKey(content.tenant, user)
            if self._bus.hears(key):
                yield _appeared(content, key, head)

    async def status(self, tenant: str, notification: UUID) -> wire.NotificationOut:
        """Tell what became of a notification, for every recipient and delivery.

        Raises:
            NotFound: not in this tenant.

        """
        state = await self._store.notification(tenant, notification)
        if state is None:
            raise NotFound("there is no such notification")
        return notification_view(state)

    async def recall(self, tenant: str, notification: UUID) -> None:
        """Take a notification back from every inbox and out of the queue, and tell whoever is connected.

        What a provider has been given is out of reach. Recalling again changes nothing.

        Raises:
            NotFound: not in this tenant.
            StoreUnavailable: it may or may not have been recalled; repeating is safe.

        """
        recalled = await self._store.recall(tenant, notification, self._clock.now())
        if recalled is None:
            raise NotFound("there is no such notification")
        await self._outbox.tell_applied(recalled)


def _outcome(prepared: Publication, published: Published) -> PublishOutcome:
    if published.replayed:
        return PublishOutcome(published.response or prepared.response, replayed=True)
    return PublishOutcome(prepared.response, replayed=False)


def _due(prepared: Publication) -> Iterator[int]:
    """List the times at which workers have something to do."""
    yield from (delivery.due_at for delivery in prepared.deliveries)
    if prepared.audience is not None:
        yield from (prepared.content.appears_at + step.after for step in prepared.content.plan)
    yield from (at for at in (prepared.content.deliver_at, prepared.content.expires_at) if at is not None)


def _shared(content: Content, published: Published) -> Iterator[tuple[TopicKey, wire.SharedChange]]:
    """Say what happened in the topic of a shared audience, in order."""
    if published.gone is not None:
        yield published.gone.key, frames.shared_change(published.gone)
    if published.shared is not None:
        yield published.shared.key, frames.shared_change(published.shared, content)


def _appeared(content: Content, key: InboxKey, head: Head) -> InboxChange:
    """Say that an item appeared in a user's inbox; its version is the head's."""
    item = Item(
        content=content,
        version=head.version,
        since=head.version,
        state=ItemState.LIVE,
        appeared_at=content.created_at,
    )
    return InboxChange(key, head, item=item)
