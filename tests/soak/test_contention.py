"""Two nodes over the same users and topics, at full speed for a minute (or for `SOAK_SECONDS`), and a verdict."""

from __future__ import annotations

import os

import pytest

from tests.support.cluster import open_cluster
from tests.support.scenarios.contention import contention

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))


async def test_nodes_over_the_same_users_and_topics(
    postgres_url: str, flushed_redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_cluster(postgres_url, flushed_redis_url) as cluster:
        figures = await contention(cluster, postgres_url, SECONDS)
    with capsys.disabled():
        print(f"\n{figures}")
