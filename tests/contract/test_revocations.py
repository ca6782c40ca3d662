"""What every `Revocations` promises, on both databases."""

from __future__ import annotations

import asyncio

import pytest

from hub.core.model import InboxKey
from hub.ports import EVERYBODY, Revocation, Revocations
from hub.store.engine import Database
from hub.store.revocations import SqlRevocations
from tests.support.clock import START

ADA, GRACE = InboxKey("default", "ada"), InboxKey("default", "grace")
ALL, ACME_ADA = InboxKey("default", EVERYBODY), InboxKey("acme", "ada")


@pytest.fixture
def revocations(database: Database) -> Revocations:
    return SqlRevocations(database)


async def test_none_at_first(revocations: Revocations) -> None:
    assert list(await revocations.since(0)) == []


async def test_users_tenants_and_everybody_are_kept_apart(revocations: Revocations) -> None:
    for number, key in enumerate((ADA, GRACE, ALL, ACME_ADA)):
        await revocations.revoke(key, START + number, START)
    assert sorted(await revocations.since(0)) == sorted(
        Revocation(key, START + number) for number, key in enumerate((ADA, GRACE, ALL, ACME_ADA))
    )


async def test_of_several_the_latest_counts(revocations: Revocations) -> None:
    for issued_before in (START + 5, START + 9, START + 7):
        await revocations.revoke(ADA, issued_before, START)
    assert list(await revocations.since(0)) == [Revocation(ADA, START + 9)]


async def test_at_once_for_the_same_user(revocations: Revocations) -> None:
    await asyncio.gather(*(revocations.revoke(ADA, START + number, START) for number in range(10)))
    assert list(await revocations.since(0)) == [Revocation(ADA, START + 9)]


async def test_only_what_was_made_since(revocations: Revocations) -> None:
    await revocations.revoke(ADA, START, START)
    await revocations.revoke(GRACE, START, START + 1)
    assert list(await revocations.since(START + 1)) == [Revocation(GRACE, START)]
    await revocations.revoke(ADA, START, START + 2)
    assert sorted(await revocations.since(START + 1)) == [Revocation(ADA, START), Revocation(GRACE, START)]
    assert list(await revocations.since(START + 3)) == []
