"""Workers that are killed while they send, at length: 50,000 deliveries, or `SOAK_DELIVERIES`.

In seconds: `tests/e2e/test_worker_faults.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.scenarios.worker_kills import SETTINGS, worker_kills
from tests.support.workers import open_workers

DELIVERIES = int(os.environ.get("SOAK_DELIVERIES", "50000"))
KILLS = 15


async def test_killed_again_and_again(
    postgres_url: str, flushed_redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end="", flush=True)

    # Long enough that nobody loses a lease for want of a core: what is rescued here, was killed.
    settings = {**SETTINGS, "BELLWIRE_LEASE_SECONDS": "10"}
    async with open_workers(postgres_url, flushed_redis_url, tmp_path, settings) as workers:
        tell(str(await worker_kills(workers, deliveries=DELIVERIES, kills=KILLS, tell=tell)))
