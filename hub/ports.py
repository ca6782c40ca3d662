"""What the use cases need from the outside, as small protocols.

Every adapter of a port passes the port's contract suite (`tests/contract/`). Times are milliseconds since the
epoch and come from the `Clock`, never from an adapter's own. All methods may raise `StoreUnavailable` when the
database is out of reach after retries (`BusUnavailable` does not exist: the bus is a hint and never fails a caller).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from hub.core.cursor import Cursor
from hub.core.model import (
    Attempt,
    Attention,
    Changes,
    Channel,
    Contact,
    Content,
    Delivery,
    DeliveryState,
    Device,
    Head,
    InboxChange,
    InboxKey,
    InboxPage,
    InboxQuery,
    Item,
    MarkAction,
    Marked,
    NotificationState,
    Priority,
    Publication,
    Published,
    Rung,
    Selection,
    Wakeup,
)
from hub.core.wire import LiveChange


class Clock(Protocol):
    """The time that everything is stored and compared with."""

    def now(self) -> int:
        """Return milliseconds since the epoch by the database's clock; never goes backwards in one process."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a user's token speaks for, and until when (milliseconds since the epoch)."""

    key: InboxKey
    expires_at: int
    issued_at: int | None = None
    """When the token was issued (milliseconds since the epoch); None if it does not say."""


class Authenticator(Protocol):
    """Tells who is calling. The tenant comes from the key that verified the credentials, never from a claim."""

    def user(self, token: str, now: int) -> Identity:
        """Verify a user's JWT.

        Raises:
            Unauthenticated: expired, signed by another key or algorithm, or without `sub` or `exp`.

        """
        ...

    def publisher(self, api_key: str) -> str:
        """Return the tenant of an API key, compared in constant time.

        Raises:
            Unauthenticated: the key is unknown.

        """
        ...


class InboxStore(Protocol):
    """Inboxes as versioned state. Each method is one transaction or one snapshot."""

    async def publish(self, publication: Publication, now: int) -> Published:
        """Store a publication whole: content, items, heads, deliveries, idempotency record, wake-up row.

        With `deliver_at` in the future the items are PENDING with a RELEASE timer, and heads do not move.
        With `expires_at` an EXPIRE timer is stored. A `collapse_key` is stored, not yet acted upon. Under a known
        idempotency key nothing is written and the first answer is returned.

        Raises:
            IdempotencyConflict: the key is known with another body hash.
            DataError: the database refused a value; nothing is stored.

        """
        ...

    async def mark(
        self, key: InboxKey, action: MarkAction, selection: Selection, now: int, *, until: int | None = None
    ) -> Marked:
        """Apply an action to the selected LIVE items: one version for the whole change, none if nothing changes.

        In the same transaction: counts, wake-up row, and queued deliveries whose `unless` rung is reached become
        `cancelled`. `until` is for SNOOZE (replaces an earlier snooze and its timer). Unknown ids are ignored.
        DELIVERED is stored only where the content tracks it and never takes a version. For `all`, `through`
        limits to items whose `since` is at most its version; with an unknown epoch it selects nothing.
        """
        ...

    async def page(self, key: InboxKey, query: InboxQuery) -> InboxPage:
        """Read one page (LIVE items, newest first by `(appeared_at, id)`) with its head, in one snapshot."""
        ...

    async def head(self, key: InboxKey) -> Head:
        """Read a head; of a user never heard of: version 0 and no counts (and makes the row, to fix its epoch)."""
        ...

    async def item(self, key: InboxKey, notification: UUID) -> Item | None:
        """Read one LIVE item."""
        ...

    async def versions(self, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Cursor]:
        """Read many heads' cursors at once; users without a row are left out."""
        ...

    async def catch_up(self, wanted: Sequence[tuple[InboxKey, Cursor | None]], limit: int) -> Sequence[Changes]:
        """Read what clients with these cursors missed: one answer for each wish, in order, all of one snapshot.

        An answer has the head and the items stamped later than the cursor (GONE ones too), by `(version, id)`;
        without a cursor the head alone. The same inbox may be wished for more than once. A user never heard of
        gets a row first, which fixes the epoch. Meant for up to 500 wishes; those that are up to date are cheap.

        `resync` is set for another epoch, a cursor ahead of the head, one below the floor, or more than `limit`
        changed items. An adapter may also say `too_many_changes` to those who missed most, where all wishes
        together would bring more items into memory than it bears.
        """
        ...

    async def apply_timers(self, now: int, limit: int) -> Sequence[tuple[InboxChange, UUID | None]]:
        """Apply up to `limit` due rows: release, expire, unsnooze. Returns what to tell, with wake-up ids.

        Expiry also turns the notification's queued deliveries `expired`. Safe to run in any number of processes.
        """
        ...

    async def next_timer(self) -> int | None:
        """Return when the earliest due row is due."""
        ...

    async def leftover_wakeups(self, before: int, limit: int) -> Sequence[Wakeup]:
        """Read wake-up rows written before `before` that nobody has settled."""
        ...

    async def settle_wakeups(self, ids: Sequence[UUID]) -> None:
        """Delete wake-up rows whose heads have been told."""
        ...

    async def notification(self, tenant: str, notification: UUID) -> NotificationState | None:
        """Read a notification with every recipient's state, delivery and attempt (at most 1,000 recipients)."""
        ...

    async def forget_before(self, now: int) -> None:
        """Drop what has served its time: idempotency records after 7 days, spent tickets."""
        ...


