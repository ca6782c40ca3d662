"""What every `Directory` promises, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from hub.core.errors import DataError
from hub.core.model import Contact, Device
from hub.ports import Directory
from hub.store.directory import MAX_DEVICES, SqlDirectory
from hub.store.engine import Database
from hub.store.tables import users
from tests.support.clock import START

ADA = Contact("ada", "ada@example.com", "+15551234567", "Ada Lovelace", "en-GB", "Europe/London")


@pytest.fixture
def directory(database: Database) -> Directory:
    return SqlDirectory(database)


def device(
    user: str = "ada",
    token: str = "t-1",  # noqa: S107 - a test's token is no secret
    at: int = START,
    name: str | None = None,
) -> Device:
    return Device(uuid4(), user, "fcm_token", token, at, name)


async def test_a_contact_is_read_as_it_was_stored(directory: Directory) -> None:
    assert await directory.contact("default", "ada") is None
    assert await directory.put_contact("default", ADA, START) is True
    assert await directory.contact("default", "ada") == ADA


async def test_a_contact_is_replaced_whole(directory: Directory, database: Database) -> None:
    await directory.put_contact("default", ADA, START)

    assert await directory.put_contact("default", Contact("ada", phone="+15550000000"), START + 1) is False

    assert await directory.contact("default", "ada") == Contact("ada", phone="+15550000000")
    async with database.reader() as connection:
        row = (await connection.execute(select(users))).one()
    assert (row.created_at, row.updated_at) == (START, START + 1)


async def test_of_many_that_put_a_new_contact_at_once_one_is_the_first(directory: Directory) -> None:
    firsts = await asyncio.gather(*(directory.put_contact("default", ADA, START) for _ in range(8)))

    assert sorted(firsts) == [False] * 7 + [True]


async def test_contacts_of_tenants_are_apart(directory: Directory) -> None:
    await directory.put_contact("default", ADA, START)
    other = replace(ADA, email="ada@other.example")

    assert await directory.put_contact("other", other, START) is True

    assert await directory.contact("default", "ada") == ADA
    assert await directory.contact("other", "ada") == other
    assert await directory.contact("third", "ada") is None


async def test_user_ids_are_told_apart_bytewise(directory: Directory) -> None:
    await directory.put_contact("default", ADA, START)

    assert await directory.contact("default", "Ada") is None
    assert await directory.contact("default", "ada ") is None
    assert await directory.put_contact("default", replace(ADA, user="åda"), START) is True
    assert await directory.put_contact("default", replace(ADA, user="a\u030ada"), START) is True


async def test_hostile_text_stays_text(directory: Directory) -> None:
    hostile = replace(ADA, user="a'; DROP TABLE users; --", name='%s %(x)s :name "\\')

    await directory.put_contact("default", hostile, START)

    assert await directory.contact("default", hostile.user) == hostile


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_what_the_database_cannot_store_is_refused_and_nothing_kept(directory: Directory) -> None:
    with pytest.raises(DataError):
        await directory.put_contact("default", replace(ADA, name="\x00"), START)

    assert await directory.contact("default", "ada") is None


async def test_devices_are_read_oldest_first(directory: Directory) -> None:
    new, old, theirs = device(token="b", at=START + 1), device(token="a"), device("ben", token="c")
    for each in (new, old, theirs):
        assert await directory.add_device("default", each) == each

    assert await directory.devices("default", "ada") == [old, new]
    assert await directory.devices("default", "ben") == [theirs]
    assert await directory.devices("default", "cyd") == []


async def test_the_same_token_again_keeps_its_id_and_age(directory: Directory) -> None:
    first = await directory.add_device("default", device(name="Phone"))

    again = await directory.add_device("default", device(at=START + 5, name="New name"))

    assert again == replace(first, name="New name")
    assert await directory.devices("default", "ada") == [again]


async def test_a_token_that_another_user_brings_moves_with_its_id(directory: Directory) -> None:
    hers = await directory.add_device("default", device("ada"))

    his = await directory.add_device("default", device("ben"))

    assert his == replace(hers, user="ben")
    assert await directory.devices("default", "ada") == []
    assert await directory.devices("default", "ben") == [his]


async def test_the_oldest_devices_make_room(directory: Directory) -> None:
    old = [
        await directory.add_device("default", device(token=f"token-{n}", at=START + n)) for n in range(MAX_DEVICES + 2)
    ]
    bens = await directory.add_device("default", device("ben", "bens"))
    theirs = await directory.add_device("other", device())

    assert await directory.devices("default", "ada") == old[2:]

    moved = await directory.add_device("default", device(token="bens", at=START + MAX_DEVICES))
    assert moved == replace(bens, user="ada")
    assert await directory.devices("default", "ada") == [moved, *old[3:]], "what was just brought stays, however old"
    assert await directory.devices("other", "ada") == [theirs]


async def test_a_token_brought_by_many_at_once_is_one_device(directory: Directory) -> None:
    stored = await asyncio.gather(*(directory.add_device("default", device(f"user-{n}")) for n in range(8)))

    assert len({each.id for each in stored}) == 1
    owners = [await directory.devices("default", f"user-{n}") for n in range(8)]
    assert sum(len(owned) for owned in owners) == 1


async def test_a_token_in_another_tenant_or_of_another_kind_is_another_device(directory: Directory) -> None:
    first = await directory.add_device("default", device())
    foreign = await directory.add_device("other", device())
    kind = await directory.add_device("default", replace(device(), kind="fcm_installation"))

    assert len({first.id, foreign.id, kind.id}) == 3
    assert await directory.devices("other", "ada") == [foreign]


async def test_only_its_user_removes_a_device(directory: Directory) -> None:
    mine = await directory.add_device("default", device())
    wrong: list[tuple[str, str, UUID]] = [
        ("default", "ben", mine.id),
        ("other", "ada", mine.id),
        ("default", "ada", uuid4()),
    ]

    for tenant, user, identifier in wrong:
        assert await directory.remove_device(tenant, user, identifier) is False
    assert await directory.devices("default", "ada") == [mine]

    assert await directory.remove_device("default", "ada", mine.id) is True
    assert await directory.remove_device("default", "ada", mine.id) is False
    assert await directory.devices("default", "ada") == []
