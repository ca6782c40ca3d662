from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from hub.bus.memory import MemoryBus
from hub.core.errors import StoreUnavailable, Unauthenticated
from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from hub.ports import EVERYBODY, Identity, Revocation
from hub.revoked import OVERLAP, REVOKED_EVENT, RevokedTokens, RevokingAuthenticator, revocation
from tests.support.clock import START, ManualClock

ADA, GRACE = InboxKey("default", "ada"), InboxKey("default", "grace")
ALL = InboxKey("default", EVERYBODY)
PATIENCE = 10


class Store:
    """`Revocations` in memory that can be away, and tells when it was asked."""

    def __init__(self) -> None:
        self.kept: dict[InboxKey, tuple[int, int]] = {}
        self.away = False
        self.asked: asyncio.Queue[int] = asyncio.Queue()

    async def revoke(self, key: InboxKey, issued_before: int, now: int) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.kept[key] = (issued_before, now)

    async def since(self, made_at: int) -> Sequence[Revocation]:
        self.asked.put_nowait(made_at)
        if self.away:
            raise StoreUnavailable("away")
        return [Revocation(key, before) for key, (before, made) in self.kept.items() if made >= made_at]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + 700)


@pytest.fixture
def revoked(store: Store, clock: ManualClock) -> RevokedTokens:
    return RevokedTokens(store, clock, interval=3600)


async def test_until_something_is_revoked_every_token_is_good(revoked: RevokedTokens) -> None:
    assert not revoked.covers(ADA, None)
    assert not revoked.covers(ADA, 0)


async def test_tokens_issued_before_are_refused_and_later_ones_are_not(revoked: RevokedTokens) -> None:
    assert await revoked.revoke(ADA) == START + 700
    assert revoked.covers(ADA, START - 1)
    assert revoked.covers(ADA, START + 699)
    assert not revoked.covers(ADA, START + 700)
    assert not revoked.covers(ADA, START + 1000)
    assert not revoked.covers(GRACE, 0)
    assert not revoked.covers(InboxKey("acme", "ada"), 0)


async def test_whole_seconds_of_the_very_second_are_refused(revoked: RevokedTokens) -> None:
    """Issued at 0.0 to 0.999 s, all say 0: nobody can tell which came before the revocation at 0.7 s."""
    await revoked.revoke(ADA)
    assert revoked.covers(ADA, START)
    assert not revoked.covers(ADA, START + 1000)


async def test_a_token_that_does_not_say_when_is_refused(revoked: RevokedTokens) -> None:
    await revoked.revoke(ADA)
    assert revoked.covers(ADA, None)
    assert not revoked.covers(GRACE, None)


async def test_everybodys_and_ones_own_both_count(revoked: RevokedTokens, clock: ManualClock) -> None:
    await revoked.revoke(ALL)
    assert revoked.covers(ADA, START)
    assert revoked.covers(GRACE, None)
    assert not revoked.covers(InboxKey("acme", "ada"), START)
    clock.advance(5_000)
    await revoked.revoke(ADA)
    assert revoked.covers(ADA, START + 2_000)
    assert not revoked.covers(GRACE, START + 2_000)


async def test_what_is_refused_says_so(revoked: RevokedTokens) -> None:
    identity = Identity(ADA, START + 9_000, START)
    assert revoked.checked(identity) is identity
    await revoked.revoke(ADA)
    with pytest.raises(Unauthenticated, match="revoked"):
        revoked.checked(identity)


async def test_the_authenticator_refuses_users_and_leaves_publishers(revoked: RevokedTokens) -> None:
    class Everybody:
        def user(self, token: str, now: int) -> Identity:
            return Identity(ADA, now + 9_000, int(token))

        def publisher(self, api_key: str) -> str:
            return api_key

    authenticator = RevokingAuthenticator(Everybody(), revoked)
    assert authenticator.user("0", START).key == ADA
    await revoked.revoke(ALL)
    with pytest.raises(Unauthenticated):
        authenticator.user("0", START)
    assert authenticator.user(str(START + 700), START).key == ADA
    assert authenticator.publisher("default") == "default"


