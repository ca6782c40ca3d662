"""Two processes publish to the same users, and acknowledge for them, as fast as they can."""

from __future__ import annotations

from hub.store.engine import open_database
from tests.support.contender import check_contention, contenders
from tests.support.inboxes import table_counts


async def test_two_processes_over_the_same_users(postgres_url: str) -> None:
    outcomes = await contenders(postgres_url, processes=2, rounds=20)
    async with await open_database(postgres_url) as database:
        await check_contention(database, outcomes)
        rows = await table_counts(database)
    assert rows["notifications"] == sum(told["published"] for told in outcomes)
    assert rows["idempotency"] == len(outcomes[0]["keys"])