class Directory(Protocol):
    """Users' contacts and endpoints, as told by the embedding app."""

    async def put_contact(self, tenant: str, contact: Contact, now: int) -> bool:
        """Store a contact whole (absent fields are cleared); True if the user was new."""
        ...

    async def contact(self, tenant: str, user: str) -> Contact | None:
        """Read a contact."""
        ...

    async def add_device(self, tenant: str, device: Device) -> Device:
        """Store a device; the same kind and token again moves it to this user and keeps its id.

        Beyond a bound, the user's oldest make room.
        """
        ...

    async def devices(self, tenant: str, user: str) -> Sequence[Device]:
        """Read a user's devices, oldest first."""
        ...

    async def remove_device(self, tenant: str, user: str, device: UUID) -> bool:
        """Delete a device; False if there was none."""
        ...


class TicketStore(Protocol):
    """Single-use tickets for clients that cannot send headers. Only hashes are stored."""

    async def put_ticket(self, digest: bytes, key: InboxKey, expires_at: int) -> None:
        """Store a ticket."""
        ...

    async def take_ticket(self, digest: bytes, now: int) -> InboxKey | None:
        """Take a ticket out: at most one caller ever gets it, and only before it expires."""
        ...


EVERYBODY = ""
"""Stands where a user's id would, for all users of a tenant. No user has this id."""


class Revocation(NamedTuple):
    """Tokens of a user (or of `EVERYBODY`) that were issued before a time are refused."""

    key: InboxKey
    issued_before: int


class Revocations(Protocol):
    """Revoked tokens, one record for each user and one for each tenant; kept for ever, as tokens may be."""

    async def revoke(self, key: InboxKey, issued_before: int, now: int) -> None:
        """Store a revocation made now. Of several for one key the latest `issued_before` counts."""
        ...

    async def since(self, made_at: int) -> Sequence[Revocation]:
        """Read every revocation whose last `revoke` was made at `made_at` or later, in any order."""
        ...


class Lane(NamedTuple):
    """Deliveries that share a pool of work: a dead provider fills only its own lane."""

    channel: Channel
    priority: Priority


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this worker holds until its lease ends, with all that is needed to decide and send it."""

    delivery: Delivery
    content: Content
    contact: Contact | None
    devices: Sequence[Device]
    done_endpoints: frozenset[str]
    """Endpoints that an earlier attempt of this delivery reached already; they are not tried again."""
    refused_endpoints: frozenset[str] = frozenset()
    """Endpoints that an earlier attempt failed for permanently; nor are they."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a claim. Applied only while `fence` is still the delivery's (else somebody else owns it).

    `state` QUEUED returns it for `due_at`, and `claims` counts anew (`fence` does not). `provider_calls` is added to
    `attempts`; the `attempts` given here are one round, stored under its number (what was counted before, plus one).
    `pull_next`: the recipient's next step(s) become due now, those with the smallest later `after` in the plan;
    cancelled steps are passed over, and a step that was claimed before keeps its time.
    `gone_devices` are deleted: the provider said that they no longer exist.
    """

    delivery: UUID
    tenant: str
    fence: int
    state: DeliveryState
    reason: str | None
    due_at: int | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    provider_calls: int = 0
    attempts: Sequence[Attempt] = ()
    pull_next: bool = False
    gone_devices: Sequence[UUID] = ()


class DeliveryQueue(Protocol):
    """The fallback queue: rows beside the inbox, claimed with leases."""

    async def claim(self, lane: Lane, now: int, lease: int, limit: int) -> Sequence[Claim]:
        """Claim due deliveries of a lane, the earliest due first, for `lease` milliseconds.

        The claiming statement itself reads the recipient's item: a delivery whose `unless` rung is reached, or
        whose notification is gone, is never claimed. Raises `fence` and `claims` by one.
        """
        ...

    async def rung(self, delivery: UUID, tenant: str, fence: int) -> Rung | None:
        """Read the item's rung once more right before sending; None if the claim is no longer ours or it is gone."""
        ...

    async def renew(self, claims: Sequence[tuple[UUID, int]], now: int, lease: int) -> Sequence[UUID]:
        """Extend the leases of `(delivery, fence)` pairs; returns those that are still ours."""
        ...

    async def settle(self, settlements: Sequence[Settlement], now: int) -> Sequence[UUID]:
        """End claims in one transaction; returns those that were still ours and have been written."""
        ...

    async def rescue(self, now: int, max_claims: int, limit: int) -> int:
        """Return deliveries with a spent lease to the queue, or fail them after `max_claims`; counts them.

        Also cancels (tidies) due queued deliveries whose rung was reached but which no acknowledgement cancelled.
        """
        ...

    async def next_due(self) -> Mapping[Lane, int]:
        """Return, for each lane with queued deliveries, when its earliest is due."""
        ...