async def test_what_cannot_be_stored_is_not_in_force(revoked: RevokedTokens, store: Store) -> None:
    store.away = True
    with pytest.raises(StoreUnavailable):
        await revoked.revoke(ADA)
    assert not revoked.covers(ADA, 0)


async def test_news_are_told_once_and_never_go_backwards(revoked: RevokedTokens) -> None:
    told: list[InboxKey] = []
    revoked.on_news = told.append
    for issued_before in (START + 5, START + 5, START + 3, START + 7):
        revoked.on_change(*revocation(ADA, issued_before))
    revoked.on_change(*revocation(ALL, START))
    assert told == [ADA, ADA, ALL]
    assert revoked.covers(ADA, START + 6)
    assert not revoked.covers(ADA, START + 7)


async def test_all_there_are_are_read_before_it_listens_no_more_than_needed(store: Store, clock: ManualClock) -> None:
    bus = MemoryBus()
    store.kept = {ADA: (START, 0), InboxKey("acme", EVERYBODY): (START, START)}
    revoked = RevokedTokens(store, clock)
    await bus.start(revoked)
    await revoked.listen(bus, ["acme", "default"])
    assert revoked.covers(ADA, START - 1)
    assert revoked.covers(InboxKey("acme", "joan"), START - 1)
    await bus.publish([revocation(GRACE, START), revocation(InboxKey("acme", EVERYBODY), START + 5)])
    assert revoked.covers(GRACE, START - 1)
    assert revoked.covers(InboxKey("acme", "joan"), START + 4)
    assert store.asked.get_nowait() < 0, "the first time everything is read"
    await revoked.load()
    assert store.asked.get_nowait() == clock.now() - OVERLAP


async def test_a_process_that_cannot_read_them_does_not_start(revoked: RevokedTokens, store: Store) -> None:
    store.away = True
    with pytest.raises(StoreUnavailable):
        await revoked.listen(MemoryBus(), ["default"])


async def test_a_gap_is_read_after(revoked: RevokedTokens, store: Store) -> None:
    keeping = asyncio.create_task(revoked.keep())
    news: asyncio.Queue[InboxKey] = asyncio.Queue()
    revoked.on_news = news.put_nowait
    store.kept[ADA] = (START, START)
    revoked.on_gap()
    async with asyncio.timeout(PATIENCE):
        assert await news.get() == ADA
    keeping.cancel()
    assert revoked.covers(ADA, START - 1)


async def test_an_outage_is_waited_out(store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.revoked.RELOAD_RETRY", 0.001)
    revoked = RevokedTokens(store, clock, interval=3600)
    store.away, store.kept[ADA] = True, (START, START)
    news: asyncio.Queue[InboxKey] = asyncio.Queue()
    revoked.on_news = news.put_nowait
    with capture_logs() as logs:
        keeping = asyncio.create_task(revoked.keep())
        revoked.on_gap()
        async with asyncio.timeout(PATIENCE):
            await store.asked.get()
            store.away = False
            assert await news.get() == ADA
        keeping.cancel()
    assert {line["event"] for line in logs} == {"store_away"}


@pytest.mark.parametrize("payload", [None, b"", b"[]", b'{"user": 7, "issued_before": 1}', b'{"user": "ada"}', b"\xff"])
async def test_what_is_not_understood_is_read_instead(revoked: RevokedTokens, store: Store, payload: bytes) -> None:
    store.kept[ADA] = (START, START)
    news: asyncio.Queue[InboxKey] = asyncio.Queue()
    revoked.on_news = news.put_nowait
    keeping = asyncio.create_task(revoked.keep())
    revoked.on_change(ALL, LiveChange("", 0, REVOKED_EVENT, payload))
    async with asyncio.timeout(PATIENCE):
        assert await news.get() == ADA
    keeping.cancel()


async def test_changes_of_inboxes_are_not_its_business(revoked: RevokedTokens, store: Store) -> None:
    revoked.on_change(ADA, LiveChange("e", 1, "item", b"{}"))
    revoked.on_due(START)
    assert not revoked.covers(ADA, 0)
