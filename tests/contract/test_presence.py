"""What every `Presence` does; run on each adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub.bus.memory import MemoryPresence
from hub.bus.presence import RedisPresence
from hub.core.model import Attention, InboxKey
from hub.ports import OFFLINE_AFTER, PRESENCE_TTL, Presence, PresenceEntry, PresenceState
from tests.support.clock import ManualClock

ADA = InboxKey("default", "ada")
BOB = InboxKey("default", "bob")


def entry(connection: str, attention: Attention = Attention.ACTIVE, key: InboxKey = ADA) -> PresenceEntry:
    return PresenceEntry(key, connection, attention)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "redis", "cluster"])
async def young(request: pytest.FixtureRequest) -> AsyncIterator[Presence]:
    """State that nobody has used yet."""
    if request.param == "memory":
        yield MemoryPresence()
        return
    name = {"redis": "flushed_redis_url", "cluster": "flushed_redis_cluster_url"}[request.param]
    presence = RedisPresence(request.getfixturevalue(name))
    yield presence
    await presence.close()


@pytest.fixture
async def presence(young: Presence, clock: ManualClock) -> Presence:
    """State that began long ago and has been reported to lately."""
    await young.refresh([], clock.now())
    for _ in range(OFFLINE_AFTER // 15_000):
        await young.refresh([], clock.advance(15_000))
    return young


async def read(presence: Presence, clock: ManualClock, key: InboxKey = ADA) -> PresenceState:
    return (await presence.read([key], clock.now()))[key]


async def beat(presence: Presence, clock: ManualClock, ms: int) -> None:
    """Let time pass while nodes report, as they do every 15 s."""
    while ms > 0:
        step = min(ms, 15_000)
        await presence.refresh([], clock.advance(step))
        ms -= step


async def test_somebody_never_seen_is_offline(presence: Presence, clock: ManualClock) -> None:
    assert await read(presence, clock) == PresenceState(Attention.OFFLINE, 0, None)


@pytest.mark.parametrize("attention", [Attention.ACTIVE, Attention.AWAY])
async def test_one_connection_says_how_attentive_it_is(
    presence: Presence, clock: ManualClock, attention: Attention
) -> None:
    await presence.refresh([entry("one", attention)], clock.now())
    assert await read(presence, clock) == PresenceState(attention, 1, clock.now())


async def test_the_most_attentive_connection_counts(presence: Presence, clock: ManualClock) -> None:
    await presence.refresh([entry("one", Attention.ACTIVE), entry("two", Attention.AWAY)], clock.now())
    assert await read(presence, clock) == PresenceState(Attention.ACTIVE, 2, clock.now())
    await presence.refresh([entry("one", Attention.AWAY)], clock.advance(5))
    assert await read(presence, clock) == PresenceState(Attention.AWAY, 2, clock.now())


async def test_a_connection_fades_without_refreshing(presence: Presence, clock: ManualClock) -> None:
    seen = clock.now()
    await presence.refresh([entry("one")], seen)
    await beat(presence, clock, PRESENCE_TTL - 1)
    assert (await read(presence, clock)).connections == 1
    await beat(presence, clock, 1)
    assert await read(presence, clock) == PresenceState(Attention.AWAY, 0, seen)
    await beat(presence, clock, OFFLINE_AFTER - 1)
    assert (await read(presence, clock)).attention is Attention.AWAY
    await beat(presence, clock, 1)
    assert await read(presence, clock) == PresenceState(Attention.OFFLINE, 0, seen)


async def test_refreshing_keeps_a_connection(presence: Presence, clock: ManualClock) -> None:
    for _ in range(10):
        await presence.refresh([entry("one")], clock.advance(15_000))
    assert await read(presence, clock) == PresenceState(Attention.ACTIVE, 1, clock.now())


async def test_a_faded_connection_of_somebody_still_there_does_not_count(
    presence: Presence, clock: ManualClock
) -> None:
    await presence.refresh([entry("crashed"), entry("alive", Attention.AWAY)], clock.now())
    for _ in range(4):
        await presence.refresh([entry("alive", Attention.AWAY)], clock.advance(15_000))
    assert await read(presence, clock) == PresenceState(Attention.AWAY, 1, clock.now())


async def test_after_the_last_connection_left_it_takes_a_while_to_be_offline(
    presence: Presence, clock: ManualClock
) -> None:
    await presence.refresh([entry("one"), entry("two")], clock.now())
    await presence.leave([entry("one")], clock.advance(10))
    assert await read(presence, clock) == PresenceState(Attention.ACTIVE, 1, clock.now())
    await presence.leave([entry("two")], clock.advance(10))
    left = clock.now()
    assert await read(presence, clock) == PresenceState(Attention.AWAY, 0, left)
    clock.advance(OFFLINE_AFTER - 1)
    assert (await read(presence, clock)).attention is Attention.AWAY
    clock.advance(1)
    assert await read(presence, clock) == PresenceState(Attention.OFFLINE, 0, left)


async def test_coming_back_ends_being_away(presence: Presence, clock: ManualClock) -> None:
    await presence.refresh([entry("one")], clock.now())
    await presence.leave([entry("one")], clock.advance(10))
    await presence.refresh([entry("two")], clock.advance(10))
    assert await read(presence, clock) == PresenceState(Attention.ACTIVE, 1, clock.now())


async def test_leaving_without_having_come_is_a_sign_of_life_too(presence: Presence, clock: ManualClock) -> None:
    await presence.leave([entry("one")], clock.now())
    assert await read(presence, clock) == PresenceState(Attention.AWAY, 0, clock.now())


async def test_nothing_to_record_is_fine(presence: Presence, clock: ManualClock) -> None:
    await presence.refresh([], clock.now())
    await presence.leave([], clock.now())
    assert await presence.read([], clock.now()) == {}


async def test_users_and_tenants_are_kept_apart(presence: Presence, clock: ManualClock) -> None:
    one, other = InboxKey("a", "b:c"), InboxKey("a:b", "c")
    await presence.refresh([entry("x", key=one)], clock.now())
    states = await presence.read([one, other, BOB], clock.now())
    assert {key: state.attention for key, state in states.items()} == {
        one: Attention.ACTIVE,
        other: Attention.OFFLINE,
        BOB: Attention.OFFLINE,
    }


@pytest.mark.parametrize("name", ["left", "", "c", "born", "ü\n\x00"])
async def test_a_connection_may_have_any_name(presence: Presence, clock: ManualClock, name: str) -> None:
    await presence.refresh([entry(name)], clock.now())
    assert (await read(presence, clock)).connections == 1
    await presence.leave([entry(name)], clock.now())
    assert (await read(presence, clock)).connections == 0


async def test_more_users_than_fit_one_batch(presence: Presence, clock: ManualClock) -> None:
    keys = [InboxKey("default", f"user-{number}") for number in range(450)]
    await presence.refresh([entry("one", key=key) for key in keys], clock.now())
    await presence.leave([entry("one", key=key) for key in keys[::2]], clock.now())
    states = await presence.read(keys, clock.now())
    assert [states[key].connections for key in keys] == [0, 1] * 225


async def test_young_state_does_not_call_anybody_offline(young: Presence, clock: ManualClock) -> None:
    assert (await read(young, clock)).attention is Attention.UNKNOWN
    await young.refresh([entry("one")], clock.now())
    assert (await read(young, clock)).attention is Attention.ACTIVE
    await beat(young, clock, OFFLINE_AFTER - 1)
    assert (await read(young, clock, BOB)).attention is Attention.UNKNOWN
    await beat(young, clock, 1)
    assert (await read(young, clock, BOB)).attention is Attention.OFFLINE


async def test_an_old_memory_is_dropped(presence: Presence, clock: ManualClock) -> None:
    await presence.refresh([entry("one"), entry("one", key=BOB)], clock.now())
    await presence.leave([entry("one")], clock.now())
    if isinstance(presence, MemoryPresence):
        await presence.refresh([], clock.advance(25 * 3600 * 1000))
        assert await read(presence, clock) == PresenceState(Attention.OFFLINE, 0, None)
        assert not presence._users
    else:
        assert isinstance(presence, RedisPresence)
        left = [
            await client.pttl(name)
            for client in presence._commands._clients.values()
            for name in await client.keys("*user:*")
        ]
        assert [ms > OFFLINE_AFTER for ms in left] == [True, True]
