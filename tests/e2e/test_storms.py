"""What `tests/soak/` does at length, in seconds: many clients, bad clients, faults, herds, restarts."""

from __future__ import annotations

from tests.support.cluster import open_cluster
from tests.support.scenarios.churn import churn


async def test_who_comes_and_goes_leaves_nothing_behind(postgres_url: str, flushed_redis_url: str) -> None:
    async with open_cluster(postgres_url, flushed_redis_url, nodes=1) as cluster:
        await churn(cluster, flushed_redis_url, warm_up=1_000, connects=2_000, slack=0.1)
