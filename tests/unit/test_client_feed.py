"""What a listener makes of frames."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.client.errors import UnexpectedAnswer
from hub.client.feed import REMEMBERED, Arrived, Changed, Feed, Leaving, Reading, Ready, Renewing, Reread
from hub.client.types import Item
from hub.core.wire import Counts, ErrorFrame

COUNTS = {"unread": 1, "unseen": 1}


def item(identifier: str = "a", version: int = 1, **fields: object) -> dict[str, Any]:
    nothing = dict.fromkeys(("action_url", "actor", "expires_at", "seen_at", "read_at", "archived_at", "snoozed_until"))
    return {
        **nothing,
        "id": identifier,
        "version": version,
        "category": "general",
        "title": "t",
        "body": "",
        "priority": "normal",
        "data": {"order": 7},
        "created_at": "2027",
        "appeared_at": "2027",
        **fields,
    }


def say(feed: Feed, kind: str, **fields: object) -> object:
    return feed.receive(json.dumps({"type": kind, **fields}))


def ready(feed: Feed, cursor: str = "e.1.0") -> object:
    return say(feed, "ready", user="ada", connection="c", cursor=cursor, counts=COUNTS, ping_ms=25_000)


def handed(event: object) -> Item | None:
    return event.item if isinstance(event, Arrived) else None


def test_ready_moves_the_cursor_and_the_badge() -> None:
    feed = Feed()
    assert ready(feed) == Ready("ada", Counts(1, 1), 25_000)
    assert (feed.cursor, feed.counts) == ("e.1.0", Counts(1, 1))


def test_a_live_item_has_its_data_read() -> None:
    feed = Feed()
    ready(feed)
    got = handed(say(feed, "item", item=item(version=2), cursor="e.2.0", counts={"unread": 2, "unseen": 2}))
    assert got is not None
    assert (got.id, got.data) == ("a", {"order": 7})
    assert (feed.cursor, feed.counts) == ("e.2.0", Counts(2, 2))


def test_catching_up_leaves_the_cursor_until_it_is_done() -> None:
    feed = Feed("e.1.0")
    assert handed(say(feed, "item", item=item("a", 5))) is not None
    assert handed(say(feed, "item", item=item("b", 5))) is not None
    assert feed.cursor == "e.1.0"
    ready(feed, "e.5.0")
    assert feed.cursor == "e.5.0"


def test_what_a_broken_catching_up_told_is_not_handed_over_again() -> None:
    feed = Feed("e.1.0")
    say(feed, "item", item=item("a", 5))
    feed.connecting()
    assert say(feed, "item", item=item("a", 6)) is None, "a later head, the same item"
    assert handed(say(feed, "item", item=item("b", 6))) is not None


def test_a_shared_item_adds_to_the_badge_and_is_handed_over_once() -> None:
    feed = Feed()
    ready(feed)
    shared = say(feed, "item", item=item("s", 0), delta={"unread": 1, "unseen": 1}, position=9)
    assert handed(shared) is not None
    assert (feed.cursor, feed.counts) == ("e.1.0", Counts(2, 2))
    feed.connecting()
    assert say(feed, "item", item=item("s", 3)) is None, "the cursor did not cover it, so it was told again"


def test_an_item_that_changed_meanwhile_is_handed_over_as_it_is_now() -> None:
    feed = Feed()
    say(feed, "item", item=item("a", 2), cursor="e.2.0", counts=COUNTS)
    read = handed(say(feed, "item", item=item("a", 4, read_at="2027")))
    assert read is not None
    assert read.read_at == "2027"
    assert say(feed, "item", item=item("a", 3)) is None, "an older state is no news"


@pytest.mark.parametrize("change", [{"ids": ["a"]}, {"all": True}])
def test_an_item_that_was_changed_and_changed_back_is_news(change: dict[str, object]) -> None:
    feed = Feed()
    say(feed, "item", item=item("a", 2), cursor="e.2.0", counts=COUNTS)
    changed = say(feed, "change", fields={"read_at": "2027"}, version=3, cursor="e.3.0", counts=COUNTS, **change)
    assert isinstance(changed, Changed)
    assert changed.fields == {"read_at": "2027"}
    assert handed(say(feed, "item", item=item("a", 4))) is not None


def test_resync_keeps_the_old_cursor_until_ready() -> None:
    feed = Feed("x.9.9")
    reading = say(feed, "resync", reason="unknown_epoch", cursor="e.7.0", counts=COUNTS)
    assert isinstance(reading, Reading)
    assert (feed.cursor, feed.counts) == ("x.9.9", Counts(1, 1))
    known = Item(**item("a", 7))
    assert feed.reread(reading, [known]) == Reread("unknown_epoch", [known])
    ready(feed, "e.7.0")
    assert feed.cursor == "e.7.0"
    assert say(feed, "item", item=item("a", 7), cursor="e.7.0", counts=COUNTS) is None, "it was on the page"


def test_pings_move_the_cursor() -> None:
    feed = Feed()
    ready(feed)
    assert say(feed, "ping", cursor="e.1.9", position=9, counts={"unread": 4, "unseen": 4}) is None
    assert (feed.cursor, feed.counts) == ("e.1.9", Counts(4, 4))


def test_what_is_to_be_done() -> None:
    feed = Feed()
    assert say(feed, "reauth", within_ms=30_000) == Renewing()
    assert say(feed, "reauthenticated", expires_in_ms=None) is None
    assert say(feed, "reconnect", after_ms=1_834) == Leaving(1.834)


def test_an_error_without_ref_says_why_the_connection_ends() -> None:
    feed = Feed()
    say(feed, "error", code="token_expired", message="the token has expired")
    assert feed.refusal == ErrorFrame("token_expired", "the token has expired")
    feed.connecting()
    assert [feed.refusal] == [None]


def test_an_error_about_one_frame_does_not() -> None:
    feed = Feed()
    say(feed, "error", code="unavailable", message="later", ref="delivered")
    assert feed.refusal is None


def test_what_a_newer_hub_says_is_left_alone() -> None:
    assert say(Feed(), "hologram", of="ada") is None
    assert ready(Feed()) == say(
        Feed(), "ready", user="ada", connection="c", cursor="e", counts={**COUNTS, "x": 1}, ping_ms=25_000, more=True
    )


@pytest.mark.parametrize("line", ["", "null", "[]", "{}", "{", '{"type":7}', '{"type":"item"}', '{"type":"ready"}'])
def test_what_is_no_frame_is_told(line: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        Feed().receive(line)


def test_memory_is_bounded() -> None:
    feed = Feed()
    for number in range(REMEMBERED + 10):
        say(feed, "item", item=item(str(number)))
    assert len(feed._handed) == REMEMBERED
