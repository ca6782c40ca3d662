"""Two and four processes over the same users, at length: about a minute each."""

from __future__ import annotations

import pytest

from hub.store.engine import open_database
from tests.support.contender import check_contention, contenders


@pytest.mark.parametrize(("processes", "rounds"), [(2, 3_000), (4, 1_500)])
async def test_processes_over_the_same_users(postgres_url: str, processes: int, rounds: int) -> None:
    outcomes = await contenders(postgres_url, processes, rounds)
    async with await open_database(postgres_url) as database:
        await check_contention(database, outcomes)
