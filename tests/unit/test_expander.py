"""The expander: one chunk a lane and round, nobody held up by another, rest for as long as it worked."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from fallback.expander import DEPTH, FULL, IDLE, PER_LANE, PUT_OFF, Expander
from hub.core.errors import StoreUnavailable
from hub.core.model import Channel, Priority
from hub.ports import Expanded, ExpansionKey, Lane
from tests.support.clock import START, ManualClock

EMAIL = Lane(Channel.EMAIL, Priority.NORMAL, shared=True)
PUSH = Lane(Channel.PUSH, Priority.NORMAL, shared=True)
CHANNELS = frozenset({Channel.EMAIL, Channel.PUSH})
TOOK = 40


def key(number: int) -> ExpansionKey:
    return ExpansionKey("default", UUID(int=number), 0)


class Scripted:
    """`Expansions` that does as it is told, and takes its time."""

    def __init__(self, clock: ManualClock, *due: tuple[ExpansionKey, Lane]) -> None:
        self.clock = clock
        self.found = due
        self.earliest: int | None = None
        self.outcomes: dict[ExpansionKey, Expanded | Exception | None] = {}
        self.expanded: list[ExpansionKey] = []

    async def due(self, now: int, limit: int, depth: int) -> Sequence[tuple[ExpansionKey, Lane]]:
        assert (limit, depth) == (PER_LANE, DEPTH)
        return self.found

    async def expand(
        self, expansion: ExpansionKey, now: int, channels: frozenset[Channel], limit: int
    ) -> Expanded | None:
        assert (channels, limit) == (CHANNELS, 7)
        self.expanded.append(expansion)
        self.clock.advance(TOOK)
        outcome = self.outcomes.get(expansion, Expanded(1, ended=False))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def next_due(self) -> int | None:
        return self.earliest


class World:
    def __init__(self, *due: tuple[ExpansionKey, Lane]) -> None:
        self.clock = ManualClock()
        self.expansions = Scripted(self.clock, *due)
        self.made = 0
        self.expander = Expander(self.expansions, self.clock, channels=CHANNELS, made=self.count, chunk=7)

    def count(self) -> None:
        self.made += 1


async def test_each_lane_has_one_chunk_a_round_and_the_rest_is_as_long_as_the_work() -> None:
    world = World((key(1), EMAIL), (key(2), EMAIL), (key(3), PUSH))

    assert await world.expander.round() == 2 * TOOK

    assert world.expansions.expanded == [key(1), key(3)]
    assert world.made == 2


@pytest.mark.parametrize("outcome", [None, RuntimeError("a bug")])
async def test_what_another_worker_has_or_what_fails_holds_up_nothing_else(outcome: Exception | None) -> None:
    world = World((key(1), EMAIL), (key(2), EMAIL), (key(3), PUSH))
    world.expansions.outcomes[key(1)] = outcome

    await world.expander.round()

    assert world.expansions.expanded == [key(1), key(2), key(3)]
    assert world.made == 2


async def test_what_failed_is_left_alone_for_a_while() -> None:
    world = World((key(1), EMAIL))
    world.expansions.outcomes[key(1)] = RuntimeError("a bug")
    await world.expander.round()
    await world.expander.round()
    world.clock.advance(PUT_OFF)
    await world.expander.round()

    assert world.expansions.expanded == [key(1), key(1)]


async def test_a_chunk_without_deliveries_wakes_nobody() -> None:
    world = World((key(1), EMAIL))
    world.expansions.outcomes[key(1)] = Expanded(0, ended=True)

    assert await world.expander.round() == TOOK

    assert world.made == 0


@pytest.mark.parametrize(
    ("earliest", "pause"),
    [(None, IDLE), (START + 10 * IDLE, IDLE), (START + 300, 300), (START, FULL), (START - 5, FULL)],
)
async def test_without_anything_to_expand_it_looks_again_when_something_may_be_due(
    earliest: int | None, pause: int
) -> None:
    world = World()
    world.expansions.earliest = earliest

    assert await world.expander.round() == pause


async def test_an_outage_ends_the_round() -> None:
    world = World((key(1), EMAIL), (key(2), PUSH))
    world.expansions.outcomes[key(1)] = StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        await world.expander.round()

    assert world.expansions.expanded == [key(1)]
