"""The state machine of a live connection, driven by hand: no sockets, no database, no clock but numbers."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
import pytest

from hub.core.cursor import Cursor
from hub.core.effects import Authenticate, Close, Effect, Mark, Resume, Send, SetAttention
from hub.core.frames import MAX_CLIENT_FRAME, CloseCode
from hub.core.merge import HELD_LIMIT, HOLD_MS
from hub.core.model import (
    Attention,
    Changes,
    Content,
    Counts,
    Head,
    InboxKey,
    Item,
    ItemState,
    MarkAction,
    Priority,
    Selection,
)
from hub.core.session import BACKLOG_LIMIT, CONNECT_TIMEOUT_MS, EARLY_LIMIT, PING_MS, Session, State
from hub.core.wire import LiveChange

ADA = InboxKey("default", "ada")
EPOCH = "0123456789ab"
OTHER_EPOCH = "ba9876543210"
T0 = 1_000_000
ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)


def head(version: int, epoch: str = EPOCH, position: int = 0) -> Head:
    return Head(epoch, version, 0, Counts(unread=version, unseen=version), position)


def cursor(version: int, epoch: str = EPOCH, position: int = 0) -> str:
    return f"{epoch}.{version}.{position}"


def change(version: int, epoch: str = EPOCH, position: int = 0) -> LiveChange:
    frame = {"type": "item", "item": {"version": version}, "cursor": cursor(version, epoch, position)}
    return LiveChange(epoch, version, "item", msgspec.json.encode(frame), position, unread=version, unseen=version)


def ping(version: int, position: int = 0, counts: int | None = None) -> dict[str, object]:
    """Make the frame of a client that is there; `counts` are the version if nothing was told of topics."""
    badge = version if counts is None else counts
    place = {"cursor": cursor(version, position=position), "position": position}
    return {"type": "ping", **place, "counts": {"unread": badge, "unseen": badge}}


def hint(version: int, epoch: str = EPOCH) -> LiveChange:
    return LiveChange(epoch, version, "change")


def item(version: int, *, state: ItemState = ItemState.LIVE, body: str = "") -> Item:
    content = Content(
        id=uuid.UUID(int=version),
        tenant="default",
        category="general",
        title=f"number {version}",
        body=body,
        action_url=None,
        data=None,
        actor=None,
        priority=Priority.NORMAL,
        inbox=True,
        collapse_key=None,
        created_at=T0,
        deliver_at=None,
        expires_at=None,
    )
    return Item(content, version=version, since=version, state=state, appeared_at=T0)


class Driver:
    """Feeds a session and sorts what it wants done."""

    def __init__(self, *, jitter: float = 1.0) -> None:
        self.now = T0
        self.session = Session("conn-1", T0, jitter=jitter)
        self.frames: list[dict[str, Any]] = []
        self.cursors: list[str | None] = []
        self.closed: Close | None = None
        self.asked: list[Effect] = []

    def send(self, *frames: object) -> None:
        self.text("\n".join(json.dumps(frame) for frame in frames))

    def text(self, text: str) -> None:
        self.session.text(text)
        self.collect()

    def hear(self, *changes: LiveChange) -> None:
        for one in changes:
            self.session.live(one, self.now)
        self.collect()

    def answer(self, changes: Changes) -> None:
        self.session.resumed(changes, self.now)
        self.collect()

    def log_moved(self, position: int) -> None:
        self.session.log_moved(position)
        self.collect()

    def shared(self, position: int) -> bool:
        forwarded = self.session.shared(position)
        self.collect()
        return forwarded

    def advance(self, ms: int) -> None:
        self.now += ms
        self.session.tick(self.now)
        self.collect()

    def collect(self) -> None:
        for effect in self.session.effects():
            assert self.closed is None, "nothing may follow a close"
            match effect:
                case Send(out):
                    frame = json.loads(out.frame)
                    assert frame["type"] == out.event
                    self.frames.append(frame)
                    self.cursors.append(out.cursor)
                case Close():
                    self.closed = effect
                case _:
                    self.asked.append(effect)

    def state(self) -> State:
        return self.session.state

    def open(self) -> bool:
        return self.closed is None

    def take_frames(self) -> list[dict[str, Any]]:
        frames, self.frames, self.cursors = self.frames, [], []
        return frames

    def take_asked(self) -> list[Effect]:
        asked, self.asked = self.asked, []
        return asked

    def versions(self) -> list[int]:
        """The versions of the items that were forwarded, in order."""
        return [frame["item"]["version"] for frame in self.take_frames() if frame["type"] == "item"]


def connecting(cursor: str | None = None, *, expires_at: int | None = None) -> Driver:
    """A session whose first read is under way."""
    driver = Driver()
    driver.send({"type": "connect", "token": "t", "cursor": cursor})
    driver.session.verified(ADA, expires_at=expires_at)
    driver.collect()
    return driver


def live(version: int = 5, *, expires_at: int | None = None) -> Driver:
    """A live session at a version, with nothing left to look at."""
    driver = connecting(expires_at=expires_at)
    driver.answer(Changes(head(version)))
    driver.take_frames()
    driver.take_asked()
    return driver


# Connecting


def test_connect_authenticates_then_reads_the_head() -> None:
    driver = Driver()
    driver.send({"type": "connect", "token": "secret", "state": "away"})
    assert driver.take_asked() == [Authenticate("secret")]
    assert driver.state() is State.AUTHENTICATING
    driver.session.verified(ADA, expires_at=None)
    driver.collect()
    assert driver.take_asked() == [SetAttention(Attention.AWAY), Resume(None)]
    assert driver.frames == []
    driver.answer(Changes(head(7)))
    assert driver.state() is State.LIVE
    assert driver.frames == [
        {
            "type": "ready",
            "user": "ada",
            "connection": "conn-1",
            "cursor": cursor(7),
            "counts": {"unread": 7, "unseen": 7},
            "ping_ms": PING_MS,
        }
    ]
    assert driver.cursors == [cursor(7)]


def test_a_known_identity_connects_without_a_frame() -> None:
    driver = Driver()
    driver.session.connect(ADA, cursor=cursor(3), attention=Attention.AWAY)
    driver.collect()
    assert driver.take_asked() == [SetAttention(Attention.AWAY), Resume(Cursor(EPOCH, 3))]
    assert driver.session.key == ADA


def test_a_user_who_was_never_heard_of_is_at_version_zero() -> None:
    driver = connecting()
    driver.answer(Changes(head(0)))
    assert driver.frames[0]["cursor"] == cursor(0)
    driver.hear(change(1))
    assert driver.versions() == [1]


def test_backlog_comes_without_cursors_and_ready_ends_it() -> None:
    driver = connecting(cursor(3))
    assert driver.take_asked()[-1] == Resume(Cursor(EPOCH, 3))
    driver.answer(Changes(head(6), [item(4), item(5, state=ItemState.GONE), item(6)]))
    assert [frame["type"] for frame in driver.frames] == ["item", "item", "change", "ready"]
    assert driver.frames[2]["fields"] == {"removed": True}
    assert all("cursor" not in frame and "counts" not in frame for frame in driver.frames[:3])
    assert driver.cursors == [None, None, None, cursor(6)]


def test_nothing_missed_is_just_ready() -> None:
    driver = connecting(cursor(6))
    driver.answer(Changes(head(6)))
    assert [frame["type"] for frame in driver.frames] == ["ready"]


def test_a_resync_comes_before_ready() -> None:
    driver = connecting(cursor(3, OTHER_EPOCH))
    driver.answer(Changes(head(6), resync="unknown_epoch"))
    resync, ready = driver.frames
    assert resync == {
        "type": "resync",
        "reason": "unknown_epoch",
        "cursor": cursor(6),
        "counts": {"unread": 6, "unseen": 6},
    }
    assert ready["type"] == "ready"
    assert driver.cursors == [None, cursor(6)]


@pytest.mark.parametrize("garbage", ["", "garbage", "0123456789ab.-1.0", "0123456789ab.1", "x" * 5000, "é.1.0"])
def test_a_garbage_cursor_is_a_resync(garbage: str) -> None:
    driver = connecting(garbage)
    assert driver.take_asked()[-1] == Resume(None)
    driver.answer(Changes(head(6)))
    assert [(frame["type"], frame.get("reason")) for frame in driver.frames] == [
        ("resync", "bad_cursor"),
        ("ready", None),
    ]
    driver.hear(hint(7))
    driver.answer(Changes(head(7), [item(7)]))
    assert [frame["type"] for frame in driver.frames[2:]] == ["item", "ready"]


def test_a_backlog_too_large_to_send_is_a_resync() -> None:
    driver = connecting(cursor(0))
    driver.answer(Changes(head(3), [item(version, body="x" * (BACKLOG_LIMIT // 2)) for version in (1, 2, 3)]))
    assert [(frame["type"], frame.get("reason")) for frame in driver.frames] == [
        ("resync", "too_large"),
        ("ready", None),
    ]


def test_refused_credentials_close_for_good() -> None:
    driver = Driver()
    driver.send({"type": "connect", "token": "forged"})
    driver.session.refused("the token has expired")
    driver.collect()
    assert driver.frames == [{"type": "error", "code": "unauthenticated", "message": "the token has expired"}]
    assert driver.closed == Close(CloseCode.UNAUTHENTICATED, "unauthenticated")


def test_connect_without_a_token_is_unauthenticated() -> None:
    driver = Driver()
    driver.send({"type": "connect"})
    assert driver.frames[0]["code"] == "unauthenticated"
    assert driver.closed is not None
    assert driver.closed.code is CloseCode.UNAUTHENTICATED


def test_a_failed_first_read_asks_to_come_back() -> None:
    driver = connecting()
    driver.session.resume_failed()
    driver.collect()
    assert driver.frames[0]["code"] == "unavailable"
    assert driver.closed == Close(CloseCode.INTERNAL, "unavailable")


def test_silence_before_connect_is_closed_after_ten_seconds() -> None:
    driver = Driver()
    assert driver.session.next_deadline() == T0 + CONNECT_TIMEOUT_MS
    driver.advance(CONNECT_TIMEOUT_MS - 1)
    assert driver.open()
    driver.advance(1)
    assert driver.frames[0]["code"] == "connect_timeout"
    assert driver.closed == Close(CloseCode.CONNECT_TIMEOUT, "connect_timeout")
    assert driver.session.next_deadline() is None


def test_an_authentication_that_hangs_is_closed_too() -> None:
    driver = Driver()
    driver.send({"type": "connect", "token": "t"})
    driver.advance(CONNECT_TIMEOUT_MS)
    assert driver.closed is not None
    driver.session.verified(ADA, expires_at=None)
    assert driver.session.effects() == []


def test_frames_joined_to_connect_wait_for_the_identity() -> None:
    driver = Driver()
    driver.send({"type": "connect", "token": "t"}, {"type": "seen", "ids": [str(ONE)]}, {"type": "ping"})
    assert driver.take_asked() == [Authenticate("t")]
    driver.session.verified(ADA, expires_at=None)
    driver.collect()
    mark = Mark(MarkAction.SEEN, Selection(ids=(ONE,)), None, None)
    assert driver.take_asked() == [SetAttention(Attention.ACTIVE), Resume(None), mark]


def test_too_many_frames_before_the_identity_is_known() -> None:
    driver = Driver()
    driver.send({"type": "connect", "token": "t"}, *[{"type": "ping"}] * (EARLY_LIMIT + 1))
    assert driver.frames[0]["code"] == "bad_frame"
    assert driver.closed is not None


def test_a_second_connect_among_the_joined_frames_is_refused() -> None:
    driver = Driver()
    driver.send({"type": "connect", "token": "t"}, {"type": "connect", "token": "u"})
    driver.session.verified(ADA, expires_at=None)
    driver.collect()
    assert driver.frames[0]["code"] == "already_connected"
    assert driver.closed == Close(CloseCode.BAD_FRAME, "already_connected")


# Bad input


BAD_TEXT = {
    "empty": "",
    "only line breaks": "\n\n",
    "not JSON": "hello",
    "half JSON": '{"type":"ping"',
    "array": "[]",
    "number": "1",
    "null": "null",
    "no type": "{}",
    "unknown type": '{"type":"subscribe"}',
    "type of a server frame": '{"type":"ready"}',
    "type not a string": '{"type":1}',
    "unknown field": '{"type":"ping","now":1}',
    "wrong type of field": '{"type":"seen","ids":"all"}',
    "unknown state": '{"type":"presence","state":"sleeping"}',
    "no state": '{"type":"presence"}',
    "snooze without until": '{"type":"snooze","all":true}',
    "NaN": '{"type":"seen","ref":NaN}',
    "lone surrogate": '{"type":"seen","ref":"\\ud800"}',
    "raw lone surrogate": '{"type":"seen","ref":"\ud800"}',
    "deep nesting": "[" * 10_000,
    "good, then bad": '{"type":"ping"}\nnonsense',
}


@pytest.mark.parametrize("text", BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_a_bad_frame_is_an_error_and_the_end(text: str) -> None:
    driver = live()
    driver.text(text)
    error = driver.frames[-1]
    assert (error["type"], error["code"]) == ("error", "bad_frame")
    assert error["message"]
    assert driver.closed == Close(CloseCode.BAD_FRAME, "bad_frame")
    assert driver.state() is State.CLOSED


@pytest.mark.parametrize("text", BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_a_bad_first_frame_is_an_error_and_the_end(text: str) -> None:
    driver = Driver()
    driver.text(text)
    assert driver.frames[-1]["code"] in {"bad_frame", "connect_first"}
    assert driver.closed is not None
    assert driver.asked == []


@pytest.mark.parametrize(
    "frame",
    [{"type": "ping"}, {"type": "read", "all": True}, {"type": "presence", "state": "away"}],
    ids=lambda frame: str(frame["type"]),
)
def test_the_first_frame_must_be_connect(frame: object) -> None:
    driver = Driver()
    driver.send(frame)
    assert driver.frames[0]["code"] == "connect_first"
    assert driver.closed == Close(CloseCode.CONNECT_FIRST, "connect_first")
    assert driver.asked == []


def test_binary_is_refused() -> None:
    for driver in (Driver(), live()):
        driver.session.binary()
        driver.collect()
        assert driver.frames[0]["code"] == "binary_frame"
        assert driver.closed == Close(CloseCode.BAD_FRAME, "binary_frame")


@pytest.mark.parametrize("letter", ["x", "é", "\ud800"])
def test_a_message_beyond_the_limit_in_bytes_is_refused(letter: str) -> None:
    size = len(letter.encode(errors="surrogatepass"))
    driver = live()
    driver.text(letter * (MAX_CLIENT_FRAME // size + 1))
    assert driver.frames[0]["code"] == "frame_too_large"
    assert driver.closed == Close(CloseCode.FRAME_TOO_LARGE, "frame_too_large")


def test_a_message_at_the_limit_is_read() -> None:
    driver = live()
    driver.text('{"type":"ping"}' + " " * (MAX_CLIENT_FRAME - 15))
    assert [frame["type"] for frame in driver.frames] == ["ping"]


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "seen", "ref": 7},
        {"type": "read", "ids": [], "ref": 7},
        {"type": "read", "ids": [str(ONE)], "all": True, "ref": 7},
        {"type": "read", "ids": ["not-an-id"], "ref": 7},
        {"type": "read", "ids": [str(ONE)], "through": cursor(3), "ref": 7},
        {"type": "read", "all": True, "through": "garbage", "ref": 7},
        {"type": "snooze", "all": True, "until": "tomorrow", "ref": 7},
    ],
)
def test_an_invalid_mark_is_refused_and_the_connection_stays(frame: object) -> None:
    driver = live()
    driver.send(frame)
    assert [(error["type"], error["code"], error["ref"]) for error in driver.frames] == [
        ("error", "invalid_request", 7)
    ]
    assert driver.open()
    assert driver.asked == []
    driver.hear(change(6))
    assert driver.versions() == [6]


def test_nothing_is_heard_after_the_end() -> None:
    driver = live()
    driver.text("nonsense")
    driver.collect()
    session = driver.session
    session.text('{"type":"ping"}')
    session.binary()
    session.live(change(6), T0)
    session.resumed(Changes(head(9)), T0)
    session.resume_failed()
    session.mark_refused(1, "x", "y")
    session.attend(Attention.AWAY)
    session.connect(ADA)
    session.drain(1)
    session.tick(T0 + 10**9)
    assert session.effects() == []
    assert session.next_deadline() is None


# What a live client may send


def test_marks_become_effects_in_order() -> None:
    driver = live()
    driver.send(
        {"type": "seen", "ids": [str(ONE), str(TWO)], "ref": "a"},
        {"type": "read", "all": True, "through": cursor(4)},
        {"type": "snooze", "ids": [str(ONE)], "until": "2027-01-15T08:00:00Z", "ref": 2},
    )
    assert driver.take_asked() == [
        Mark(MarkAction.SEEN, Selection(ids=(ONE, TWO)), None, "a"),
        Mark(MarkAction.READ, Selection(all=True, through=Cursor(EPOCH, 4)), None, None),
        Mark(MarkAction.SNOOZE, Selection(ids=(ONE,)), 1_800_000_000_000, 2),
    ]


def test_a_refused_mark_is_told_with_its_ref() -> None:
    driver = live()
    driver.session.mark_refused("r1", "invalid_request", "into the past")
    driver.collect()
    assert driver.frames == [{"type": "error", "code": "invalid_request", "message": "into the past", "ref": "r1"}]
    assert driver.open()


def test_presence_changes_attention() -> None:
    driver = live()
    driver.send({"type": "presence", "state": "away"})
    assert driver.take_asked() == [SetAttention(Attention.AWAY)]
    driver.session.attend(Attention.ACTIVE)
    driver.collect()
    assert driver.take_asked() == [SetAttention(Attention.ACTIVE)]
    assert driver.session.attention is Attention.ACTIVE


def test_a_ping_is_answered_with_cursor_and_counts() -> None:
    driver = live(5)
    driver.hear(change(6))
    driver.take_frames()
    driver.send({"type": "ping"})
    assert driver.frames == [ping(6)]
    assert driver.cursors == [cursor(6)]


def test_before_ready_the_answer_to_a_ping_is_ready() -> None:
    driver = connecting()
    driver.send({"type": "ping"})
    assert driver.frames == []
    driver.answer(Changes(head(5)))
    assert [frame["type"] for frame in driver.frames] == ["ready"]


# Live order


def test_changes_in_order_go_straight_through() -> None:
    driver = live(5)
    driver.hear(change(6), change(7))
    assert driver.cursors == [cursor(6), cursor(7)]
    assert driver.versions() == [6, 7]
    assert driver.asked == []


def test_repeated_and_old_changes_are_dropped() -> None:
    driver = live(5)
    driver.hear(change(6), change(6), change(5), change(1), hint(6))
    assert driver.versions() == [6]
    assert driver.asked == []


def test_changes_heard_while_reading_are_merged_by_version() -> None:
    driver = connecting(cursor(3))
    driver.take_asked()
    driver.hear(change(8), change(5), change(7), change(7))
    assert driver.frames == []
    driver.answer(Changes(head(6), [item(4), item(6)]))
    assert [frame["type"] for frame in driver.frames] == ["item", "item", "ready", "item", "item"]
    assert driver.cursors == [None, None, cursor(6), cursor(7), cursor(8)]
    assert driver.asked == []


def test_out_of_order_changes_wait_for_those_before_them() -> None:
    driver = live(5)
    driver.hear(change(8), change(7))
    assert driver.frames == []
    driver.advance(HOLD_MS - 1)
    driver.hear(change(6))
    assert driver.versions() == [6, 7, 8]
    driver.advance(HOLD_MS)
    assert driver.asked == []


def test_a_gap_is_read_once_after_a_short_wait() -> None:
    driver = live(5)
    driver.hear(change(7))
    assert driver.session.next_deadline() == T0 + HOLD_MS
    driver.advance(HOLD_MS)
    driver.advance(HOLD_MS)
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5))]
    driver.hear(change(9))
    assert driver.frames == []
    driver.answer(Changes(head(8), [item(6), item(8)]))
    assert [frame["type"] for frame in driver.frames] == ["item", "item", "ready", "item"]
    assert driver.cursors == [None, None, cursor(8), cursor(9)]
    assert driver.asked == []


def test_the_wait_begins_anew_when_the_gap_becomes_smaller() -> None:
    driver = live(5)
    driver.hear(change(9), change(7))
    driver.advance(HOLD_MS - 1)
    driver.hear(change(6))
    assert driver.versions() == [6, 7]
    driver.advance(1)
    assert driver.asked == []
    driver.advance(HOLD_MS - 1)
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 7))]


def test_too_many_held_changes_are_a_read_at_once() -> None:
    driver = live(5)
    driver.hear(*(change(version) for version in range(7, 7 + HELD_LIMIT)))
    assert driver.asked == []
    driver.hear(change(7 + HELD_LIMIT))
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5))]


def test_more_than_can_be_held_while_reading_is_read_again() -> None:
    driver = connecting()
    driver.take_asked()
    driver.hear(*(change(version) for version in range(6, 6 + HELD_LIMIT + 5)))
    driver.answer(Changes(head(5)))
    assert driver.versions() == list(range(6, 6 + HELD_LIMIT))
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5 + HELD_LIMIT))]
    driver.answer(Changes(head(10 + HELD_LIMIT), [item(10 + HELD_LIMIT)]))
    assert driver.asked == []


def test_a_hint_is_a_read_at_once() -> None:
    driver = live(5)
    driver.hear(hint(6))
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5))]
    driver.answer(Changes(head(6), [item(6)]))
    assert [frame["type"] for frame in driver.frames] == ["item", "ready"]


def test_one_read_at_a_time_and_one_more_for_what_it_could_not_see() -> None:
    driver = live(5)
    driver.hear(hint(6))
    driver.take_asked()
    driver.hear(hint(7), hint(6), hint(8))
    assert driver.asked == []
    driver.answer(Changes(head(7), [item(7)]))
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 7))]
    driver.answer(Changes(head(8), [item(8)]))
    assert driver.asked == []
    assert driver.versions() == [7, 8]


def test_a_hint_that_the_read_has_seen_is_not_read_again() -> None:
    driver = live(5)
    driver.hear(hint(6))
    driver.take_asked()
    driver.hear(hint(7))
    driver.answer(Changes(head(7), [item(6), item(7)]))
    assert driver.asked == []


def test_a_hint_that_nothing_fulfils_does_not_loop() -> None:
    driver = live(5)
    driver.hear(hint(99))
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5))]
    driver.answer(Changes(head(5)))
    driver.advance(HOLD_MS)
    assert driver.asked == []
    assert driver.frames == []


def test_a_change_ahead_of_the_database_does_not_loop() -> None:
    driver = live(5)
    driver.hear(change(99))
    driver.advance(HOLD_MS)
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5))]
    driver.answer(Changes(head(5)))
    driver.advance(HOLD_MS)
    assert driver.asked == []


def test_a_gap_that_turns_out_to_be_none_is_silent() -> None:
    driver = live(5)
    driver.hear(hint(6))
    driver.answer(Changes(head(5)))
    assert driver.frames == []


def test_a_gap_without_items_still_moves_the_cursor() -> None:
    driver = live(5)
    driver.hear(hint(6))
    driver.answer(Changes(head(6)))
    assert [(frame["type"], frame["cursor"]) for frame in driver.frames] == [("ready", cursor(6))]


def test_another_epoch_leads_to_a_resync() -> None:
    driver = live(5)
    driver.hear(change(1, OTHER_EPOCH))
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5))]
    driver.answer(Changes(head(1, OTHER_EPOCH), resync="unknown_epoch"))
    assert [frame["type"] for frame in driver.frames] == ["resync", "ready"]
    driver.take_frames()
    driver.hear(change(2, OTHER_EPOCH))
    assert driver.versions() == [2]


def test_a_late_change_of_the_old_epoch_is_read_and_forgotten() -> None:
    driver = live(5)
    driver.hear(change(900, OTHER_EPOCH))
    driver.take_asked()
    driver.answer(Changes(head(5)))
    assert driver.frames == []
    assert driver.asked == []


def test_changes_of_two_epochs_heard_while_reading() -> None:
    driver = connecting()
    driver.take_asked()
    driver.hear(change(9, OTHER_EPOCH), change(6))
    driver.answer(Changes(head(5)))
    assert driver.versions() == [6]
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 6))]


def test_an_answer_that_nobody_asked_for_is_ignored() -> None:
    driver = live(5)
    driver.answer(Changes(head(9), [item(9)]))
    assert driver.frames == []
    driver.hear(change(6))
    assert driver.versions() == [6]


def test_a_failed_gap_read_asks_to_come_back() -> None:
    driver = live(5)
    driver.hear(hint(6))
    driver.session.resume_failed()
    driver.collect()
    assert driver.closed == Close(CloseCode.INTERNAL, "unavailable")


# Time


def test_pings_carry_the_cursor_and_begin_at_a_random_moment() -> None:
    driver = Driver(jitter=0.5)
    driver.session.connect(ADA)
    driver.answer(Changes(head(5)))
    driver.take_frames()
    assert driver.session.next_deadline() == T0 + PING_MS // 2
    driver.advance(PING_MS // 2)
    assert driver.take_frames() == [ping(5)]
    assert driver.session.next_deadline() == driver.now + PING_MS
    driver.advance(PING_MS - 1)
    assert driver.frames == []
    driver.advance(1)
    assert len(driver.frames) == 1


def test_an_expired_token_ends_the_connection() -> None:
    driver = live(expires_at=T0 + 5_000)
    driver.advance(4_999)
    assert driver.open()
    assert driver.session.next_deadline() == T0 + 5_000
    driver.take_frames()
    driver.advance(1)
    assert driver.frames[0]["code"] == "token_expired"
    assert driver.closed == Close(CloseCode.TOKEN_EXPIRED, "token_expired")


def test_a_token_can_expire_during_the_first_read() -> None:
    driver = connecting(expires_at=T0 + 5_000)
    assert driver.session.next_deadline() == T0 + 5_000
    driver.advance(5_000)
    assert driver.closed is not None


# Endings


@pytest.mark.parametrize("driver", [Driver(), connecting(), live()], ids=["connecting", "resuming", "live"])
def test_drain_sends_the_client_elsewhere(driver: Driver) -> None:
    driver.session.drain(1_234)
    driver.collect()
    assert driver.frames[-1] == {"type": "reconnect", "after_ms": 1_234}
    assert driver.closed == Close(CloseCode.GOING_AWAY, "going away")


def test_a_lost_transport_leaves_nothing_to_do() -> None:
    driver = live(5)
    driver.session.live(change(6), T0)
    driver.session.lost()
    assert driver.session.effects() == []
    assert driver.session.next_deadline() is None
    assert driver.session.cursor == Cursor(EPOCH, 6)


def test_close_reasons_fit_a_close_frame() -> None:
    """RFC 6455 section 5.5: a close frame's reason has at most 123 bytes."""
    for text in BAD_TEXT.values():
        driver = live()
        driver.text(text)
        assert driver.closed is not None
        assert len(driver.closed.reason.encode()) <= 123


