"""Whatever the order of calls, replies, refusals and losses, a channel ends as it was last wanted."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.bus.names import channel_of, partition_in
from hub.bus.subscriptions import CHUNK, WINDOW, Subscriptions, Waiter
from hub.core.model import InboxKey

KEYS = {channel_of(key)[1]: key for key in (InboxKey("default", name) for name in ("ada", "bob", "eve"))}
CHANNELS = list(KEYS)


class FakeServer:
    """One connection to a server that replies in order, when told to."""

    def __init__(self, *, sharded: bool = False) -> None:
        self.gaps = 0
        self.dirty = False
        self.sharded = sharded
        self.subscriptions = Subscriptions(self._gap, self._dirty, sharded=sharded)
        self.subscribed: set[bytes] = set()
        self.replies: list[tuple[bytes, bool] | None] = []

    def _gap(self) -> None:
        self.gaps += 1

    def _dirty(self) -> None:
        self.dirty = True

    def want(self, *channels: bytes) -> Waiter:
        waiter = Waiter()
        for channel in channels:
            self.subscriptions.add(channel, KEYS.get(channel, InboxKey("", "")), waiter)
        return waiter

    def send(self) -> None:
        self.dirty = False
        while (command := self.subscriptions.take()) is not None:
            on, channels = command
            assert 1 <= len(channels) <= CHUNK
            assert not self.sharded or len({partition_in(channel) for channel in channels}) == 1
            for channel in channels:
                (self.subscribed.add if on else self.subscribed.discard)(channel)
                self.replies.append((channel, on))

    def refuse(self) -> None:
        """Answer the next command with an error."""
        self.dirty = False
        command = self.subscriptions.take()
        if command is not None:
            self.subscribed -= set(command[1])
            self.replies.append(None)

    def end(self, channel: bytes) -> None:
        """Unsubscribe a channel of one's own accord."""
        if channel in self.subscribed:
            self.subscribed.discard(channel)
            self.replies.append((channel, False))

    def reply(self) -> bool:
        reply = self.replies.pop(0) if self.replies else (b"", True)
        if reply is None:
            self.subscriptions.refused()
        elif reply[0]:
            return self.subscriptions.replied(reply[0], subscribed=reply[1])
        return True

    def settle(self) -> None:
        while self.dirty or self.replies:
            self.send()
            self.reply()

    def hang_up(self) -> None:
        self.subscribed.clear()
        self.replies.clear()
        self.subscriptions.connection_lost()


steps = st.one_of(
    st.tuples(st.sampled_from(["add", "remove", "give_up", "end"]), st.sampled_from(CHANNELS)),
    st.tuples(st.sampled_from(["send", "reply", "refuse", "hang_up", "sweep", "retry"]), st.just(b"")),
)


