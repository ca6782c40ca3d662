"""The use cases of Bellwire. Every route, frame and worker loop ends in one of these.

Each write is: one transaction in the store, then a wake-up over the bus, then the wake-up row is settled. A crash
in between leaves the row, and `republish_leftovers` of any process tells what was not told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from hub.core import frames, publication, wire
from hub.core.cursor import Cursor
from hub.core.errors import InvalidRequest, NotFound, StoreUnavailable, Unauthenticated, Unavailable
from hub.core.ids import random_token, uuid7
from hub.core.model import (
    Changes,
    Contact,
    Content,
    Device,
    Head,
    InboxChange,
    InboxKey,
    InboxQuery,
    Item,
    ItemState,
    MarkAction,
    Marked,
    Selection,
)
from hub.core.text import MAX_ID, check_email, check_id, check_phone, check_text
from hub.core.views import (
    device_view,
    item_view,
    notification_view,
    page_token,
    parse_rfc3339,
    rfc3339,
    rfc3339_or_none,
)
from hub.ports import EVERYBODY, Bus, Clock, Directory, Identity, InboxStore, Presence, TicketStore
from hub.revoked import RevokedTokens, revocation

TICKET_LIFETIME = 30_000
"""Milliseconds for which a ticket can be used, once."""

RESUME_LIMIT = 500
"""Changed items beyond which a client reads its newest page again instead."""

LEFTOVER_AGE = 2_000
"""Milliseconds after which an unsettled wake-up row is taken for a crash's."""

DISCONNECT_EVENT = "disconnect"
"""Marks what travels over a user's channel of the bus and asks the nodes to close the user's connections."""

