"""Whatever the order of calls and replies, a channel ends as it was last wanted."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.bus.subscriptions import Subscriptions

CHANNELS = [b"a", b"b", b"c"]


class FakeServer:
    """One connection to a server that replies in order, when told to."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self.subscriptions = subscriptions
        self.subscribed: set[bytes] = set()
        self.replies: list[tuple[bytes, bool]] = []

    def send(self) -> None:
        while (command := self.subscriptions.take(2)) is not None:
            name, channels = command
            assert 1 <= len(channels) <= 2
            for channel in channels:
                on = name == b"SUBSCRIBE"
                assert on is not (channel in self.subscribed), "asked for what is so already"
                (self.subscribed.add if on else self.subscribed.discard)(channel)
                self.replies.append((channel, on))

    def reply(self) -> None:
        if self.replies:
            channel, on = self.replies.pop(0)
            self.subscriptions.replied(channel, subscribed=on)

    def hang_up(self) -> None:
        self.subscribed.clear()
        self.replies.clear()
        self.subscriptions.connection_lost()


steps = st.one_of(
    st.tuples(st.sampled_from(["add", "remove", "give_up"]), st.sampled_from(CHANNELS)),
    st.tuples(st.sampled_from(["send", "reply", "hang_up"]), st.just(b"")),
)


@settings(deadline=None)
@example([("add", b"a"), ("send", b""), ("remove", b"a"), ("reply", b""), ("add", b"a")])
@given(st.lists(steps, max_size=40))
async def test_any_order_ends_as_last_wanted(script: list[tuple[str, bytes]]) -> None:
    gaps: list[None] = []
    subscriptions = Subscriptions(lambda: gaps.append(None))
    server = FakeServer(subscriptions)
    wanted: set[bytes] = set()
    for step, channel in script:
        match step:
            case "add":
                wanted.add(channel)
                waiter = subscriptions.add(channel)
                assert (waiter is None) is subscriptions.confirmed(channel)
                if waiter is None:
                    assert channel in server.subscribed
            case "remove":
                wanted.discard(channel)
                subscriptions.remove(channel)
            case "give_up":
                subscriptions.give_up(channel)
            case "send":
                server.send()
            case "reply":
                server.reply()
            case _:
                server.hang_up()
    before = len(gaps)
    lost = bool(wanted) and script[-1][0] == "hang_up"
    while subscriptions.dirty.is_set() or server.replies:
        server.send()
        server.reply()
    assert server.subscribed == wanted
    assert all(subscriptions.confirmed(channel) for channel in wanted)
    assert not subscriptions._waiters
    assert not subscriptions._unheard
    assert len(gaps) - before == 1 or not lost


async def test_a_gap_is_told_once_all_are_heard_again() -> None:
    gaps: list[None] = []
    subscriptions = Subscriptions(lambda: gaps.append(None))
    server = FakeServer(subscriptions)
    for channel in CHANNELS:
        subscriptions.add(channel)
    server.send()
    while server.replies:
        server.reply()
    assert not gaps
    server.hang_up()
    server.send()
    server.reply()
    server.reply()
    assert not gaps
    server.reply()
    assert len(gaps) == 1


async def test_waiting_ends_with_the_confirmation_and_not_with_an_earlier_one() -> None:
    subscriptions = Subscriptions(lambda: None)
    server = FakeServer(subscriptions)
    subscriptions.add(b"a")
    server.send()
    server.reply()
    subscriptions.remove(b"a")
    server.send()
    waiter = subscriptions.add(b"a")
    assert waiter is not None
    server.reply()
    assert not waiter.done()
    server.send()
    server.reply()
    assert waiter.done()


async def test_whoever_waits_for_what_is_wanted_no_more_is_let_go() -> None:
    subscriptions = Subscriptions(lambda: None)
    waiter = subscriptions.add(b"a")
    assert waiter is not None
    subscriptions.remove(b"a")
    assert waiter.done()
