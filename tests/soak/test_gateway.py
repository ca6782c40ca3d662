"""The gateway under strain, at length. Each test has its short version in `tests/e2e/test_storms.py`."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cluster import open_cluster
from tests.support.pests import KINDS
from tests.support.scenarios.bad_clients import WORSE, bad_clients
from tests.support.scenarios.churn import churn
from tests.support.scenarios.herd import admission, herd
from tests.support.scenarios.redis_away import Fault, flushed, hanging, redis_away, stopped
from tests.support.scenarios.rolling_restart import SETTINGS, rolling_restart
from tests.support.valkey import valkey_server


async def test_churn(postgres_url: str, flushed_redis_url: str) -> None:
    settings = {"BELLWIRE_ADMISSION_RATE": "0"}  # as fast as it goes
    async with open_cluster(postgres_url, flushed_redis_url, nodes=1, settings=settings) as cluster:
        await churn(cluster, flushed_redis_url, warm_up=20_000, connects=100_000)


async def test_bad_clients_disturb_nobody(postgres_url: str, flushed_redis_url: str) -> None:
    async with open_cluster(postgres_url, flushed_redis_url) as cluster:
        assert await bad_clients(cluster, good=200, rounds=100, kinds=tuple(KINDS)) <= WORSE


@pytest.mark.parametrize(("fault", "seconds"), [(stopped, 30), (hanging, 15), (flushed, 5)])
async def test_redis_away(fault: Fault, seconds: float, postgres_url: str) -> None:
    with valkey_server() as valkey:
        async with open_cluster(postgres_url, valkey.url) as cluster:
            await redis_away(cluster, valkey, fault, seconds, presence=True)


async def test_thundering_herd(postgres_url: str, flushed_redis_url: str) -> None:
    """Its node is killed, and started anew at the same address."""
    limits = {"rate": 200, "burst": 200}
    async with open_cluster(postgres_url, flushed_redis_url, settings=admission(**limits)) as cluster:
        node = cluster.nodes[0]

        async def cut() -> None:
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)

        await herd(cluster, node.port, cut, clients=10_000, **limits)


async def test_rolling_restart(postgres_url: str, flushed_redis_url: str) -> None:
    async with open_cluster(postgres_url, flushed_redis_url, settings=SETTINGS) as cluster:
        for _ in range(3):
            await rolling_restart(cluster, users=500)
