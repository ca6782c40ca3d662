"""The promises that tie shared inboxes and the queue together: published, marked and recalled by the real stores."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from hub.core.model import (
    BROADCAST,
    Channel,
    Contact,
    InboxKey,
    MarkAction,
    Priority,
    Rung,
    Selection,
    Step,
)
from hub.ports import DeliveryQueue, ExpansionKey, Expansions, Lane
from hub.store.directory import SqlDirectory
from hub.store.engine import Database
from hub.store.expansions import SqlExpansions
from hub.store.inbox import SqlInboxStore
from hub.store.shared import SqlSharedLog
from tests.support.clock import START
from tests.support.inboxes import ADA, EVERYTHING, GRACE
from tests.support.queue import LEASE, SECOND
from tests.support.shared_inboxes import to
from tests.support.shared_rows import SharedRows

EMAIL = Lane(Channel.EMAIL, Priority.NORMAL, shared=True)
MINUTE = 60 * SECOND
EMAIL_UNLESS_SEEN = Step(Channel.EMAIL, MINUTE)
DUE = START + MINUTE


class World:
    """Stores over one database, and two members of `news` with e-mail addresses."""

    def __init__(self, database: Database) -> None:
        self.inbox = SqlInboxStore(database)
        self.log = SqlSharedLog(database)
        self.expansions: Expansions = SqlExpansions(database)
        self.rows = SharedRows(database)
        self.directory = SqlDirectory(database)

    async def publish(self, *plan: Step, topic: str = "news", **content: Any) -> UUID:
        return (await self.inbox.publish(to(topic, plan=plan, **content), START)).id

    async def expand(self, notification: UUID, step: int = 0, now: int = DUE) -> list[str]:
        """Expand a step for all turns that are due, and return who has a delivery of it."""
        key = ExpansionKey("default", notification, step)
        while await self.expansions.expand(key, now, frozenset(Channel), 100) is not None:
            pass
        return await self.rows.recipients(notification, step)

    async def mark(self, key: InboxKey, action: MarkAction, selection: Selection = EVERYTHING) -> None:
        assert (await self.inbox.mark(key, action, selection, START)).changed


@pytest.fixture
async def world(database: Database) -> World:
    made = World(database)
    for key in (ADA, GRACE):
        await made.directory.put_contact("default", Contact(key.user, email=f"{key.user}@b.example"), START)
        await made.inbox.head(key)
    await made.log.join("default", "news", [ADA.user, GRACE.user], START)
    return made


@pytest.mark.parametrize("topic", ["news", BROADCAST])
async def test_a_published_step_is_expanded_when_it_is_due_and_claimed(
    world: World, queue: DeliveryQueue, topic: str
) -> None:
    notification = await world.publish(EMAIL_UNLESS_SEEN, topic=topic)

    assert await world.expansions.next_due() == DUE
    assert await world.expand(notification, now=DUE - 1) == []
    assert await world.expand(notification) == ["ada", "grace"]
    claims = await queue.claim(EMAIL, DUE, LEASE, 10)
    assert sorted(str(claim.delivery.user) for claim in claims) == ["ada", "grace"]
    assert {claim.content.id for claim in claims} == {notification}


async def test_who_joined_later_or_left_before_gets_nothing(world: World) -> None:
    await world.log.leave("default", "news", ["grace"], START)
    notification = await world.publish(EMAIL_UNLESS_SEEN)
    await world.log.join("default", "news", ["grace"], START)
    await world.log.leave("default", "news", ["ada"], START)

    assert await world.expand(notification) == ["ada"]


@pytest.mark.parametrize("action", [MarkAction.SEEN, MarkAction.ARCHIVE])
async def test_who_has_seen_it_gets_nothing(world: World, action: MarkAction) -> None:
    """By the item's own row, and by a mark that covers it."""
    notification = await world.publish(EMAIL_UNLESS_SEEN)
    await world.mark(ADA, action, Selection(ids=(notification,)))
    await world.mark(GRACE, action)

    assert await world.expand(notification) == []


async def test_delivered_is_enough_where_the_step_says_so(world: World) -> None:
    notification = await world.publish(Step(Channel.EMAIL, 0, Rung.DELIVERED), Step(Channel.EMAIL, 0))
    await world.mark(ADA, MarkAction.DELIVERED, Selection(ids=(notification,)))

    assert await world.expand(notification, 0) == ["grace"]
    assert await world.expand(notification, 1) == ["ada", "grace"]


