"""The contract of `DeliveryQueue`: claiming. See also the suites of leases, settlements, and the inbox."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from hub.core.errors import DataError
from hub.core.model import Channel, Contact, DeliveryState, Device, ItemState, Priority, Rung, Step, When
from hub.ports import DeliveryQueue, Lane
from hub.store.directory import SqlDirectory
from hub.store.engine import Database
from tests.support.clock import START
from tests.support.queue import EMAIL, LEASE, PUSH, SECOND, TOUCHES, claim_one, ids, settled
from tests.support.rows import Rows


class TestClaim:
    async def test_takes_the_earliest_due_first_and_only_what_is_due(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(users=["ada", "ben", "cyd", "dee"])
        # The later it is due, the lower its id.
        late = await rows.delivery(notification, user="ada", due_at=START + 2 * SECOND, identifier=UUID(int=2))
        early = await rows.delivery(notification, user="ben", due_at=START, identifier=UUID(int=4))
        middle = await rows.delivery(notification, user="cyd", due_at=START + SECOND, identifier=UUID(int=3))
        future = await rows.delivery(notification, user="dee", due_at=START + 3 * SECOND + 1, identifier=UUID(int=1))

        first = await queue.claim(EMAIL, START + 3 * SECOND, LEASE, 2)
        second = await queue.claim(EMAIL, START + 3 * SECOND, LEASE, 2)
        third = await queue.claim(EMAIL, START + 3 * SECOND, LEASE, 2)

        assert ids(first) == [early, middle]
        assert ids(second) == [late]
        assert third == []
        assert (await rows.state(future)).state == "queued"

    async def test_equally_due_go_by_id(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(users=["ada", "ben", "cyd"])
        made = [await rows.delivery(notification, user=user) for user in ("cyd", "ada", "ben")]

        assert ids(await queue.claim(EMAIL, START, LEASE, 2)) == sorted(made)[:2]

    async def test_a_lane_is_one_channel_and_one_priority(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(users=["ada"])
        made = {}
        for number, lane in enumerate([EMAIL, PUSH, Lane(Channel.EMAIL, Priority.CRITICAL)]):
            made[lane] = await rows.delivery(notification, step=number, channel=lane.channel, priority=lane.priority)

        for lane, delivery in made.items():
            assert ids(await queue.claim(lane, START, LEASE, 10)) == [delivery]

    async def test_says_who_holds_it_and_until_when(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(plan=[Step(Channel.EMAIL, 0, Rung.READ, When.OFFLINE)])

        claim = await claim_one(queue)

        assert claim.delivery.notification == notification
        assert (claim.delivery.tenant, claim.delivery.user) == ("default", "ada")
        assert claim.delivery.state is DeliveryState.SENDING
        assert (claim.delivery.unless, claim.delivery.when) == (Rung.READ, When.OFFLINE)
        assert (claim.delivery.fence, claim.delivery.claims, claim.delivery.attempts) == (1, 1, 0)
        row = await rows.state(claim.delivery.id)
        assert (row.state, row.lease_until, row.fence, row.claims) == ("sending", START + LEASE, 1, 1)

    async def test_brings_all_that_is_needed_to_send(
        self, queue: DeliveryQueue, rows: Rows, database: Database
    ) -> None:
        directory = SqlDirectory(database)
        plan = [Step(Channel.EMAIL, 0)]
        first = await rows.notification(users=["ada", "ben"], plan=plan)
        second = await rows.notification(users=["ada"], plan=plan)
        contact = Contact("ada", email="ada@example.com", name="Ada")
        await directory.put_contact("default", contact, START)
        phones = [
            await directory.add_device("default", Device(uuid4(), "ada", "fcm_token", token, at))
            for token, at in (("t1", START), ("t2", START + 1))
        ]
        await directory.put_contact("other", Contact("ben", email="another@example.com"), START)

        claims = await queue.claim(EMAIL, START, LEASE, 10)

        found = {(claim.delivery.notification, claim.delivery.user): claim for claim in claims}
        assert set(found) == {(first, "ada"), (first, "ben"), (second, "ada")}
        for (notification, user), claim in found.items():
            assert claim.content.id == notification
            assert claim.content.plan == tuple(plan)
            assert claim.contact == (contact if user == "ada" else None)
            assert list(claim.devices) == (phones if user == "ada" else [])
            assert claim.done_endpoints == claim.refused_endpoints == frozenset()

    async def test_two_claimers_never_share_a_delivery(self, queue: DeliveryQueue, rows: Rows) -> None:
        users = [f"user-{number}" for number in range(40)]
        await rows.notification(users=users, plan=[Step(Channel.EMAIL, 0)])

        batches = await asyncio.gather(*(queue.claim(EMAIL, START, LEASE, 7) for _ in range(8)))

        taken = [delivery for batch in batches for delivery in ids(batch)]
        assert len(taken) == len(set(taken))
        rest = await queue.claim(EMAIL, START, LEASE, 40)
        assert len({*taken, *ids(rest)}) == 40

    async def test_addresses_have_no_item_and_no_contact(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(users=[], inbox=False)
        delivery = await rows.delivery(notification, address="a@b.example", unless=Rung.NONE)

        claim = await claim_one(queue)

        assert claim.delivery.id == delivery
        assert (claim.delivery.user, claim.delivery.address) == (None, "a@b.example")
        assert claim.contact is None
        assert claim.devices == ()

    async def test_users_are_reached_without_an_inbox_too(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(inbox=False, plan=[Step(Channel.EMAIL, 0)])

        assert (await claim_one(queue)).delivery.user == "ada"

    async def test_an_item_that_is_still_pending_does_not_hold_back_a_due_step(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)], state=ItemState.PENDING)

        await claim_one(queue)

    async def test_nothing_is_claimed_with_an_empty_queue(self, queue: DeliveryQueue) -> None:
        assert await queue.claim(EMAIL, START, LEASE, 10) == []


class TestRung:
    @pytest.mark.parametrize("unless", list(Rung))
    @pytest.mark.parametrize("got", list(Rung))
    async def test_a_step_is_claimed_only_below_its_rung(
        self, queue: DeliveryQueue, rows: Rows, unless: Rung, got: Rung
    ) -> None:
        notification = await rows.notification(plan=[Step(Channel.EMAIL, 0, unless)])
        if got is not Rung.NONE:
            await rows.touch(notification, **TOUCHES[got])

        claims = await queue.claim(EMAIL, START, LEASE, 10)

        assert bool(claims) == (unless is Rung.NONE or got < unless)

    async def test_what_may_not_be_sent_does_not_starve_what_may(self, queue: DeliveryQueue, rows: Rows) -> None:
        users = [f"user-{number}" for number in range(10)]
        seen = await rows.notification(users=users, plan=[Step(Channel.EMAIL, 0)])
        for user in users:
            await rows.touch(seen, user=user, seen_at=START)
        await rows.notification(plan=[Step(Channel.EMAIL, SECOND)])

        claim = (await queue.claim(EMAIL, START + SECOND, LEASE, 1))[0]

        assert claim.delivery.user == "ada"

    async def test_a_tombstone_is_never_claimed(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(plan=[Step(Channel.EMAIL, 0, Rung.NONE)])
        await rows.touch(notification, state=int(ItemState.GONE))

        assert await queue.claim(EMAIL, START, LEASE, 10) == []

    @pytest.mark.parametrize("table", ["inbox_items", "notifications"])
    async def test_what_was_erased_is_never_claimed(self, queue: DeliveryQueue, rows: Rows, table: str) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        await rows.erase(table)

        assert await queue.claim(EMAIL, START, LEASE, 10) == []

    async def test_an_expired_notification_is_never_claimed(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)], expires_at=START + SECOND)

        assert await queue.claim(EMAIL, START + SECOND, LEASE, 10) == []
        assert len(await queue.claim(EMAIL, START + SECOND - 1, LEASE, 10)) == 1

    async def test_is_read_again_before_the_send(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        held = (await claim_one(queue)).delivery

        assert await queue.rung(held.id, "default", held.fence) is Rung.NONE
        await rows.touch(notification, **TOUCHES[Rung.SEEN])
        assert await queue.rung(held.id, "default", held.fence) is Rung.SEEN
        await rows.touch(notification, **TOUCHES[Rung.READ])
        assert await queue.rung(held.id, "default", held.fence) is Rung.READ

    async def test_is_none_without_a_valid_claim(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        claim = await claim_one(queue)
        held = claim.delivery

        assert await queue.rung(held.id, "default", held.fence + 1) is None
        assert await queue.rung(held.id, "other", held.fence) is None
        assert await queue.rung(uuid4(), "default", held.fence) is None
        await queue.settle([settled(claim, DeliveryState.SENT)], START)
        assert await queue.rung(held.id, "default", held.fence) is None

    async def test_is_none_once_the_item_is_gone(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        held = (await claim_one(queue)).delivery
        await rows.touch(notification, state=int(ItemState.GONE))

        assert await queue.rung(held.id, "default", held.fence) is None

    async def test_is_the_lowest_without_an_item(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(users=[], inbox=False)
        await rows.delivery(notification, address="a@b.example", unless=Rung.NONE)
        held = (await claim_one(queue)).delivery

        assert await queue.rung(held.id, "default", held.fence) is Rung.NONE


class TestNextDue:
    async def test_tells_each_lane_s_earliest(self, queue: DeliveryQueue, rows: Rows) -> None:
        assert await queue.next_due() == {}
        critical = Lane(Channel.SMS, Priority.CRITICAL)
        notification = await rows.notification(users=["ada", "ben"])
        await rows.delivery(notification, user="ada", due_at=START + 2 * SECOND)
        await rows.delivery(notification, user="ben", due_at=START + SECOND)
        await rows.delivery(
            notification, step=1, channel=Channel.SMS, priority=Priority.CRITICAL, due_at=START + 3 * SECOND
        )

        assert await queue.next_due() == {EMAIL: START + SECOND, critical: START + 3 * SECOND}
        await queue.claim(EMAIL, START + SECOND, LEASE, 10)
        assert await queue.next_due() == {EMAIL: START + 2 * SECOND, critical: START + 3 * SECOND}


class TestIsolation:
    async def test_the_same_user_and_ids_in_two_tenants_are_strangers(
        self, queue: DeliveryQueue, rows: Rows, database: Database
    ) -> None:
        directory = SqlDirectory(database)
        plan = [Step(Channel.EMAIL, 0)]
        for tenant in ("acme", "zeta"):
            contact = Contact("ada", email=f"ada@{tenant}.example")
            await directory.put_contact(tenant, contact, START)
            await directory.add_device(tenant, Device(uuid4(), "ada", "fcm_token", "same token", START))
        read = await rows.notification(tenant="acme", plan=plan)
        await rows.notification(tenant="zeta", plan=plan, identifier=read)
        await rows.touch(read, tenant="acme", **TOUCHES[Rung.READ])

        claim = await claim_one(queue)

        assert claim.delivery.tenant == claim.content.tenant == "zeta"
        assert claim.contact is not None
        assert claim.contact.email == "ada@zeta.example"
        assert [device.id for device in claim.devices] == [
            device.id for device in await directory.devices("zeta", "ada")
        ]


class TestUniqueness:
    @pytest.mark.parametrize("recipient", [{"user": "ada"}, {"user": None, "address": "a@b.example"}])
    async def test_a_step_exists_once_for_a_recipient(self, rows: Rows, recipient: dict[str, str | None]) -> None:
        notification = await rows.notification(users=[], inbox=False)
        await rows.delivery(notification, **recipient)  # type: ignore[arg-type]  # the two keys above

        with pytest.raises(DataError):
            await rows.delivery(notification, **recipient)  # type: ignore[arg-type]  # the two keys above

        await rows.delivery(notification, step=1, **recipient)  # type: ignore[arg-type]  # the two keys above
        await rows.delivery(notification, tenant="other", **recipient)  # type: ignore[arg-type]  # the same
