"""The cases that WebSocket implementations are measured by."""

from __future__ import annotations

from pathlib import Path

from tests.support.autobahn import CASES, COMPRESSION, DEVIATIONS, group, run_autobahn
from tests.support.echo_socket import echoing

DECISION = Path("docs/decisions/0011-our-own-websocket-framing.md")


async def test_our_framing_passes_the_autobahn_cases(tmp_path: Path) -> None:
    async with echoing() as port:
        verdicts = await run_autobahn("127.0.0.1", port, tmp_path)
    assert len(verdicts) == CASES
    assert {verdict for case, verdict in verdicts.items() if group(case) in COMPRESSION} == {"UNIMPLEMENTED"}
    others = {case: verdict for case, verdict in verdicts.items() if group(case) not in COMPRESSION}
    assert {case: verdict for case, verdict in others.items() if verdict != "OK"} == DEVIATIONS


def test_deviations_are_explained() -> None:
    page = DECISION.read_text()
    for case, verdict in DEVIATIONS.items():
        assert any(line.startswith("|") and case in line and verdict in line for line in page.splitlines())
