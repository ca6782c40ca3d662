"""The contract of `InboxStore` for calls that come at once: they share a transaction, and nobody can tell.

Nobody but by what it costs: there is one wake-up row a tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from hub.core.errors import DataError, IdempotencyConflict
from hub.core.model import InboxKey, ItemState, Publication, Published
from hub.ports import PersonalData
from hub.store.engine import Database
from hub.store.failures import CommitUnknown
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    GRACE,
    LATER,
    TENANT,
    check_inbox,
    publication,
    stored_items,
    table_counts,
)

ACME_ADA = InboxKey("acme", "ada")


async def together(store: SqlInboxStore, *publications: Publication) -> list[Published | BaseException]:
    return await asyncio.gather(*(store.publish(each, START) for each in publications), return_exceptions=True)


async def all_stored(store: SqlInboxStore, *publications: Publication) -> list[Published]:
    return await asyncio.gather(*(store.publish(each, START) for each in publications))


async def test_an_inbox_takes_consecutive_versions_in_the_order_of_the_calls(
    database: Database, store: SqlInboxStore
) -> None:
    sent = [publication("ada", *(["grace"] if number % 2 else [])) for number in range(10)]
    outcomes = await all_stored(store, *sent)
    assert [outcome.id for outcome in outcomes] == [each.content.id for each in sent]
    assert [outcome.heads["ada"].version for outcome in outcomes] == list(range(1, 11))
    assert [outcome.heads["ada"].counts for outcome in outcomes] == [(count, count) for count in range(1, 11)]
    assert [outcome.heads["grace"].version for outcome in outcomes[1::2]] == list(range(1, 6))
    versions = {item.content.id: item.version for item in await stored_items(database, ADA)}
    assert versions == {outcome.id: outcome.heads["ada"].version for outcome in outcomes}
    for key in (ADA, GRACE):
        await check_inbox(database, key)


async def test_inboxes_erased_since_they_were_last_seen_are_made_anew(
    database: Database, store: SqlInboxStore, personal: PersonalData
) -> None:
    """The store remembers who has a head, and must not take this for the truth."""
    (first,) = await all_stored(store, publication("ada", "grace"))
    while await personal.erase_some(ADA):
        pass
    with capture_logs() as logs:
        (second,) = await all_stored(store, publication("ada", "grace"))
        (third,) = await all_stored(store, publication("ada", "grace"))
    assert [line["event"] for line in logs] == ["transaction_repeated"]
    assert [each.heads["ada"].version for each in (second, third)] == [1, 2]
    assert second.heads["ada"].epoch != first.heads["ada"].epoch
    for key in (ADA, GRACE):
        await check_inbox(database, key)


async def test_a_tenant_has_one_wakeup_row_settled_by_the_last_to_tell(store: SqlInboxStore) -> None:
    sent = [publication("ada"), publication("ada", tenant="acme"), publication("grace"), publication("ada")]
    ours, theirs, *more = [outcome.wakeup for outcome in await all_stored(store, *sent)]
    left = {wakeup.id: list(wakeup.heads) for wakeup in await store.leftover_wakeups(START + 1, 9)}
    assert ours is not None
    assert theirs is not None
    assert left == {ours.id: [(ADA, 2), (GRACE, 1)], theirs.id: [(ACME_ADA, 1)]}
    assert more == [ours, ours]
    assert theirs.told()
    assert [ours.told() for _ in range(3)] == [False, False, True]


async def test_all_kinds_in_one_group(database: Database, store: SqlInboxStore) -> None:
    live = publication("ada", plan=[EMAIL_UNLESS_SEEN], expires_at=LATER)
    pending = publication("ada", "grace", plan=[EMAIL_UNLESS_SEEN], deliver_at=LATER)
    nobody = publication()
    first, second, third = await all_stored(store, live, pending, nobody)
    assert [list(each.heads) for each in (first, second, third)] == [["ada"], [], []]
    assert (second.wakeup, third.wakeup) == (None, None)
    assert first.wakeup is not None
    assert first.wakeup.told()
    assert {item.content.id: item.state for item in await stored_items(database, ADA)} == {
        live.content.id: ItemState.LIVE,
        pending.content.id: ItemState.PENDING,
    }
    rows = await table_counts(database)
    assert (rows["notifications"], rows["inbox_items"], rows["deliveries"], rows["timers"]) == (3, 3, 3, 2)


@pytest.mark.parametrize("position", [0, 3, 6])
async def test_a_bad_row_fails_its_caller_only(database: Database, store: SqlInboxStore, position: int) -> None:
    sent = [publication("ada", "grace") for _ in range(7)]
    sent[position] = publication("ada", title="\ud800")
    outcomes = await together(store, *sent)
    assert isinstance(outcomes.pop(position), DataError)
    versions = [outcome.heads["ada"].version for outcome in outcomes if isinstance(outcome, Published)]
    assert versions == [1, 2, 3, 4, 5, 6]
    for key in (ADA, GRACE):
        assert (await check_inbox(database, key)).version == 6
    assert (await table_counts(database))["notifications"] == 6


async def test_bad_in_every_way_beside_good_ones(database: Database, store: SqlInboxStore) -> None:
    known = publication("ada")
    await store.publish(known, START)
    bad = [
        publication("ada", "\udfff"),
        publication("ada", deliver_at=2**70),
        replace(known, users=("grace",)),
        publication("ada", idempotency=("\ud800", b"hash")),
    ]
    good = [publication("ada") for _ in bad]
    outcomes = await together(store, *(each for pair in zip(bad, good, strict=True) for each in pair))
    assert [type(outcome) for outcome in outcomes[::2]] == [DataError] * len(bad)
    assert [type(outcome) for outcome in outcomes[1::2]] == [Published] * len(good)
    assert (await check_inbox(database, ADA)).version == 1 + len(good)
    assert (await table_counts(database))["inbox_heads"] == 1


async def test_one_key_in_one_group_is_one_notification(database: Database, store: SqlInboxStore) -> None:
    first, again, other, _stranger, _keyless = outcomes = await together(
        store,
        publication("ada", idempotency=("key", b"hash")),
        publication("ada", idempotency=("key", b"hash")),
        publication("grace", idempotency=("key", b"other")),
        publication("ada", tenant="acme", idempotency=("key", b"other")),
        publication("ada"),
    )
    assert isinstance(other, IdempotencyConflict)
    stored = [outcome for outcome in outcomes if isinstance(outcome, Published)]
    assert [outcome.replayed for outcome in stored] == [False, True, False, False]
    assert isinstance(first, Published)
    assert isinstance(again, Published)
    assert (again.id, again.heads, again.wakeup) == (first.id, {}, None)
    assert (await check_inbox(database, ADA)).version == 2
    assert (await check_inbox(database, ACME_ADA)).version == 1
    assert (await table_counts(database))["idempotency"] == 2


async def test_keys_of_earlier_and_of_now_in_one_group(database: Database, store: SqlInboxStore) -> None:
    earlier = publication("ada", idempotency=("old", b"hash"))
    await store.publish(earlier, START)
    replayed, new, conflict, twin = await together(
        store,
        publication("ada", idempotency=("old", b"hash")),
        publication("ada", idempotency=("new", b"hash")),
        publication("ada", idempotency=("old", b"other")),
        publication("ada", idempotency=("new", b"hash")),
    )
    assert isinstance(replayed, Published)
    assert isinstance(new, Published)
    assert isinstance(conflict, IdempotencyConflict)
    assert isinstance(twin, Published)
    assert (replayed.id, replayed.response) == (earlier.content.id, earlier.idempotency[0].response)
    assert (twin.id, twin.replayed, new.heads["ada"].version) == (new.id, True, 2)
    assert (await check_inbox(database, ADA)).version == 2


async def test_a_key_is_not_taken_by_one_that_is_refused(database: Database, store: SqlInboxStore) -> None:
    refused, stored = await together(
        store,
        publication("ada", title="\ud800", idempotency=("key", b"hash")),
        publication("ada", idempotency=("key", b"hash")),
    )
    assert isinstance(refused, DataError)
    assert isinstance(stored, Published)
    assert not stored.replayed
    assert (await check_inbox(database, ADA)).version == 1


@pytest.mark.parametrize("was_stored", [True, False])
async def test_an_unknown_commit_is_looked_up(
    database: Database, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch, *, was_stored: bool
) -> None:
    """The connection is lost during COMMIT: before the server has it, or before we hear of it."""
    await store.publish(publication("ada", idempotency=("old", b"hash")), START)
    writer, lost = database.writer, CommitUnknown("lost")
    commits: list[AsyncConnection] = []

    @asynccontextmanager
    async def first_is_lost() -> AsyncIterator[AsyncConnection]:
        async with writer() as connection:
            commits.append(connection)
            yield connection
            if len(commits) == 1 and not was_stored:
                raise lost
        if len(commits) == 1:
            raise lost

    monkeypatch.setattr(database, "writer", first_is_lost)
    sent = [publication("ada", "grace", idempotency=(f"key-{number}", b"hash")) for number in range(3)]
    again = publication("ada", idempotency=("old", b"hash"))
    outcomes = await all_stored(store, *sent, again)
    assert [outcome.id for outcome in outcomes[:3]] == [each.content.id for each in sent]
    assert [outcome.replayed for outcome in outcomes] == [False, False, False, True]
    # Found again, their heads are left to the sweeper; stored again, they are told at once.
    assert [len(outcome.heads) for outcome in outcomes] == [0 if was_stored else 2] * 3 + [0]
    assert (await check_inbox(database, ADA)).version == 4
    assert (await check_inbox(database, GRACE)).version == 3
    assert len(await store.leftover_wakeups(START + 1, 9)) == 2


async def test_many_tenants_share_a_group(database: Database, store: SqlInboxStore) -> None:
    tenants = [f"tenant-{number}" for number in range(20)]
    outcomes = await all_stored(store, *(publication("ada", tenant=each) for each in tenants * 3))
    assert [outcome.heads["ada"].version for outcome in outcomes] == [1] * 20 + [2] * 20 + [3] * 20
    for tenant in tenants:
        assert (await check_inbox(database, InboxKey(tenant, "ada"))).version == 3
    assert (await table_counts(database))["wakeups"] == 20
    assert TENANT not in tenants
