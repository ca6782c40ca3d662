"""Random histories of the fallback queue: whatever happens in whatever order, its promises hold.

Publish to users, addresses and audiences, join, leave, connect, recall, expire, acknowledge, advance the clock, expand,
claim, renew, send (by one of two providers), crash before and after the send, settle twice, rescue; and operators:
pause, resume, empty, retry, promote, cancel, reschedule, replay. Checked throughout: a claim never holds a step that a
committed acknowledgement has cancelled, nor one of a paused queue; nothing is sent once its rung is reached, it is
recalled or has expired, nor to who is connected where the plan says so; whoever has been claimed again since settles
and renews nothing, everybody else does; attempts and claims stay within their limits; every change of state, as the
database itself saw it, is one that the table of transitions has. Checked at the end: of an audience, everybody who
needed a step and can be reached by it has a delivery of it, and nobody else has; every delivery ends, with a reason
where it was not sent, and is sent once unless a worker died between sending and settling.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self
from unittest.mock import patch
from uuid import UUID

import msgspec
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from fallback.dispatch import Dispatcher
from fallback.providers.base import Fault, Ok, Outcome, Permanent, Provider, Surroundings, Transient
from fallback.registry import ProviderRegistry
from fallback.render import Message, Renderer
from fallback.rescuer import MAX_CLAIMS
from fallback.routes import Routes
from hub.bus.memory import MemoryPresence
from hub.core import wire
from hub.core.breaker import BreakerPolicy
from hub.core.errors import StateConflict
from hub.core.model import (
    BROADCAST,
    Attention,
    Channel,
    DeliveryState,
    ExpansionState,
    InboxKey,
    MarkAction,
    Priority,
    Rung,
    Selection,
    Step,
    When,
)
from hub.core.model.queues import Change, DeliveryFilter, EventKind, QueueKey
from hub.core.operating import EMPTIED
from hub.core.plan import Endpoint
from hub.core.retry import POLICIES
from hub.core.transitions import TRANSITIONS, Actor, may
from hub.core.views import rfc3339_or_none
from hub.ports import OFFLINE_AFTER, Claim, Lane, PresenceEntry, Settlement
from hub.settings import Settings
from hub.store.deliveries import SqlDeliveryQueue
from hub.store.expansions import SqlExpansions
from hub.store.inbox import SqlInboxStore
from hub.store.queue_control import SqlQueueControl
from hub.store.shared import SqlSharedLog
from hub.store.tables import deliveries
from tests.support.clock import ManualClock
from tests.support.machines import hub_over, open_emptied, play
from tests.support.shared_inboxes import to
from tests.support.transitions import seen, watch

TENANT = "default"
USERS = ("ada", "grace", "linus")
"""Ada has everything, Grace an e-mail address, Linus nothing."""
LEASE = 30_000
CHANNELS = (Channel.EMAIL, Channel.PUSH, Channel.SMS)
LANES = [Lane(channel, Priority.NORMAL, shared) for channel in CHANNELS for shared in (False, True)]
TOPIC = "news"
PROVIDED = frozenset({Channel.EMAIL, Channel.PUSH})
REACHES = {"ada": PROVIDED, "grace": {Channel.EMAIL}, "linus": set[Channel]()}
ENDS = {DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.CANCELLED, DeliveryState.SKIPPED, DeliveryState.EXPIRED}
NEVER_OPENS = BreakerPolicy(in_a_row=10**9, window=10**9)
"""Claims are made past the lanes here, and those would wait for it (`test_failover_machine.py` has breakers)."""
OUTCOMES: dict[str, tuple[Outcome, Outcome]] = {
    "ok": (Ok("id"), Ok("not called")),
    "failed over": (Transient("away"), Ok("id")),
    "refused, failed over": (Permanent("bad credentials", fault=Fault.PROVIDER), Ok("id")),
    "transient": (Transient("away"), Transient("busy")),
    "perhaps sent": (Transient("no answer", maybe_sent=True), Ok("not called")),
    "wait": (Transient("later", retry_after=60_000), Transient("busy")),
    "permanent": (Permanent("no"), Ok("not called")),
}
"""What the first provider and the second one answer."""


class ScriptedProvider:
    """Ends every call as it is told, and remembers the deliveries it was called for."""

    name: ClassVar[str] = ""
    channels: ClassVar[frozenset[Channel]] = frozenset(Channel)
    preference: ClassVar[int] = 0

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc] # each its own
        self.outcome: Outcome = Ok()
        self.calls: Counter[UUID] = Counter()
        self.oks: Counter[UUID] = Counter()

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        return True

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        raise AssertionError

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        self.calls[idempotency_key] += 1
        self.oks[idempotency_key] += isinstance(self.outcome, Ok)
        return self.outcome

    async def close(self) -> None:
        pass


class Audience(NamedTuple):
    """Whom a shared notification is for, and what."""

    members: frozenset[str]
    plan: Sequence[Step]


steps = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["email", "email", "email", "push", "push", "sms"]),
        "after": st.sampled_from([0, 0, 0, 60]),
        "unless": st.sampled_from(["delivered", "seen", "read", None]),
        "when": st.sampled_from(["always", "always", "offline"]),
    }
)


plans = st.lists(steps, min_size=1, max_size=3)


def step(asked: dict[str, Any]) -> Step:
    return Step(
        Channel(asked["channel"]), asked["after"] * 1000, Rung[(asked["unless"] or "none").upper()], When(asked["when"])
    )


class FallbackMachine(RuleBasedStateMachine):
    """Drives the real queue, dispatcher and use cases; keeps beside them what the world should look like."""

    url: ClassVar[str]
    notifications: Bundle[UUID] = Bundle("notifications")
    claims: Bundle[Claim] = Bundle("claims")
    settlements: Bundle[Settlement] = Bundle("settlements")

    def __init__(self) -> None:
        super().__init__()
        # Ids order what is due at the same time: with the same ones, the same steps have the same history.
        self.ids = patch("hub.core.ids._entropy.take", partial(random.Random(0).getrandbits, 80))
        self.ids.start()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.rungs: dict[tuple[UUID, str], Rung] = {}
        self.highest: dict[tuple[UUID, str], Rung] = {}
        """The same, but what is unread again stays read."""
        self.members = {"ada", "linus"}
        self.audiences: dict[UUID, Audience] = {}
        self.recalled: set[UUID] = set()
        self.tracked: set[UUID] = set()
        self.fences: dict[UUID, int] = {}
        self.sent_before_crash: Counter[UUID] = Counter()
        self.paused: set[Channel] = set()
        self.connected: set[str] = set()
        self.providers = (ScriptedProvider("first"), ScriptedProvider("second"))
        self.run(self.open())

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    async def open(self) -> None:
        self.database = await open_emptied(self.url)
        self.presence = MemoryPresence(born=self.clock.now() - OFFLINE_AFTER)
        await watch(self.database)
        self.queue = SqlDeliveryQueue(self.database)
        self.control = SqlQueueControl(self.database)
        self.expansions = SqlExpansions(self.database)
        self.log = SqlSharedLog(self.database)
        self.store = SqlInboxStore(self.database)
        self.hub = hub_over(self.database, self.clock, inbox=self.store, presence=self.presence)
        providers = ProviderRegistry({channel: list[Provider](self.providers) for channel in PROVIDED})
        self.dispatcher = Dispatcher(
            queue=self.queue,
            presence=self.presence,
            routes=Routes(providers, self.clock, policy=NEVER_OPENS),
            clock=self.clock,
            renderer=Renderer(brand="Test", public_url=None),
            random=lambda: 0.0,  # what failed may be tried again at once: more happens in fewer steps
        )
        await self.hub.users.put_contact(TENANT, "ada", wire.ContactIn(email="ada@example.com", phone="+15551234567"))
        await self.hub.users.put_contact(TENANT, "grace", wire.ContactIn(email="grace@example.com"))
        await self.hub.users.add_device(TENANT, "ada", wire.DeviceIn(token="a-device-token"))
        for user in USERS:
            await self.store.head(InboxKey(TENANT, user))  # from here on they are among everybody
        await self.log.join(TENANT, TOPIC, sorted(self.members), self.clock.now())

    @initialize(target=notifications, plans=st.tuples(plans, plans))
    def begin(self, plans: Sequence[list[dict[str, Any]]]) -> Any:
        """Have something to work on from the first step on."""
        return multiple(*(self.publish({"ada"}, plan, None) for plan in plans))

    @rule(
        target=notifications,
        users=st.sampled_from([{"ada"}, {"ada", "grace"}, set(USERS)]),
        plan=plans,
        expires=st.sampled_from([None, None, 90]),
    )
    def publish(self, users: set[str], plan: list[dict[str, Any]], expires: int | None) -> UUID:
        expires_at = None if expires is None else self.clock.now() + expires * 1000
        notification = self.published(recipients=sorted(users), fallback=plan, expires_at=rfc3339_or_none(expires_at))
        self.rungs |= {(notification, user): Rung.NONE for user in users}
        if any(step["unless"] == "delivered" for step in plan):
            self.tracked.add(notification)
        return notification

    def published(self, **fields: Any) -> UUID:
        request = msgspec.convert({"title": "t", **fields}, wire.PublishIn)
        outcome = self.run(self.hub.notifications.publish(TENANT, request))
        return UUID(msgspec.json.decode(outcome.body)["id"])

    @rule(target=notifications, address=st.sampled_from([{"email": "eve@example.com"}, {"phone": "+15551230000"}]))
    def publish_to_an_address(self, address: dict[str, str]) -> UUID:
        return self.published(recipients=[address], inbox=False)

    @rule(
        target=notifications,
        topic=st.sampled_from([TOPIC, BROADCAST]),
        plan=plans,
    )
    def publish_to_an_audience(self, topic: str, plan: list[dict[str, Any]]) -> UUID:
        made = tuple(map(step, plan))
        now = self.clock.now()
        notification: UUID = self.run(self.store.publish(to(topic, now=now, plan=made), now)).id
        audience = Audience(frozenset(USERS if topic == BROADCAST else self.members), made)
        self.audiences[notification] = audience
        self.rungs |= {(notification, user): Rung.NONE for user in audience.members}
        if any(step.unless is Rung.DELIVERED for step in made):
            self.tracked.add(notification)
        return notification

    @rule(user=st.sampled_from(USERS))
    def join_or_leave(self, user: str) -> None:
        change = self.log.leave if user in self.members else self.log.join
        self.run(change(TENANT, TOPIC, [user], self.clock.now()))
        self.members ^= {user}

    @rule(members=st.integers(1, 2))
    def expand(self, members: int) -> None:
        """Expand one chunk of what is due first."""
        for key, _ in self.run(self.expansions.due(self.clock.now(), 1, 100))[:1]:
            self.run(self.expansions.expand(key, self.clock.now(), PROVIDED, members))

    @rule(notification=notifications)
    def recall(self, notification: UUID) -> None:
        self.run(self.hub.notifications.recall(TENANT, notification))
        self.recalled.add(notification)

    @rule(
        notification=notifications,
        user=st.sampled_from(USERS),
        action=st.sampled_from(
            [MarkAction.DELIVERED, MarkAction.SEEN, MarkAction.READ, MarkAction.UNREAD, MarkAction.ARCHIVE]
        ),
    )
    def acknowledge(self, notification: UUID, user: str, action: MarkAction) -> None:
        self.run(self.hub.inbox.mark(InboxKey(TENANT, user), action, Selection(ids=(notification,))))
        self.climb(notification, user, action)

    @rule(user=st.sampled_from(USERS), action=st.sampled_from([MarkAction.SEEN, MarkAction.READ]))
    def acknowledge_all(self, user: str, action: MarkAction) -> None:
        self.run(self.hub.inbox.mark(InboxKey(TENANT, user), action, Selection(all=True)))
        for notification, whose in list(self.rungs):
            if whose == user:
                self.climb(notification, user, action)

    def climb(self, notification: UUID, user: str, action: MarkAction) -> None:
        before = self.rungs.get((notification, user))
        if before is None:
            return
        if action is MarkAction.UNREAD:
            self.rungs[notification, user] = min(before, Rung.SEEN)
        elif action is MarkAction.DELIVERED:
            if notification in self.tracked:  # stored only where a step asks for it
                self.rungs[notification, user] = max(before, Rung.DELIVERED)
        else:
            reached = Rung.SEEN if action is MarkAction.SEEN else Rung.READ
            self.rungs[notification, user] = max(before, reached)
        key = (notification, user)
        self.highest[key] = max(self.highest.get(key, Rung.NONE), self.rungs[key])

    @rule(user=st.sampled_from(USERS))
    def come_or_go(self, user: str) -> None:
        """Connect, for good, or leave."""
        self.connected ^= {user}
        entry = PresenceEntry(InboxKey(TENANT, user), "a-connection", Attention.ACTIVE)
        if user not in self.connected:
            self.run(self.presence.leave([entry], self.clock.now()))

    def signs_of_life(self) -> None:
        entries = [PresenceEntry(InboxKey(TENANT, user), "a-connection", Attention.ACTIVE) for user in self.connected]
        self.run(self.presence.refresh(entries, self.clock.now()))

    @rule()
    def timers(self) -> None:
        """Let what has expired vanish."""
        self.run(self.hub.upkeep.apply_timers())

    @rule(seconds=st.sampled_from([1, 10, 31, 60, 900]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds * 1000)

    @rule(target=claims, lane=st.sampled_from(LANES), limit=st.sampled_from([1, 5]))
    def claim(self, lane: Lane, limit: int) -> Any:
        return multiple(*self.claimed(lane, limit))

    @rule(lane=st.sampled_from(LANES), outcome=st.sampled_from(sorted(OUTCOMES)), rounds=st.sampled_from([1, 6]))
    def work(self, lane: Lane, outcome: str, rounds: int) -> None:
        """Claim, send and settle, until nothing is due; what is to be tried again may be at once."""
        for _ in range(rounds):
            for claim in self.claimed(lane):
                self.settle(claim, self.dispatch(claim, *OUTCOMES[outcome]))

    @rule(target=claims, lane=st.sampled_from(LANES))
    def claim_what_a_slow_worker_still_holds(self, lane: Lane) -> Any:
        slow = self.claimed(lane)
        self.leases_run_out()
        return multiple(*slow, *self.claimed(lane))

    def claimed(self, lane: Lane, limit: int = 1) -> list[Claim]:
        """Claim deliveries, of this lane or of the next one that has any due."""
        start = LANES.index(lane)
        found = (self.claimed_of(each, limit) for each in [*LANES[start:], *LANES[:start]])
        return next((claims for claims in found if claims), [])

    def claimed_of(self, lane: Lane, limit: int) -> list[Claim]:
        claimed: list[Claim] = self.run(self.queue.claim(lane, self.clock.now(), LEASE, limit))
        for claim in claimed:
            delivery = claim.delivery
            assert delivery.due_at <= self.clock.now()
            assert delivery.channel not in self.paused
            assert delivery.notification not in self.recalled
            assert delivery.unless is Rung.NONE or self.rung_of(claim) < delivery.unless
            assert delivery.fence > self.fences.get(delivery.id, 0)  # nobody else's, now or before
            self.fences[delivery.id] = delivery.fence
        return claimed

    @rule(claim=claims, action=st.sampled_from([MarkAction.SEEN, MarkAction.READ]))
    def acknowledge_what_is_claimed(self, claim: Claim, action: MarkAction) -> None:
        if claim.delivery.user is not None:
            self.acknowledge(claim.delivery.notification, claim.delivery.user, action)

    def rung_of(self, claim: Claim) -> Rung:
        if claim.delivery.user is None:
            return Rung.NONE  # there is nobody to see it
        return self.rungs[claim.delivery.notification, claim.delivery.user]

    def is_held(self, delivery: UUID, fence: int) -> bool:
        """Tell whether a claim is still its worker's, by what the database says."""
        [row] = [row for row in self.rows() if row.id == delivery]
        return (row.state, row.fence) == ("sending", fence)

    @rule(claim=claims, seconds=st.sampled_from([1, LEASE // 1000 - 1]))
    def renew(self, claim: Claim, seconds: int) -> None:
        """Renew a lease: nobody gets the delivery before the new one is over, or it had been lost."""
        delivery, held = claim.delivery, self.is_held(claim.delivery.id, claim.delivery.fence)
        renewed = self.run(self.queue.renew([(delivery.id, delivery.fence)], self.clock.now(), LEASE))
        assert renewed == ([delivery.id] if held else [])
        self.clock.advance(seconds * 1000)
        self.run(self.queue.rescue(self.clock.now(), MAX_CLAIMS, 100))
        assert self.is_held(delivery.id, delivery.fence) is held

    @rule(target=settlements, claim=consumes(claims), outcome=st.sampled_from(sorted(OUTCOMES)))
    def finish(self, claim: Claim, outcome: str) -> Any:
        settlement = self.dispatch(claim, *OUTCOMES[outcome])
        self.settle(claim, settlement)
        return settlement

    @rule(target=claims, lane=st.sampled_from(LANES), action=st.sampled_from([MarkAction.SEEN, MarkAction.READ, None]))
    def try_in_vain_while_the_user_looks(self, lane: Lane, action: MarkAction | None) -> Any:
        """Send in vain; before that is written down, it is looked at or recalled: nobody gets it again."""
        for claim in self.claimed(lane):
            settlement = self.dispatch(claim, *OUTCOMES["transient"])
            if action is None:
                self.recall(claim.delivery.notification)
            else:
                self.acknowledge_what_is_claimed(claim, action)
            self.settle(claim, settlement)
        return multiple(*self.claimed(lane, limit=5))

    def settle(self, claim: Claim, settlement: Settlement) -> None:
        held = self.is_held(claim.delivery.id, claim.delivery.fence)
        assert held <= (self.fences[claim.delivery.id] == claim.delivery.fence)
        written = self.run(self.queue.settle([settlement], self.clock.now()))
        assert written == ([claim.delivery.id] if held else [])  # else somebody else has it, or has settled it

    def dispatch(self, claim: Claim, *outcomes: Outcome) -> Settlement:
        for provider, outcome in zip(self.providers, outcomes, strict=True):
            provider.outcome = outcome
        self.signs_of_life()
        delivery, before = claim.delivery, self.calls()
        settlement: Settlement = self.run(self.dispatcher.dispatch(claim))
        if self.calls() > before:
            assert delivery.notification not in self.recalled
            assert delivery.unless is Rung.NONE or self.rung_of(claim) < delivery.unless
            assert claim.content.expires_at is None or self.clock.now() < claim.content.expires_at
            assert delivery.when is When.ALWAYS or delivery.user not in self.connected
        return settlement

    def calls(self) -> int:
        return sum(provider.calls.total() for provider in self.providers)

    def oks(self, delivery: UUID) -> int:
        return sum(provider.oks[delivery] for provider in self.providers)

    @rule(claim=consumes(claims), has_sent=st.booleans())
    def crash(self, claim: Claim, *, has_sent: bool) -> None:
        """Forget the claim, before or after sending."""
        if has_sent:
            self.dispatch(claim, Ok(), Ok())
            self.sent_before_crash[claim.delivery.id] += 1

    @rule(settlement=settlements)
    def settle_again(self, settlement: Settlement) -> None:
        assert self.run(self.queue.settle([settlement], self.clock.now())) == []

    @rule()
    def leases_run_out(self) -> None:
        self.clock.advance(LEASE + 1)
        self.run(self.queue.rescue(self.clock.now(), MAX_CLAIMS, 100))

    @rule(channel=st.sampled_from(CHANNELS))
    def pause_or_resume(self, channel: Channel) -> None:
        key = QueueKey(TENANT, channel)
        if channel in self.paused:
            self.run(self.control.resume(key))
        else:
            self.run(self.control.pause(key, self.clock.now()))
        self.paused ^= {channel}
        assert {lane.channel for lane in self.run(self.queue.next_due())}.isdisjoint(self.paused)

    @rule(channel=st.sampled_from(CHANNELS), limit=st.sampled_from([1, 100]))
    def empty(self, channel: Channel, limit: int) -> None:
        self.run(self.control.empty(QueueKey(TENANT, channel), self.clock.now(), limit))

    @rule(
        which=st.integers(0, 20),
        state=st.sampled_from([DeliveryState.SENDING, DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.SENT]),
        kind=st.sampled_from([EventKind.RETRIED, EventKind.PROMOTED, EventKind.CANCELLED, EventKind.CHANGED]),
        seconds=st.sampled_from([0, 60]),
    )
    def act(self, which: int, state: DeliveryState, kind: EventKind, seconds: int) -> None:
        """Do something to a delivery, of this state if there is one: as the table of transitions allows, or not."""
        rows = sorted(self.rows(), key=lambda row: row.id)
        rows = [row for row in rows if row.state == state] or rows
        if not rows:
            return
        row = rows[which % len(rows)]
        before, now = DeliveryState(row.state), self.clock.now()
        change = Change(due_at=now + seconds * 1000)
        try:
            done = self.run(self.control.act(TENANT, row.id, kind, now, change))
        except StateConflict:
            assert before is not DeliveryState.QUEUED or kind is EventKind.RETRIED
        else:
            assert before is not DeliveryState.SENDING
            assert done.state is before or may(Actor.OPERATOR, before, done.state)

    @rule(channel=st.none() | st.sampled_from(CHANNELS), limit=st.sampled_from([1, 100]))
    def replay(self, channel: Channel | None, limit: int) -> None:
        dead = {row.id for row in self.rows() if row.state == "failed" and channel in {None, Channel(row.channel)}}
        wanted, after, replayed = DeliveryFilter(state=DeliveryState.FAILED, channel=channel), None, 0
        while True:
            chunk = self.run(self.control.replay(TENANT, wanted, after, limit, self.clock.now(), dry_run=False))
            replayed, after = replayed + chunk.deliveries, chunk.next
            if after is None:
                break
        assert replayed == len(dead)

    def rows(self) -> list[Any]:
        async def read() -> list[Any]:
            async with self.database.reader() as connection:
                return list(await connection.execute(sa.select(deliveries)))

        return list(self.run(read()))

    @invariant()
    def limits_hold(self) -> None:
        for row in self.rows():
            assert row.attempts - row.forgiven <= POLICIES[Channel(row.channel)].max_attempts
            assert row.claims <= MAX_CLAIMS
            assert (row.state == "sending") == (row.lease_until is not None)
            assert (row.finished_at is not None) == (DeliveryState(row.state) in ENDS)

    @invariant()
    def transitions_are_legal(self) -> None:
        assert self.run(seen(self.database)) <= set(TRANSITIONS)

    def teardown(self) -> None:
        try:
            for channel in list(self.paused):
                self.pause_or_resume(channel)
            for user in sorted(self.connected):
                self.come_or_go(user)
            self.run_to_the_end()
            self.transitions_are_legal()
            for row in self.rows():
                state = DeliveryState(row.state)
                assert state in ENDS
                assert state is DeliveryState.SENT or row.reason
                assert (state is not DeliveryState.SENT) or self.oks(row.id) >= 1
                assert self.oks(row.id) <= 1 + self.sent_before_crash[row.id]
            self.audiences_got_it()
        finally:
            self.run(self.database.close())
            self.runner.close()
            self.ids.stop()

    def audiences_got_it(self) -> None:
        rows = {(row.notification_id, row.step, row.user_id) for row in self.rows()}
        for notification, audience in self.audiences.items():
            if notification in self.recalled:
                continue
            state = self.run(self.store.notification(TENANT, notification))
            for number, step in enumerate(audience.plan):
                expansion = state.expansions[number]
                if (expansion.state, expansion.reason) == (ExpansionState.CANCELLED, EMPTIED):
                    continue
                assert expansion.state is ExpansionState.DONE
                assert expansion.members == len(audience.members)
                assert expansion.members == expansion.deliveries + expansion.reached + expansion.unreachable
                have = {user for user in USERS if (notification, number, user) in rows}
                assert have <= audience.members
                for user in audience.members - have:
                    needed = step.unless is Rung.NONE or self.highest.get((notification, user), Rung.NONE) < step.unless
                    assert not needed or step.channel not in REACHES[user]

    def run_to_the_end(self) -> None:
        for _ in range(200):
            while self.run(self.expansions.due(self.clock.now(), 1, 100)):
                self.expand(2)
            self.run(self.queue.rescue(self.clock.now(), MAX_CLAIMS, 100))
            held = [claim for lane in LANES for claim in self.claimed_of(lane, 50)]
            for claim in held:
                self.settle(claim, self.dispatch(claim, Ok(), Ok()))
            if not held:
                waits = self.run(self.expansions.next_due()) is not None
                if not waits and not any(row.state in {"queued", "sending"} for row in self.rows()):
                    return
                self.clock.advance(LEASE + 1)
        raise AssertionError("deliveries that never end")


def test_the_fallback_keeps_its_promises_on_sqlite(sqlite_url: str) -> None:
    play(FallbackMachine, 22, steps=40, url=sqlite_url)


def test_the_fallback_keeps_its_promises_on_postgresql(postgres_url: str) -> None:
    play(FallbackMachine, 12, steps=40, url=postgres_url)