_SETTLE_BATCH = 200
_LEFTOVER_BATCH = 100
_TIMER_BATCH = 100
_MAX_SNOOZE = 366 * 24 * 3600 * 1000
_MAX_TOKEN = 4096


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """The answer to a publisher (JSON of `wire.PublishOut`); `replayed` when an earlier publish gave it."""

    body: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An applied mark: the answer, and the change to show to connections at hand (None if nothing changed)."""

    out: wire.MarkOut
    live: wire.LiveChange | None


class Hub:
    """All use cases over the ports."""

    def __init__(
        self,
        *,
        inbox: InboxStore,
        directory: Directory,
        tickets: TicketStore,
        bus: Bus,
        presence: Presence,
        clock: Clock,
        revoked: RevokedTokens,
    ) -> None:
        self.clock = clock
        self.revoked = revoked
        self._inbox = inbox
        self._directory = directory
        self._tickets = tickets
        self._bus = bus
        self._presence = presence
        self._told: list[UUID] = []
        """Wake-up rows that have been told and wait to be deleted together."""

    # Publishing

    async def publish(self, tenant: str, request: wire.PublishIn, idempotency_key: str | None = None) -> PublishOutcome:
        """Store a notification with its inbox items and deliveries, then tell whoever is connected.

        When this returns, it is committed. What could not be told is told within 5 s by a sweeper.

        Raises:
            InvalidRequest, NotBuilt, IdempotencyConflict: nothing is stored.
            StoreUnavailable: the caller should retry, with the same idempotency key.

        """
        now = self.clock.now()
        prepared = publication.prepare(request, tenant=tenant, now=now, idempotency_key=idempotency_key)
        published = await self._inbox.publish(prepared, now)
        if published.replayed:
            return PublishOutcome(published.response or prepared.response, replayed=True)
        content = prepared.content
        changes = [_appeared(content, user, head) for user, head in published.heads.items()]
        await self._tell(changes, [published.wakeup])
        due = [delivery.due_at for delivery in prepared.deliveries]
        due += [at for at in (content.deliver_at, content.expires_at) if at is not None]
        if due:
            await self._bus.announce_due(min(due))
        return PublishOutcome(prepared.response, replayed=False)

    async def notification(self, tenant: str, notification: UUID) -> wire.NotificationOut:
        """Tell what became of a notification, for every recipient and delivery.

        Raises:
            NotFound: not in this tenant.

        """
        state = await self._inbox.notification(tenant, notification)
        if state is None:
            raise NotFound("there is no such notification")
        return notification_view(state)

    # The inbox

    async def page(self, key: InboxKey, query: InboxQuery) -> wire.InboxOut:
        """Read a page of an inbox, with the counts and cursor of the same snapshot."""
        page = await self._inbox.page(key, query)
        return wire.InboxOut(
            data=[item_view(item) for item in page.items],
            has_more=page.has_more,
            next=page_token(page.items[-1]) if page.has_more else None,
            unread_count=page.head.counts.unread,
            unseen_count=page.head.counts.unseen,
            cursor=str(page.head.cursor),
        )

    async def count(self, key: InboxKey) -> wire.CountOut:
        """Read the badge."""
        head = await self._inbox.head(key)
        return wire.CountOut(unread_count=head.counts.unread, unseen_count=head.counts.unseen, cursor=str(head.cursor))

    async def item(self, key: InboxKey, notification: UUID) -> wire.Item:
        """Read one item.

        Raises:
            NotFound: not in this inbox, or no longer.

        """
        item = await self._inbox.item(key, notification)
        if item is None:
            raise NotFound("there is no such item in this inbox")
        return item_view(item)

    async def mark(
        self, key: InboxKey, action: MarkAction, selection: Selection, until: int | None = None
    ) -> Acknowledged:
        """Apply a user's action, cancel the deliveries that it makes needless, and tell the user's other devices.

        Raises:
            InvalidRequest: a snooze without `until`, or into the past.

        """
        now = self.clock.now()
        if action is MarkAction.SNOOZE:
            _check_snooze(until, now, "$.until")
        elif until is not None:
            raise InvalidRequest("`until` goes with snooze only", pointer="$.until")
        return await self._mark(key, action, selection, now, until)

    async def _mark(
        self, key: InboxKey, action: MarkAction, selection: Selection, now: int, until: int | None
    ) -> Acknowledged:
        """Apply an action that has been checked; a snooze without `until` ends one."""
        marked = await self._inbox.mark(key, action, selection, now, until=until)
        live = await self._tell_mark(marked)
        if until is not None and marked.changed:
            await self._bus.announce_due(until)
        return Acknowledged(
            wire.MarkOut(
                changed=marked.changed,
                unread_count=marked.head.counts.unread,
                unseen_count=marked.head.counts.unseen,
                cursor=str(marked.head.cursor),
            ),
            live,
        )

    async def patch_item(self, key: InboxKey, notification: UUID, patch: wire.ItemPatchIn) -> wire.Item:
        """Change one item: each given field is one action, applied in the order seen, read, archived, snoozed.

        Raises:
            NotFound: not in this inbox, or no longer.
            InvalidRequest: nothing given, or a bad time; nothing is changed.

        """
        now = self.clock.now()
        actions = _patch_actions(patch, now)
        if not actions:
            raise InvalidRequest("give at least one of `seen`, `read`, `archived`, `snoozed_until`", pointer="$")
        await self.item(key, notification)
        for action, until in actions:
            await self._mark(key, action, Selection(ids=(notification,)), now, until)
        return await self.item(key, notification)

    # Live connections

    async def catch_up(self, wanted: Sequence[tuple[InboxKey, Cursor | None]]) -> Sequence[Changes]:
        """Read what clients with these cursors missed, without a cursor only the head; see `InboxStore.catch_up`."""
        return await self._inbox.catch_up(wanted, RESUME_LIMIT)

    async def versions(self, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Cursor]:
        """Read where many inboxes are, in one query."""
        return await self._inbox.versions(keys)

    async def issue_ticket(self, identity: Identity) -> wire.TicketOut:
        """Make a single-use ticket for a client that cannot send headers."""
        # What is known of its token stands in the ticket: the digest is of the whole, so it cannot be changed.
        issued_at = "" if identity.issued_at is None else identity.issued_at
        ticket = f"{random_token()}.{issued_at}.{identity.expires_at}"
        expires_at = min(self.clock.now() + TICKET_LIFETIME, identity.expires_at)
        await self._tickets.put_ticket(_ticket_digest(ticket), identity.key, expires_at)
        return wire.TicketOut(ticket=ticket, expires_at=rfc3339(expires_at))

    async def redeem_ticket(self, ticket: str) -> Identity:
        """Take a ticket; what it opens lasts no longer than the token that bought it, and is revoked with it.

        Raises:
            Unauthenticated: unknown, spent or expired, or the token has been revoked since.

        """
        key = await self._tickets.take_ticket(_ticket_digest(ticket), self.clock.now())
        if key is None:
            raise Unauthenticated("the ticket is unknown, spent or expired; buy a new one with POST /v1/tickets")
        known, _, expires_at = ticket.rpartition(".")
        issued_at = known.partition(".")[2]
        return self.revoked.checked(Identity(key, int(expires_at), int(issued_at) if issued_at else None))

    async def presence(self, key: InboxKey) -> wire.PresenceOut:
        """Tell whether a user is connected and looking."""
        state = (await self._presence.read([key], self.clock.now()))[key]
        return wire.PresenceOut(
            attention=state.attention.value,
            connections=state.connections,
            last_seen_at=rfc3339_or_none(state.last_seen_at),
        )

    async def disconnect(self, key: InboxKey, request: wire.DisconnectIn) -> wire.DisconnectOut:
        """Close a user's connections on all nodes; unless the tokens are revoked too, clients come back at once.

        Raises:
            InvalidRequest: this can be nobody's id.
            Unavailable: the other nodes cannot be told now, and nothing is stored that would tell them later.
            StoreUnavailable: it may or may not have been revoked; repeating is safe.

        """
        check_id(key.user, "user")
        if request.revoke:
            return wire.DisconnectOut(rfc3339(await self._revoke(key)))
        if not await self._bus.publish([(key, wire.LiveChange("", 0, DISCONNECT_EVENT, None))]):
            raise Unavailable("the other nodes cannot be reached now", retry_after=2)
        return wire.DisconnectOut(None)

    async def revoke_tokens(self, tenant: str, request: wire.RevokeIn) -> wire.RevokeOut:
        """Refuse every token issued until now, of a user or of everybody, and close the connections made with them.

        When this returns it is stored. Every node does it at once or, where the bus lost the message, within 30 s.

        Raises:
            InvalidRequest: not exactly one of `user` and `all`, or nobody's id.
            StoreUnavailable: it may or may not have been revoked; repeating is safe.

        """
        if isinstance(request.user, str) is (request.all is True):
            raise InvalidRequest("give either `user` or `all: true`", pointer="$")
        user = check_id(request.user, "$.user") if isinstance(request.user, str) else EVERYBODY
        return wire.RevokeOut(rfc3339(await self._revoke(InboxKey(tenant, user))))

    async def _revoke(self, key: InboxKey) -> int:
        issued_before = await self.revoked.revoke(key)
        await self._bus.publish([revocation(key, issued_before)])
        return issued_before

    # Users

    async def put_contact(self, tenant: str, user: str, contact: wire.ContactIn) -> tuple[wire.ContactOut, bool]:
        """Store how a user is reached, whole; True if the user was new."""
        check_id(user, "user")
        stored = Contact(
            user=user,
            email=None if contact.email is None else check_email(contact.email, "$.email"),
            phone=None if contact.phone is None else check_phone(contact.phone, "$.phone"),
            name=None if contact.name is None else check_text(contact.name, "$.name", MAX_ID),
            locale=None if contact.locale is None else check_text(contact.locale, "$.locale", 35),
            timezone=None if contact.timezone is None else check_text(contact.timezone, "$.timezone", 64),
        )
        new = await self._directory.put_contact(tenant, stored, self.clock.now())
        return await self.contact(tenant, user), new

    async def contact(self, tenant: str, user: str) -> wire.ContactOut:
        """Read a user's contact and devices.

        Raises:
            NotFound: never told of this user.

        """
        contact = await self._directory.contact(tenant, user)
        devices = await self._directory.devices(tenant, user)
        if contact is None and not devices:
            raise NotFound("there is no such user")
        contact = contact or Contact(user)
        return wire.ContactOut(
            user=user,
            email=contact.email,
            phone=contact.phone,
            name=contact.name,
            locale=contact.locale,
            timezone=contact.timezone,
            devices=[device_view(device) for device in devices],
        )

    async def add_device(self, tenant: str, user: str, device: wire.DeviceIn) -> wire.DeviceOut:
        """Store a push endpoint; a token that is known already moves to this user and keeps its id."""
        check_id(user, "user")
        now = self.clock.now()
        stored = await self._directory.add_device(
            tenant,
            Device(
                id=uuid7(now),
                user=user,
                kind=device.kind,
                token=check_text(device.token, "$.token", _MAX_TOKEN, empty=False),
                created_at=now,
                name=None if device.name is None else check_text(device.name, "$.name", MAX_ID),
            ),
        )
        return device_view(stored)

    async def remove_device(self, tenant: str, user: str, device: UUID) -> None:
        """Forget a push endpoint.

        Raises:
            NotFound: this user has no such device.

        """
        if not await self._directory.remove_device(tenant, user, device):
            raise NotFound("this user has no such device")

    # Housekeeping

    async def apply_timers(self) -> int:
        """Release, expire and wake what is due; returns how many changes were made."""
        applied = await self._inbox.apply_timers(self.clock.now(), _TIMER_BATCH)
        if applied:
            await self._tell([change for change, _ in applied], [wakeup for _, wakeup in applied])
        return len(applied)

    async def next_timer(self) -> int | None:
        """Tell when the next timer is due."""
        return await self._inbox.next_timer()

    async def republish_leftovers(self) -> int:
        """Tell what a crash left untold, and delete what has been told; returns how many rows were told now."""
        await self._settle_told()
        leftovers = await self._inbox.leftover_wakeups(self.clock.now() - LEFTOVER_AGE, _LEFTOVER_BATCH)
        keys = sorted({key for leftover in leftovers for key, _ in leftover.heads})
        if not leftovers:
            return 0
        versions = await self._inbox.versions(keys)
        hints = [(key, wire.LiveChange(cursor.epoch, cursor.version, "change")) for key, cursor in versions.items()]
        if not await self._bus.publish(hints):
            return 0
        await self._inbox.settle_wakeups([leftover.id for leftover in leftovers])
        return len(leftovers)

    async def forget_expired(self) -> None:
        """Drop idempotency records and tickets that have served their time."""
        await self._inbox.forget_before(self.clock.now())

    async def ready(self) -> dict[str, bool]:
        """Tell whether the parts that this process needs can be reached.

        Raises:
            StoreUnavailable: the database is away.

        """
        await self._inbox.next_timer()
        return {"database": True, "bus": await self._bus.healthy()}

    # Telling

    async def _tell_mark(self, marked: Marked) -> wire.LiveChange | None:
        if marked.change is None:
            return None
        live = frames.live_change(marked.change)
        if await self._bus.publish([(marked.change.key, live)]):
            await self._settle([marked.wakeup])
        return live

    async def _tell(self, changes: Sequence[InboxChange], wakeups: Sequence[UUID | None]) -> None:
        if changes and not await self._bus.publish([(change.key, frames.live_change(change)) for change in changes]):
            return
        await self._settle(wakeups)

    async def _settle(self, wakeups: Sequence[UUID | None]) -> None:
        """Remember rows to delete with a later commit: a commit of its own would double the cost of a publish."""
        self._told += [wakeup for wakeup in wakeups if wakeup is not None]
        if len(self._told) >= _SETTLE_BATCH:
            # What the caller asked for is committed and told; rows that stay are told once more by a sweeper.
            with suppress(StoreUnavailable):
                await self._settle_told()

    async def _settle_told(self) -> None:
        told, self._told = self._told, []
        if told:
            await self._inbox.settle_wakeups(told)


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


def _check_snooze(until: int | None, now: int, pointer: str) -> None:
    if until is None or not now < until <= now + _MAX_SNOOZE:
        raise InvalidRequest("snooze needs a time within the next year", pointer=pointer)


def _patch_actions(patch: wire.ItemPatchIn, now: int) -> list[tuple[MarkAction, int | None]]:
    actions: list[tuple[MarkAction, int | None]] = []
    if patch.seen is True:
        actions.append((MarkAction.SEEN, None))
    if isinstance(patch.read, bool):
        actions.append((MarkAction.READ if patch.read else MarkAction.UNREAD, None))
    if isinstance(patch.archived, bool):
        actions.append((MarkAction.ARCHIVE if patch.archived else MarkAction.UNARCHIVE, None))
    if isinstance(patch.snoozed_until, str):
        until = parse_rfc3339(patch.snoozed_until, "$.snoozed_until")
        _check_snooze(until, now, "$.snoozed_until")
        actions.append((MarkAction.SNOOZE, until))
    elif patch.snoozed_until is None:
        actions.append((MarkAction.SNOOZE, None))
    return actions


def _ticket_digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode(errors="replace")).digest()
