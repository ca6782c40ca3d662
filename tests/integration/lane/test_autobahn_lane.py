"""The Autobahn cases on the fast lane itself: its server classes, its writes, its closing handshakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.autobahn import CASES, COMPRESSION, DEVIATIONS, group, run_autobahn
from tests.support.echo_lane import echoing_lane


@pytest.mark.asyncio(loop_factories=["uvloop"])  # what `bellwire serve` runs on
async def test_the_fast_lane_passes_the_autobahn_cases(tmp_path: Path) -> None:
    async with echoing_lane() as port:
        verdicts = await run_autobahn("127.0.0.1", port, tmp_path)
    assert len(verdicts) == CASES
    others = {case: verdict for case, verdict in verdicts.items() if group(case) not in COMPRESSION}
    assert {case: verdict for case, verdict in others.items() if verdict != "OK"} == DEVIATIONS
