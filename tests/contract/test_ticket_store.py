"""What every `TicketStore` promises, on both databases."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from hub.core.model import InboxKey
from hub.ports import TicketStore
from hub.store.engine import Database
from hub.store.tickets import SqlTicketStore
from tests.support.clock import START

ADA = InboxKey("default", "ada")
DIGEST = hashlib.sha256(b"ticket").digest()
LIFE = 30_000


@pytest.fixture
def tickets(database: Database) -> TicketStore:
    return SqlTicketStore(database)


async def test_a_ticket_is_good_once(tickets: TicketStore) -> None:
    await tickets.put_ticket(DIGEST, ADA, START + LIFE)

    assert await tickets.take_ticket(DIGEST, START) == ADA
    assert await tickets.take_ticket(DIGEST, START) is None


async def test_of_many_that_take_a_ticket_at_once_one_gets_it(tickets: TicketStore) -> None:
    for number in range(10):
        digest = hashlib.sha256(str(number).encode()).digest()
        await tickets.put_ticket(digest, ADA, START + LIFE)

        taken = await asyncio.gather(*(tickets.take_ticket(digest, START) for _ in range(8)))

        assert [key for key in taken if key is not None] == [ADA]


async def test_a_ticket_is_good_until_it_expires_and_not_longer(tickets: TicketStore) -> None:
    other = hashlib.sha256(b"other").digest()
    await tickets.put_ticket(DIGEST, ADA, START + LIFE)
    await tickets.put_ticket(other, ADA, START + LIFE)

    assert await tickets.take_ticket(DIGEST, START + LIFE - 1) == ADA
    assert await tickets.take_ticket(other, START + LIFE) is None
    assert await tickets.take_ticket(other, START) is None, "trying a spent ticket must not keep it"


async def test_a_ticket_nobody_issued_is_worth_nothing(tickets: TicketStore) -> None:
    await tickets.put_ticket(DIGEST, ADA, START + LIFE)

    assert await tickets.take_ticket(b"", START) is None
    assert await tickets.take_ticket(DIGEST[:-1], START) is None
    assert await tickets.take_ticket(DIGEST, START) == ADA


async def test_tickets_speak_for_their_own_user_and_tenant(tickets: TicketStore) -> None:
    keys = [ADA, InboxKey("default", "ben"), InboxKey("other", "ada")]
    digests = [hashlib.sha256(repr(key).encode()).digest() for key in keys]
    for digest, key in zip(digests, keys, strict=True):
        await tickets.put_ticket(digest, key, START + LIFE)

    assert [await tickets.take_ticket(digest, START) for digest in digests] == keys