# The shared log


def at(version: int, position: int) -> Driver:
    """A live session that holds everything up to there."""
    driver = connecting()
    driver.answer(Changes(head(version, position=position)))
    driver.take_frames()
    driver.take_asked()
    return driver


def test_an_event_beyond_the_position_is_read_and_ready_moves_it_though_the_version_stands() -> None:
    driver = at(5, 10)
    driver.log_moved(11)
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5, 10))]
    driver.answer(Changes(head(5, position=12), [item(0)]))
    assert [(frame["type"], frame.get("cursor")) for frame in driver.take_frames()] == [
        ("item", None),
        ("ready", cursor(5, position=12)),
    ]
    assert driver.take_asked() == []


def test_an_event_that_was_read_already_changes_nothing() -> None:
    driver = at(5, 10)
    driver.log_moved(10)
    driver.log_moved(9)
    assert driver.take_asked() == []
    assert driver.take_frames() == []


@pytest.mark.parametrize(("read_up_to", "again"), [(11, True), (12, False)])
def test_an_event_heard_while_reading_is_read_again_only_if_the_answer_is_older(read_up_to: int, again: bool) -> None:  # noqa: FBT001 - a parameter
    driver = connecting(cursor(5, position=10))
    driver.take_asked()
    driver.log_moved(12)
    driver.log_moved(11)
    assert driver.take_asked() == [], "one read at a time"
    driver.answer(Changes(head(5, position=read_up_to)))
    assert driver.take_asked() == ([Resume(Cursor(EPOCH, 5, 11))] if again else [])


