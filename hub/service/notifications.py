"""Publishing, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from hub.core import publication, wire
from hub.core.errors import NotFound
from hub.core.model import Content, Head, InboxChange, InboxKey, Item, ItemState
from hub.core.views import notification_view
from hub.ports import Bus, Clock, InboxStore
from hub.service.outbox import Outbox


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
        now = self._clock.now()
        prepared = publication.prepare(request, tenant=tenant, now=now, idempotency_key=idempotency_key)
        published = await self._store.publish(prepared, now)
        if published.replayed:
            return PublishOutcome(published.response or prepared.response, replayed=True)
        content = prepared.content
        appeared = [_appeared(content, user, head) for user, head in published.heads.items()]
        await self._outbox.tell([*published.replaced, *appeared], [published.wakeup])
        due = [delivery.due_at for delivery in prepared.deliveries]
        due += [at for at in (content.deliver_at, content.expires_at) if at is not None]
        if due:
            await self._bus.announce_due(min(due))
        return PublishOutcome(prepared.response, replayed=False)

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
        await self._outbox.tell([change for change, _ in recalled], [wakeup for _, wakeup in recalled])


def _appeared(content: Content, user: str, head: Head) -> InboxChange:
    """Say that an item appeared in a user's inbox; its version is the head's."""
    item = Item(
        content=content,
        version=head.version,
        since=head.version,
        state=ItemState.LIVE,
        appeared_at=content.created_at,
    )
    return InboxChange(InboxKey(content.tenant, user), head, item=item)
