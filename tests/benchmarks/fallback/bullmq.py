"""BullMQ: npm's `bullmq`, at the version of `bullmq/`, on a real Valkey."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from tests.benchmarks.fallback.told import Told
from tests.benchmarks.gateway.peers import npm

_SOURCES = Path(__file__).with_name("bullmq")


def version() -> str:
    """Say which it is; raises as `npm.node_version`."""
    packages = json.loads((_SOURCES / "package.json").read_text())["dependencies"]
    return f"{packages['bullmq']} on Node {npm.node_version()}"


def install() -> Path:
    """Install the locked packages; returns their folder, and raises as `npm.install`."""
    return npm.install(_SOURCES, "bullmq")


def adding(redis_url: str, count: int, delay: int, cores: Collection[int]) -> Told:
    """A process that adds so many jobs by `addBulk`, a thousand at a time, due after `delay` milliseconds."""
    return _node("add", redis_url, count, delay, cores)


def working(redis_url: str, count: int, concurrency: int, cores: Collection[int]) -> Told:
    """A process that works off so many jobs which do nothing."""
    return _node("work", redis_url, count, concurrency, cores)


@asynccontextmanager
async def flushing(redis_url: str, *, flushed: bool) -> AsyncIterator[None]:
    """Have Valkey write a log to the disk, and flush it before it answers, for the length of a block; or not."""
    async with Redis.from_url(redis_url) as client:
        if flushed:
            await client.config_set("appendfsync", "always")
            await client.config_set("appendonly", "yes")
        yield
        await client.config_set("appendonly", "no")


def _node(task: str, redis_url: str, count: int, other: int, cores: Collection[int]) -> Told:
    packages = install() / "node_modules"
    return Told(
        ["node", str(_SOURCES / "bench.js"), task, str(count), str(other)],
        cores,
        {"NODE_ENV": "production", "NODE_PATH": str(packages), "REDIS_URL": redis_url},
    )
