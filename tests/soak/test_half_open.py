"""A peer that vanishes without a word costs nothing for longer than a minute."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from tests.support.cluster import API_KEY, JWT_SECRET, until
from tests.support.netns import SERVER, ServerBehindCable, cable
from tests.support.process import REPOSITORY

PEERS = 50
FREED_WITHIN = 60.0
"""Seconds: the promise."""


async def test_peers_that_vanish_are_freed_within_a_minute(tmp_path: Path) -> None:
    env = {"BELLWIRE_DATA_DIR": str(tmp_path), "BELLWIRE_API_KEY": API_KEY, "BELLWIRE_JWT_SECRET": JWT_SECRET}
    with cable() as ends:
        node = ServerBehindCable(ends, env)
        await asyncio.to_thread(node.start)
        try:
            idle = node.sockets
            command = (sys.executable, "-m", "tests.support.peers", SERVER, str(node.port), str(PEERS))
            pipe = asyncio.subprocess.PIPE
            peers = await asyncio.create_subprocess_exec(
                "ip", "netns", "exec", ends.client, *command, cwd=REPOSITORY, stdin=pipe, stdout=pipe
            )
            assert peers.stdout is not None
            try:
                assert await peers.stdout.readline() == b"live\n"
                assert node.sockets == idle + PEERS
                ends.pull()

                async def freed() -> bool:
                    return node.sockets <= idle

                with suppress(TimeoutError):
                    await until(freed, FREED_WITHIN)
                assert node.sockets <= idle
            finally:
                peers.kill()
                await peers.wait()
        finally:
            await asyncio.to_thread(node.stop)
