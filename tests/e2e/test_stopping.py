"""What a node leaves behind when it is asked to stop, and what it does about clients that fall silent."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import httpx2

from hub.serving import break_off_silence
from tests.support.process import BellwireProcess
from tests.support.smtp_fake import SmtpFake

PATIENCE = 30.0
API_KEY = "an-api-key-for-tests"


class SlowSmtp(SmtpFake):
    """Takes a mail, and says so a second later."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = asyncio.Event()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        reply = await super().handle_DATA(server, session, envelope)
        self.taken.set()
        await asyncio.sleep(1)
        return reply


async def test_a_node_that_stops_writes_down_what_it_was_sending(tmp_path: Path) -> None:
    smtp = SlowSmtp()
    async with smtp.running(), asyncio.timeout(2 * PATIENCE):
        env = {
            "BELLWIRE_DATA_DIR": str(tmp_path),
            "BELLWIRE_API_KEY": API_KEY,
            "BELLWIRE_SMTP_URL": f"smtp://127.0.0.1:{smtp.port}",
            "BELLWIRE_LEASE_SECONDS": "2",
        }
        node = BellwireProcess("serve", env=env)
        await asyncio.to_thread(node.start)
        try:
            headers = {"Authorization": f"Bearer {API_KEY}"}
            async with httpx2.AsyncClient(base_url=node.url, headers=headers, trust_env=False) as http:
                body = {"recipients": [{"email": "ada@example.com"}], "inbox": False, "title": "Your code"}
                notification = (await http.post("/v1/notifications", json=body)).json()["id"]
                await smtp.taken.wait()
                await asyncio.to_thread(node.stop)
            assert "worker_stopped" in node.output
            await asyncio.to_thread(node.start)
            async with httpx2.AsyncClient(base_url=node.url, headers=headers, trust_env=False) as http:
                found = (await http.get(f"/v1/notifications/{notification}")).json()
            assert [delivery["state"] for delivery in found["deliveries"]] == ["sent"]
            assert len(smtp.mails) == 1
        finally:
            await asyncio.to_thread(node.stop)


def test_a_connection_that_nobody_reads_is_broken_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        break_off_silence(listening, 500)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(listening.getsockname())
        with listening.accept()[0] as accepted:
            accepted.settimeout(PATIENCE)
            began = time.monotonic()
            try:
                while True:
                    accepted.sendall(bytes(65_536))
            except OSError as error:
                assert not isinstance(error, BlockingIOError)  # noqa: PT017 - it is the system that ends it
            assert time.monotonic() - began < PATIENCE / 2
