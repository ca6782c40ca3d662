"""What every `RateLimiter` does; run on each adapter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from hub.bus.memory import MemoryRateLimiter
from hub.bus.rates import RedisRateLimiter
from hub.core.rates import Leave, Rate, Window
from hub.ports import RateLimiter
from tests.support.clock import START

PER_SECOND = (Rate(3, 1_000),)


@pytest.fixture(params=["memory", "redis", "cluster"])
async def limiters(request: pytest.FixtureRequest) -> AsyncIterator[tuple[RateLimiter, RateLimiter]]:
    """Two processes' limiters; with the in-process bus there is only one process."""
    if request.param == "memory":
        alone = MemoryRateLimiter()
        yield alone, alone
        return
    name = {"redis": "flushed_redis_url", "cluster": "flushed_redis_cluster_url"}[request.param]
    url = request.getfixturevalue(name)
    first, second = RedisRateLimiter(url), RedisRateLimiter(url)
    yield first, second
    await first.close()
    await second.close()


async def test_processes_share_a_limit(limiters: tuple[RateLimiter, RateLimiter]) -> None:
    first, second = limiters
    assert await first.take("sendgrid", PER_SECOND, START, 2, 0) == Leave(2, START)
    assert await second.take("sendgrid", PER_SECOND, START + 1, 2, 0) == Leave(0, START + 1_000)
    assert await second.take("sendgrid", PER_SECOND, START + 1, 1, 0) == Leave(1, START + 1)
    assert await first.take("sendgrid", PER_SECOND, START + 2, 1, 0) == Leave(0, START + 1_000)
    assert await second.take("sendgrid", PER_SECOND, START + 2, 2, 2_000) == Leave(2, START + 1_000)
    assert await first.take("sendgrid", PER_SECOND, START + 2, 1, 2_000) == Leave(1, START + 1_001)


async def test_names_and_rates_have_limits_of_their_own(limiters: tuple[RateLimiter, RateLimiter]) -> None:
    first, second = limiters
    await first.take("sendgrid", PER_SECOND, START, 3, 0)
    assert (await second.take("twilio", PER_SECOND, START, 3, 0)).calls == 3
    assert (await second.take("sendgrid", (Rate(4, 1_000),), START, 3, 0)).calls == 3
    assert (await second.take("sendgrid", PER_SECOND, START, 1, 0)).calls == 0


async def test_it_keeps_the_books_as_the_core_does(limiters: tuple[RateLimiter, RateLimiter]) -> None:
    rates = (Rate(2, 50), Rate(5, 400))
    dice, model, now = random.Random(7), Window(rates), START
    for _ in range(60):
        now += dice.choice([0, 1, 10, 30])
        calls, patience = dice.randint(1, 2), dice.choice([0, 20, 500])
        left = await dice.choice(limiters).take("smtp", rates, now, calls, patience)
        assert left == model.take(now, calls, patience)


async def test_who_asks_at_once_gets_the_limit_together(limiters: tuple[RateLimiter, RateLimiter]) -> None:
    leaves = await asyncio.gather(*(limiters[n % 2].take("fcm", PER_SECOND, START, 1, 10_000) for n in range(12)))
    assert sorted(leave.at for leave in leaves) == [START + 1_000 * (n // 3) for n in range(12)]


async def test_without_redis_every_process_keeps_the_limit_alone(flushed_redis_url: str) -> None:
    away = RedisRateLimiter("redis://127.0.0.1:1", timeout=0.2)
    assert await away.take("sendgrid", PER_SECOND, START, 3, 0) == Leave(3, START)
    assert await away.take("sendgrid", PER_SECOND, START, 1, 0) == Leave(0, START + 1_000)
    await away.close()
    await away.close()


async def test_what_was_given_before_redis_went_away_still_counts(flushed_redis_url: str) -> None:
    limiter = RedisRateLimiter(flushed_redis_url)
    await limiter.take("sendgrid", PER_SECOND, START, 2, 0)
    await limiter.close()
    limiter._commands = RedisRateLimiter("redis://127.0.0.1:1", timeout=0.2)._commands
    assert await limiter.take("sendgrid", PER_SECOND, START, 2, 0) == Leave(0, START + 1_000)
    assert await limiter.take("sendgrid", PER_SECOND, START, 1, 0) == Leave(1, START)
    await limiter.close()


async def test_somebody_elses_data_under_our_keys_stops_nobody(flushed_redis_url: str) -> None:
    from redis.asyncio import Redis  # noqa: PLC0415 - this test alone

    from hub.bus.names import rate_keys  # noqa: PLC0415 - this test alone

    client = Redis.from_url(flushed_redis_url)
    await client.set(rate_keys("sendgrid", PER_SECOND)[1][0], "not a list")
    await client.aclose()
    limiter = RedisRateLimiter(flushed_redis_url)
    assert await limiter.take("sendgrid", PER_SECOND, START, 3, 0) == Leave(3, START)
    await limiter.close()
