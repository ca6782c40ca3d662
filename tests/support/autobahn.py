"""The Autobahn WebSocket cases, run by kosoku against a server that echoes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

PATIENCE = 240.0
"""Seconds for a run that takes five: only so that a server which hangs ends the test."""

CASES = 517
COMPRESSION = ("12", "13")
"""Groups that need permessage-deflate, which is not offered."""

DEVIATIONS = {
    "6.4.3": "NON-STRICT",  # bad UTF-8 is refused with its frame, not within it
    "6.4.4": "NON-STRICT",  # the same
    "7.1.6": "INFORMATIONAL",  # what is written last when a close follows a large message; no verdict
    "7.13.1": "INFORMATIONAL",  # close code 5000: outside what the RFC speaks of; refused
    "7.13.2": "INFORMATIONAL",  # close code 65535: the same
}
"""Every case with another verdict than OK; docs/decisions/0011-our-own-websocket-framing.md explains them."""


async def run_autobahn(host: str, port: int, reports: Path, *, path: str = "/") -> dict[str, str]:
    """Return the verdict of every case; where its closing handshake has another one, that is appended.

    The server must echo every message. The large and long cases run after the others, which have deadlines of a second.
    kosoku is another process, since it bends the one that it is in (sys.path, binascii).
    """
    url = f"ws://{host}:{port}{path}"
    quick = await _run(url, reports / "quick", 8, "--exclude", "9.*")
    return quick | await _run(url, reports / "large", 16, "--include", "9.*")


async def _run(url: str, reports: Path, at_once: int, *selection: str) -> dict[str, str]:
    kosoku = Path(sys.executable).with_name("kosoku")
    process = await asyncio.create_subprocess_exec(
        kosoku, url, "--parallelism", str(at_once), "--outdir", reports, *selection, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    (cases,) = json.loads((reports / "index.json").read_text()).values()  # one agent
    return {case: _verdict(result) for case, result in cases.items()}


def _verdict(result: dict[str, Any]) -> str:
    behavior, close = result["behavior"], result["behaviorClose"]
    return behavior if close in {"OK", behavior} else f"{behavior}, close: {close}"


def group(case: str) -> str:
    return case.partition(".")[0]