async def test_after_an_acknowledgement_nothing_that_was_made_is_claimed(world: World, queue: DeliveryQueue) -> None:
    notification = await world.publish(EMAIL_UNLESS_SEEN)
    other = await world.publish(EMAIL_UNLESS_SEEN)
    for each in (notification, other):
        await world.expand(each)
    await world.mark(ADA, MarkAction.SEEN, Selection(ids=(notification,)))
    await world.mark(GRACE, MarkAction.SEEN)

    states = {row.user_id: row.state for row in await world.rows.deliveries(notification)}
    claims = await queue.claim(EMAIL, DUE, LEASE, 10)

    assert states == {"ada": "cancelled", "grace": "cancelled"}
    assert [(claim.delivery.user, claim.content.id) for claim in claims] == [("ada", other)]


async def test_an_acknowledgement_after_the_claim_is_seen_before_the_send(world: World, queue: DeliveryQueue) -> None:
    await world.expand(await world.publish(EMAIL_UNLESS_SEEN))
    claims = {claim.delivery.user: claim.delivery for claim in await queue.claim(EMAIL, DUE, LEASE, 10)}

    await world.mark(ADA, MarkAction.READ)

    rungs = {user: await queue.rung(held.id, "default", held.fence) for user, held in claims.items()}
    assert rungs == {"ada": Rung.READ, "grace": Rung.NONE}


@pytest.mark.parametrize("expanded", [True, False])
async def test_what_was_read_in_time_stays_cancelled_though_it_is_unread_again(
    world: World,
    queue: DeliveryQueue,
    expanded: bool,  # noqa: FBT001 - a case
) -> None:
    notification = await world.publish(Step(Channel.EMAIL, MINUTE, Rung.READ))
    if expanded:
        await world.expand(notification)
    await world.mark(ADA, MarkAction.READ)
    await world.mark(ADA, MarkAction.UNREAD)
    await world.expand(notification)

    rows = {row.user_id: (row.state, row.reason) for row in await world.rows.deliveries(notification)}
    assert rows == {"ada": ("cancelled", "The user read it before it was due."), "grace": ("queued", None)}
    assert [claim.delivery.user for claim in await queue.claim(EMAIL, DUE, LEASE, 10)] == ["grace"]


async def test_recall_ends_what_is_queued_and_what_is_not_expanded(world: World, queue: DeliveryQueue) -> None:
    notification = await world.publish(Step(Channel.EMAIL, 0), Step(Channel.EMAIL, MINUTE))
    await world.expand(notification)

    await world.inbox.recall("default", notification, DUE)

    assert await world.rows.states(notification) == {"cancelled": 2}
    assert await queue.claim(EMAIL, DUE, LEASE, 10) == []
    other = await world.publish(Step(Channel.EMAIL, MINUTE))
    await world.inbox.recall("default", other, START)
    assert await world.expand(other) == []
    state = await world.inbox.notification("default", other)
    assert state is not None
    [ended] = state.expansions
    assert (ended.state.value, ended.reason) == (
        "cancelled",
        "The notification was recalled before this step was sent.",
    )


async def test_expiry_ends_what_is_queued_and_what_is_not_expanded(world: World, queue: DeliveryQueue) -> None:
    plan = (Step(Channel.EMAIL, 0), Step(Channel.EMAIL, 2 * MINUTE))
    notification = await world.publish(*plan, expires_at=DUE)
    await world.expand(notification, now=START)

    await world.inbox.apply_timers(DUE, 10)

    assert await world.rows.states(notification) == {"expired": 2}
    assert (await world.rows.expansion(ExpansionKey("default", notification, 1))).state == "expired"
    assert await queue.next_due() == {}
    assert await world.expansions.next_due() is None


async def test_with_deliver_at_it_is_for_those_who_are_members_then(world: World) -> None:
    await world.log.leave("default", "news", ["grace"], START)
    notification = await world.publish(Step(Channel.EMAIL, 0), deliver_at=DUE)
    await world.log.join("default", "news", ["grace"], START)

    assert await world.expansions.next_due() == DUE
    assert await world.expand(notification) == []
    await world.inbox.apply_timers(DUE, 10)
    assert await world.expand(notification) == ["ada", "grace"]


async def test_recalled_before_it_appears_it_never_does(world: World) -> None:
    notification = await world.publish(Step(Channel.EMAIL, 0), deliver_at=DUE)

    await world.inbox.recall("default", notification, START)

    assert await world.expand(notification) == []
    assert await world.expansions.next_due() is None


async def test_what_became_of_it_is_told_by_step(world: World) -> None:
    notification = await world.publish(EMAIL_UNLESS_SEEN, Step(Channel.SMS, 2 * MINUTE))
    await world.mark(ADA, MarkAction.SEEN)
    await world.expand(notification)

    state = await world.inbox.notification("default", notification)

    assert state is not None
    assert (state.items, state.deliveries) == ((), ())
    first, second = state.expansions
    assert (first.state.value, first.members, first.deliveries, first.reached) == ("done", 2, 1, 1)
    assert (second.state.value, second.members, second.due_at) == ("waiting", 0, DUE)