class BusListener(Protocol):
    """What a process does with the bus's news. Called on the event loop; must not block or raise."""

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        """Handle a change of an inbox this process subscribed to."""
        ...

    def on_gap(self) -> None:
        """Handle that messages may have been lost (a reconnect): compare every subscribed user with the database."""
        ...

    def on_due(self, due_at: int) -> None:
        """Handle that a delivery or timer due at `due_at` was stored."""
        ...


class Bus(Protocol):
    """Wake-ups between processes. May lose anything at any time; never blocks or fails a publisher."""

    async def start(self, listener: BusListener) -> None:
        """Begin to listen. Called once, before anything else."""
        ...

    async def publish(self, changes: Sequence[tuple[InboxKey, LiveChange]]) -> bool:
        """Tell every subscribed process; False if it could not be handed over whole (the wake-up row stays).

        Changes of one inbox are heard in the order of the calls; those of different inboxes in any.
        """
        ...

    async def announce_due(self, due_at: int) -> None:
        """Tell every worker that something is due at `due_at`."""
        ...

    async def subscribe(self, keys: Sequence[InboxKey]) -> None:
        """Return once changes of all these inboxes will be heard (their subscriptions are confirmed). Idempotent.

        While the bus is out of reach it returns after a short wait; `on_gap` follows when it is back.
        """
        ...

    async def unsubscribe(self, keys: Sequence[InboxKey]) -> None:
        """Stop hearing of these inboxes, at once. Idempotent.

        Like a subscription it takes effect in the call itself, before anything is awaited: of two calls for one
        inbox the later one wins, also while the earlier one still waits.
        """
        ...

    async def healthy(self) -> bool:
        """Tell whether the bus can be reached now."""
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class PresenceEntry:
    """One connection's sign of life."""

    key: InboxKey
    connection: str
    attention: Attention
    """ACTIVE or AWAY."""


@dataclass(frozen=True, slots=True)
class PresenceState:
    """A user's presence, as all nodes together know it."""

    attention: Attention
    connections: int
    last_seen_at: int | None


class Presence(Protocol):
    """Who is connected and whether they look; a hint, never the truth. Connections that stop refreshing fade."""

    async def refresh(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record signs of life (batched). A connection not refreshed for `PRESENCE_TTL` counts as gone.

        Nodes call it every 15 s, also with no entries: when nobody has reported for `PRESENCE_TTL`, the next report
        makes the shared state young again (after an outage, what it holds proves nothing).
        """
        ...

    async def leave(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record that connections ended."""
        ...

    async def read(self, keys: Sequence[InboxKey], now: int) -> Mapping[InboxKey, PresenceState]:
        """Read users' presence. OFFLINE means no connection for `OFFLINE_AFTER`.

        UNKNOWN when the shared state is younger than that, or out of reach; a user whose last connection ended
        less than `OFFLINE_AFTER` ago is AWAY with zero connections.
        """
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...


PRESENCE_TTL = 45_000
"""Milliseconds after which a connection that was not refreshed is gone (refreshed every 15 s)."""

OFFLINE_AFTER = 60_000
"""Milliseconds without any connection after which a user is offline."""