def test_an_event_is_read_once_even_if_the_answer_says_that_it_is_not_for_this_user() -> None:
    driver = at(5, 10)
    driver.log_moved(12)
    driver.answer(Changes(head(5, position=10)))
    driver.log_moved(12)
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5, 10))]
    assert driver.take_frames() == []


def test_positions_of_another_epoch_mean_nothing() -> None:
    driver = at(5, 10)
    driver.hear(change(1, OTHER_EPOCH))
    driver.answer(Changes(head(1, OTHER_EPOCH, position=2)))
    driver.take_asked()
    driver.log_moved(3)
    assert driver.take_asked() == [Resume(Cursor(OTHER_EPOCH, 1, 2))]


def test_an_own_change_made_at_the_position_held_is_forwarded() -> None:
    driver = at(5, 10)
    driver.hear(change(6, position=10))
    assert driver.take_frames()[0]["cursor"] == cursor(6, position=10)


@pytest.mark.parametrize("position", [9, 11])
def test_an_own_change_made_at_another_position_is_read(position: int) -> None:
    """It says how many are unread with other shared items than the client holds."""
    driver = at(5, 10)
    driver.hear(change(6, position=position))
    assert driver.take_frames() == []
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5, 10))]
    driver.hear(change(7, position=11), change(8, position=12))
    driver.answer(Changes(head(6, position=11)))
    assert [frame["cursor"] for frame in driver.take_frames()] == [cursor(6, position=11), cursor(7, position=11)]
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 7, 11))]


