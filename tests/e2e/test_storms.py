"""What `tests/soak/` does at length, in seconds: many clients, bad clients, faults, herds, restarts."""

from __future__ import annotations

import pytest

from tests.support.cluster import open_cluster
from tests.support.proxy import proxy_to
from tests.support.scenarios.bad_clients import bad_clients
from tests.support.scenarios.churn import churn
from tests.support.scenarios.herd import admission, herd
from tests.support.scenarios.redis_away import Fault, flushed, redis_away, stopped
from tests.support.scenarios.rolling_restart import SETTINGS, rolling_restart
from tests.support.valkey import valkey_server


async def test_who_comes_and_goes_leaves_nothing_behind(postgres_url: str, flushed_redis_url: str) -> None:
    settings = {"BELLWIRE_ADMISSION_RATE": "0"}  # as fast as it goes
    async with open_cluster(postgres_url, flushed_redis_url, nodes=1, settings=settings) as cluster:
        await churn(cluster, flushed_redis_url, warm_up=1_000, connects=2_000)


@pytest.mark.parametrize(("fault", "seconds"), [(stopped, 5), (flushed, 1)])
async def test_redis_is_never_missed(fault: Fault, seconds: float, postgres_url: str) -> None:
    with valkey_server() as valkey:
        async with open_cluster(postgres_url, valkey.url) as cluster:
            await redis_away(cluster, valkey, fault, seconds)


async def test_a_herd_comes_back_through_the_door(postgres_url: str, flushed_redis_url: str) -> None:
    limits = {"rate": 100, "burst": 50}
    async with (
        open_cluster(postgres_url, flushed_redis_url, settings=admission(**limits)) as cluster,
        proxy_to(cluster.ports[0]) as proxy,
    ):

        async def cut() -> None:
            proxy.drop()

        await herd(cluster, proxy.port, cut, clients=500, **limits)


async def test_a_rolling_restart_is_no_event(postgres_url: str, flushed_redis_url: str) -> None:
    async with open_cluster(postgres_url, flushed_redis_url, settings=SETTINGS) as cluster:
        await rolling_restart(cluster, users=50)


async def test_bad_clients_are_cut_and_good_ones_miss_nothing(postgres_url: str, flushed_redis_url: str) -> None:
    async with open_cluster(postgres_url, flushed_redis_url) as cluster:
        await bad_clients(cluster, good=40, rounds=20, kinds=("floods", "rubbish"))
