"""The population that benchmarks and plan tests look at is what the store itself would have made of it."""

from __future__ import annotations

from hub.core.model import Counts, InboxQuery
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from tests.support.population import RARE, Population, fill, heavy, user
from tests.support.shared_inboxes import check, pages

POPULATION = Population(users=20, heavy=2, own=30, shared=100)


async def test_a_population_is_consistent(database_url: str) -> None:
    told: list[int] = []
    await fill(database_url, POPULATION, told.append)
    assert sum(told) == POPULATION.rows
    async with await open_database(database_url) as database:
        ordinary, much = await check(database, user(19)), await check(database, heavy(1))
        # Five of ten own items, and all broadcasts; three own ones, and of the later half of the shared ones all but 5.
        assert ordinary.counts == Counts(unread=5 + 10, unseen=5 + 10)
        assert much.counts == Counts(unread=3 + 45, unseen=3 + 45)
        assert await pages(SqlInboxStore(database), heavy(0), InboxQuery(category=RARE))