def test_who_has_gone_hears_of_no_event() -> None:
    driver = at(5, 10)
    driver.session.lost()
    driver.log_moved(11)
    assert not driver.session.shared(12)
    assert driver.take_asked() == []


def test_an_item_told_directly_does_not_move_where_to_resume() -> None:
    driver = at(5, 10)
    assert driver.shared(11)
    assert not driver.shared(11), "again"
    driver.hear(change(6, position=11), change(7, position=11))
    assert [frame["cursor"] for frame in driver.take_frames()] == [cursor(6, position=10), cursor(7, position=10)]
    driver.advance(PING_MS)
    assert driver.take_frames() == [ping(7, 10)], "with the counts of the changes, which have the item in them"
    driver.log_moved(12)
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 7, 10))], "all after it once more: one may have been lost"
    driver.answer(Changes(head(7, position=12)))
    assert driver.take_frames()[0]["cursor"] == cursor(7, position=12)


def test_an_own_change_with_counts_from_before_or_after_what_was_told_is_read() -> None:
    for position in (10, 12):
        driver = at(5, 10)
        assert driver.shared(11)
        driver.hear(change(6, position=position))
        assert driver.take_frames() == []
        assert driver.take_asked() == [Resume(Cursor(EPOCH, 5, 10))]


def test_an_item_that_the_counts_may_have_in_them_already_is_read() -> None:
    driver = at(5, 10)
    assert driver.shared(12)
    assert not driver.shared(11), "of another topic, whose news come later"
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5, 10))]