@settings(deadline=None)
@example(
    script=[("add", CHANNELS[0]), ("send", b""), ("remove", CHANNELS[0]), ("reply", b""), ("add", CHANNELS[0])],
    sharded=False,
)
@given(script=st.lists(steps, max_size=40), sharded=st.booleans())
async def test_any_order_ends_as_last_wanted(script: list[tuple[str, bytes]], sharded: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    server = FakeServer(sharded=sharded)
    subscriptions = server.subscriptions
    wanted: set[bytes] = set()
    waiters: list[Waiter] = []
    for step, channel in script:
        match step:
            case "add":
                wanted.add(channel)
                waiter = server.want(channel)
                assert (waiter.left == 0) is subscriptions.confirmed(channel)
                waiters += [waiter] if waiter.left else []
            case "remove":
                wanted.discard(channel)
                subscriptions.remove(channel)
            case "give_up":
                subscriptions.give_up([channel])
            case "end":
                server.end(channel)
            case "sweep":
                subscriptions.sweep()
            case "retry":
                subscriptions.retry()
            case _:
                getattr(server, step)()
    before = server.gaps
    lost = bool(wanted) and script[-1][0] == "hang_up"
    server.settle()
    subscriptions.retry()
    server.settle()
    while subscriptions.sweep():
        pass
    subscriptions.sweep()
    server.settle()
    assert server.subscribed == wanted
    assert set(subscriptions.entries) == wanted
    assert all(subscriptions.confirmed(channel) for channel in wanted)
    assert all(waiter.done.done() for waiter in waiters)
    assert not subscriptions._unheard
    assert server.gaps - before == 1 or not lost


async def test_a_gap_is_told_once_all_are_heard_again() -> None:
    server = FakeServer()
    server.want(*CHANNELS)
    server.settle()
    assert not server.gaps
    server.hang_up()
    server.send()
    server.reply()
    server.reply()
    assert not server.gaps
    server.reply()
    assert [server.gaps] == [1]


async def test_one_waiter_waits_for_all_of_its_channels_and_for_nothing_confirmed() -> None:
    server = FakeServer()
    server.want(CHANNELS[0])
    server.settle()
    waiter = server.want(*CHANNELS)
    server.send()
    server.reply()
    assert not waiter.done.done()
    server.reply()
    assert waiter.done.done()


async def test_whoever_comes_back_before_the_second_sweep_causes_no_traffic() -> None:
    server = FakeServer()
    server.want(CHANNELS[0])
    server.settle()
    server.subscriptions.remove(CHANNELS[0])
    assert server.subscriptions.sweep()
    assert server.want(CHANNELS[0]).left == 0
    server.subscriptions.sweep()
    server.subscriptions.sweep()
    assert not server.dirty
    server.subscriptions.remove(CHANNELS[0])
    server.subscriptions.sweep()
    server.subscriptions.sweep()
    server.settle()
    assert server.subscribed == set()
    assert not server.subscriptions.entries


async def test_staying_away_counts_from_the_last_departure() -> None:
    server = FakeServer()
    server.want(CHANNELS[0])
    server.settle()
    server.subscriptions.remove(CHANNELS[0])
    server.subscriptions.sweep()
    server.want(CHANNELS[0])
    server.subscriptions.remove(CHANNELS[0])
    server.subscriptions.sweep()
    assert not server.dirty


async def test_a_refusal_to_unsubscribe_is_as_good_as_having_unsubscribed() -> None:
    server = FakeServer(sharded=True)
    server.want(CHANNELS[0])
    server.settle()
    server.subscriptions.remove(CHANNELS[0])
    server.subscriptions.sweep()
    server.subscriptions.sweep()
    server.refuse()
    server.reply()
    assert not server.dirty
    assert not server.subscriptions.entries


async def test_waiting_ends_with_the_confirmation_and_not_with_an_earlier_one() -> None:
    server = FakeServer()
    channel = CHANNELS[0]
    server.want(channel)
    server.settle()
    server.subscriptions.remove(channel)
    server.subscriptions.sweep()
    server.subscriptions.sweep()
    server.send()
    waiter = server.want(channel)
    server.reply()
    assert not waiter.done.done()
    server.settle()
    assert waiter.done.done()


async def test_whoever_waits_for_what_is_wanted_no_more_is_let_go() -> None:
    server = FakeServer()
    waiter = server.want(CHANNELS[0])
    server.subscriptions.remove(CHANNELS[0])
    assert waiter.done.done()
    assert not server.subscriptions.entries


async def test_a_subscription_that_the_server_ends_is_asked_for_again_and_told_as_a_gap() -> None:
    server = FakeServer(sharded=True)
    server.want(*CHANNELS)
    server.settle()
    server.end(CHANNELS[0])
    assert not server.reply()
    assert not server.subscriptions.confirmed(CHANNELS[0])
    assert server.subscriptions.confirmed(CHANNELS[1])
    server.subscriptions.retry()
    server.settle()
    assert server.subscribed == set(CHANNELS)
    assert [server.gaps] == [1]
    server.end(CHANNELS[0])
    server.reply()
    server.subscriptions.retry()
    server.settle()
    assert [server.gaps] == [2]


async def test_what_is_handed_over_is_heard_at_the_new_place_and_then_told_as_a_gap() -> None:
    old, new = FakeServer(sharded=True), FakeServer(sharded=True)
    old.want(*CHANNELS)
    old.settle()
    waiter = old.want(CHANNELS[0])
    old.subscriptions.remove(CHANNELS[1])
    moving = old.subscriptions.hand_over({partition_in(channel) for channel in CHANNELS[:2]})
    assert list(moving) == [CHANNELS[0]]
    new.subscriptions.adopt(moving)
    new.settle()
    old.end(CHANNELS[0])
    assert old.reply()
    assert set(old.subscriptions.entries) == {CHANNELS[2]}
    assert new.subscribed == {CHANNELS[0]}
    assert waiter.left == 0
    assert [old.gaps, new.gaps] == [0, 1]


async def test_a_waiter_moves_with_its_channel() -> None:
    old, new = FakeServer(), FakeServer()
    waiter = old.want(CHANNELS[0])
    new.subscriptions.adopt(old.subscriptions.hand_over({partition_in(CHANNELS[0])}))
    new.settle()
    assert waiter.done.done()


@pytest.mark.parametrize("sharded", [False, True])
async def test_many_channels_go_out_in_commands_of_some_and_not_all_at_once(sharded: bool) -> None:  # noqa: FBT001 - pytest passes it
    server = FakeServer(sharded=sharded)
    channels = [channel_of(InboxKey("default", str(number)))[1] for number in range((WINDOW + 1) * CHUNK)]
    waiter = server.want(*channels)
    commands = 0
    while server.subscriptions.take() is not None:
        commands += 1
    assert commands == WINDOW
    server.hang_up()
    server.settle()
    assert server.subscribed == set(channels)
    async with asyncio.timeout(10):
        await waiter.done
