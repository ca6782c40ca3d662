"""Two nodes and a worker as processes on PostgreSQL and Redis: the commands that docker-compose.yml names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import httpx2
import msgspec
import pytest
import redis
from websockets.asyncio.client import ClientConnection, connect

from hub.core import wire
from hub.core.model import InboxKey
from hub.keyring import Keyring
from hub.settings import Settings
from tests.support.mute import mute
from tests.support.process import BellwireProcess
from tests.support.reference_client import ReferenceClient
from tests.support.smtp_fake import SmtpFake
from tests.support.workers import command

API_KEY = "an-api-key-for-tests"
JWT_SECRET = "a-secret-for-tests-of-32-bytes-or-more"
KEYRING = Keyring.from_settings(Settings(), API_KEY, JWT_SECRET)
PATIENCE = 30.0


def token(user: str) -> str:
    return KEYRING.issue(InboxKey("default", user), time.time_ns() // 1_000_000, 3_600_000)


class Cluster:
    """The second shape, on this machine's loopback."""

    def __init__(self, database_url: str, redis_url: str, smtp: SmtpFake) -> None:
        env = {
            "BELLWIRE_ENV": "production",
            "BELLWIRE_HOST": "127.0.0.1",
            "BELLWIRE_DATABASE_URL": database_url,
            "BELLWIRE_REDIS_URL": redis_url,
            "BELLWIRE_API_KEY": API_KEY,
            "BELLWIRE_JWT_SECRET": JWT_SECRET,
            "BELLWIRE_SMTP_URL": f"smtp://127.0.0.1:{smtp.port}",
            "BELLWIRE_MAIL_FROM": "Bellwire <bell@example.com>",
            "BELLWIRE_LEASE_SECONDS": "2",
        }
        self.smtp = smtp
        self.a = BellwireProcess(*command("hub1"), env=env)
        self.b = BellwireProcess(*command("hub2"), env=env)
        self.worker = BellwireProcess(*command("worker"), env=env)
        self.http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {API_KEY}"}, timeout=PATIENCE, trust_env=False
        )

    @property
    def processes(self) -> list[BellwireProcess]:
        return [self.a, self.b, self.worker]

    async def publish(self, node: BellwireProcess, key: str | None = None, **fields: Any) -> str:
        """Publish and return the id; raises when the node does not answer."""
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await self.http.post(f"{node.url}/v1/notifications", json={"title": "t", **fields}, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def endings(self, node: BellwireProcess, notification: str) -> dict[str, str]:
        """Return each recipient's delivery state, once all have ended."""
        async with asyncio.timeout(PATIENCE):
            while True:
                state = (await self.http.get(f"{node.url}/v1/notifications/{notification}")).json()
                endings = {delivery["recipient"]: delivery["state"] for delivery in state["deliveries"]}
                if not {"queued", "sending"} & set(endings.values()):
                    return endings

    async def contact(self, user: str) -> None:
        answer = await self.http.put(f"{self.a.url}/v1/users/{user}", json={"email": f"{user}@example.com"})
        assert answer.is_success


@pytest.fixture
async def cluster(postgres_url: str, flushed_redis_url: str) -> AsyncIterator[Cluster]:
    async with SmtpFake().running() as smtp:
        cluster = Cluster(postgres_url, flushed_redis_url, smtp)
        try:
            await asyncio.gather(*(asyncio.to_thread(process.start) for process in cluster.processes))
            yield cluster
        finally:
            await cluster.http.aclose()
            await asyncio.gather(*(asyncio.to_thread(process.stop) for process in cluster.processes))


class Device:
    """A client over WebSocket; `node` may change between connections, the cursor stays."""

    def __init__(self, user: str) -> None:
        self.client = ReferenceClient(user)
        self._socket: ClientConnection | None = None

    @asynccontextmanager
    async def connected(self, node: BellwireProcess) -> AsyncIterator[Self]:
        address = f"ws://127.0.0.1:{node.port}/v1/ws"
        async with connect(address, compression=None, max_size=None, proxy=None) as socket:
            self._socket = socket
            self.client.connecting()
            frame = {"type": "connect", "token": token(self.client.user), "cursor": self.client.cursor}
            await socket.send(msgspec.json.encode(frame).decode())
            await self.until(lambda: self.client.live)
            if self.client.stale:
                await self.load(node)
            yield self

    async def until(self, condition: Any) -> None:
        """Take frames until the condition holds."""
        assert self._socket is not None
        async with asyncio.timeout(PATIENCE):
            while not condition():
                for line in str(await self._socket.recv()).splitlines():
                    self.client.receive(line.encode())

    async def send(self, **frame: Any) -> None:
        assert self._socket is not None
        await self._socket.send(msgspec.json.encode(frame).decode())

    async def load(self, node: BellwireProcess) -> None:
        inbox = await read_inbox(node, self.client.user)
        self.client.load(inbox["data"])


async def read_inbox(node: BellwireProcess, user: str) -> dict[str, Any]:
    async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
        headers = {"Authorization": f"Bearer {token(user)}"}
        answer = await http.get(f"{node.url}/v1/inbox?status=all&limit=100", headers=headers)
        assert answer.is_success, answer.text
        inbox: dict[str, Any] = answer.json()
        return inbox


async def test_a_publish_at_one_node_reaches_a_client_on_the_other(cluster: Cluster) -> None:
    ada = Device("ada")
    async with ada.connected(cluster.b):
        notification = await cluster.publish(cluster.a, recipients=["ada"], title="Hello")
        await ada.until(lambda: notification in ada.client.items)
    assert ada.client.items[notification]["title"] == "Hello"
    assert ada.client.counts == {"unread": 1, "unseen": 1}


async def test_read_on_one_device_clears_the_badge_on_the_other(cluster: Cluster) -> None:
    phone, laptop = Device("ada"), Device("ada")
    async with phone.connected(cluster.a), laptop.connected(cluster.b):
        notification = await cluster.publish(cluster.a, recipients=["ada"])
        for device in (phone, laptop):
            await device.until(lambda device=device: notification in device.client.items)
        await phone.send(type="read", ids=[notification])
        for device in (phone, laptop):
            await device.until(lambda device=device: device.client.counts == {"unread": 0, "unseen": 0})
    assert phone.client.items == laptop.client.items
    assert laptop.client.items[notification]["read_at"] is not None


async def test_who_is_away_gets_the_mail_and_who_has_read_gets_none(cluster: Cluster) -> None:
    for user in ("ada", "grace"):
        await cluster.contact(user)
    grace = Device("grace")
    async with grace.connected(cluster.b):
        notification = await cluster.publish(
            cluster.a,
            recipients=["ada", "grace"],
            title="Build failed",
            fallback=[{"channel": "email", "after": "2s", "unless": "read"}],
        )
        await grace.until(lambda: notification in grace.client.items)
        await grace.send(type="read", ids=[notification])
        await grace.until(lambda: grace.client.counts == {"unread": 0, "unseen": 0})
        assert await cluster.endings(cluster.b, notification) == {"ada": "sent", "grace": "cancelled"}
    assert [mail["To"] for mail in cluster.smtp.mails] == ["ada@example.com"]
    assert [mail["Subject"] for mail in cluster.smtp.mails] == ["Build failed"]


async def test_presence_is_shared_by_the_nodes(cluster: Cluster) -> None:
    async def attention() -> str:
        answer = await cluster.http.get(f"{cluster.a.url}/v1/users/ada/presence")
        return str(answer.json()["attention"])

    ada = Device("ada")
    async with ada.connected(cluster.b):
        async with asyncio.timeout(PATIENCE):
            while await attention() != "active":
                pass
        await ada.send(type="presence", state="away")
        async with asyncio.timeout(PATIENCE):
            while await attention() != "away":
                pass


async def test_a_killed_node_loses_nothing_that_it_answered_for(cluster: Cluster) -> None:
    """Kill a node while it publishes to clients of its own and of the other; resume on the other."""
    here, there = Device("ada"), Device("ada")
    answered: set[str] = set()

    async def publish_until_killed(number: int) -> None:
        for turn in range(1000):
            try:
                answered.add(await cluster.publish(cluster.a, f"{number}-{turn}", recipients=["ada"]))
            except httpx2.TransportError:
                # As every publisher should: again, elsewhere, under the same key.
                answered.add(await cluster.publish(cluster.b, f"{number}-{turn}", recipients=["ada"]))
                return

    async with there.connected(cluster.b):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(here.connected(cluster.a))
            publishing = [asyncio.create_task(publish_until_killed(number)) for number in range(4)]
            await here.until(lambda: len(here.client.items) >= 10)
            await asyncio.to_thread(cluster.a.kill)
            await asyncio.gather(*publishing)
        # Who was at the other node all the time hears of everything, without asking.
        await there.until(lambda: answered <= set(there.client.items))
    async with here.connected(cluster.b):
        await here.until(lambda: answered <= set(here.client.items))
        count = here.client.counts
    inbox = await read_inbox(cluster.b, "ada")
    assert count == {"unread": inbox["unread_count"], "unseen": inbox["unseen_count"]}
    assert count["unread"] == len(here.client.items) == len(there.client.items)


async def test_a_killed_worker_loses_no_delivery(cluster: Cluster) -> None:
    """Kill the worker while mails are on their way to a server that does not answer; another finishes."""
    users = [f"user-{number}" for number in range(20)]
    for user in users:
        await cluster.contact(user)
    cluster.smtp.silent = True
    notification = await cluster.publish(cluster.a, recipients=users, fallback=[{"channel": "email", "unless": None}])
    async with asyncio.timeout(PATIENCE):
        while "sending" not in await states(cluster, notification):
            pass
    await asyncio.to_thread(cluster.worker.kill)
    cluster.smtp.silent = False
    await asyncio.to_thread(cluster.worker.start)
    assert await cluster.endings(cluster.a, notification) == dict.fromkeys(users, "sent")
    assert sorted(cluster.smtp.recipients) == sorted(f"{user}@example.com" for user in users)


async def states(cluster: Cluster, notification: str) -> set[str]:
    state = (await cluster.http.get(f"{cluster.a.url}/v1/notifications/{notification}")).json()
    return {delivery["state"] for delivery in state["deliveries"]}


EVERYBODY = wire.AudienceIn(broadcast=True)


async def test_what_crashed_before_it_was_told_is_told_by_another(cluster: Cluster, postgres_url: str) -> None:
    """A client hears of it within seconds."""
    ada = Device("ada")
    async with ada.connected(cluster.a):
        for recipients in (["ada"], EVERYBODY):
            async with mute(postgres_url) as hub:
                outcome = await hub.notifications.publish("default", wire.PublishIn(recipients=recipients, title="t"))
            notification = msgspec.json.decode(outcome.body)["id"]
            await ada.until(lambda notification=notification: notification in ada.client.items)


async def test_a_topics_news_reach_its_members_on_every_node_whatever_redis_loses(
    cluster: Cluster, postgres_url: str, flushed_redis_url: str
) -> None:
    ada, grace = Device("ada"), Device("grace")
    members = f"{cluster.a.url}/v1/topics/news/members"
    async with ada.connected(cluster.a), grace.connected(cluster.b):
        assert (await cluster.http.put(members, json={"users": ["ada", "grace"]})).json() == {"changed": 2}
        first = await cluster.publish(cluster.a, recipients={"topic": "news"})
        for device in (ada, grace):
            await device.until(lambda device=device: first in device.client.items)
        await grace.send(type="read", ids=[first])
        await grace.until(lambda: grace.client.counts == {"unread": 0, "unseen": 0})
        left = await cluster.http.request("DELETE", members, json={"users": ["ada"]})
        assert left.json() == {"changed": 1}
        second = await cluster.publish(cluster.b, recipients={"topic": "news"})
        for_all = await cluster.publish(cluster.b, recipients={"broadcast": True})
        await grace.until(lambda: {second, for_all} <= set(grace.client.items))
        await ada.until(lambda: for_all in ada.client.items)
        for device in (ada, grace):
            await device.until(lambda device=device: device.client.counts == {"unread": 2, "unseen": 2})
        # Nobody is told of this one, and no wake-up row is left to tell of it; then Redis drops its subscribers.
        async with mute(postgres_url) as hub:
            outcome = await hub.notifications.publish("default", wire.PublishIn(recipients=EVERYBODY, title="t"))
            await hub.upkeep.republish_leftovers()
        lost = msgspec.json.decode(outcome.body)["id"]
        with redis.Redis.from_url(flushed_redis_url, protocol=2) as client:
            client.client_kill_filter(_type="pubsub")
        for device in (ada, grace):
            await device.until(lambda device=device: lost in device.client.items)
    assert set(ada.client.items) == {first, for_all, lost}
    for device in (ada, grace):
        inbox = await read_inbox(cluster.a, device.client.user)
        assert {item["id"] for item in inbox["data"]} == set(device.client.items)