def test_an_item_told_while_reading_is_left_to_the_answer_or_to_the_next() -> None:
    driver = connecting()
    driver.take_asked()
    assert not driver.shared(11)
    assert not driver.shared(12)
    driver.answer(Changes(head(5, position=11)))
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5, 11))]
    driver.answer(Changes(head(5, position=12)))
    assert driver.take_asked() == []
    assert driver.shared(13)


def test_what_is_confirmed_moves_where_to_resume_and_pings_say_so() -> None:
    driver = at(5, 10)
    assert driver.shared(11)
    assert driver.shared(15)
    driver.send({"type": "ping"})
    assert driver.take_frames() == [ping(5, 10, counts=7)]
    for confirmed, position in ((13, 13), (12, 13), (20, 15)):
        assert driver.session.confirm(EPOCH, 5, confirmed)
        driver.send({"type": "ping"})
        assert driver.take_frames() == [ping(5, position, counts=7)], "never back, nor beyond what was told"
    driver.hear(change(6, position=15))
    assert driver.take_frames()[0]["cursor"] == cursor(6, position=15)


def test_nothing_is_certain_of_who_lags_or_reads() -> None:
    driver = at(5, 10)
    assert driver.shared(11)
    assert not driver.session.confirm(EPOCH, 6, 20), "a change is on its way"
    assert not driver.session.confirm(OTHER_EPOCH, 5, 20)
    driver.log_moved(12)
    assert not driver.session.confirm(EPOCH, 5, 20), "a read is on its way"
    driver.send({"type": "ping"})
    assert driver.take_frames() == [ping(5, 10, counts=6)]
    driver.session.lost()
    assert not driver.session.confirm(EPOCH, 5, 20)


def test_the_topic_of_an_item_just_told_being_that_far_is_no_news() -> None:
    driver = at(5, 10)
    assert driver.shared(12)
    driver.log_moved(12)
    assert driver.take_asked() == []
    driver.log_moved(11)
    assert driver.take_asked() == [Resume(Cursor(EPOCH, 5, 10))], "of another topic"
