"""Clients by the thousand on one event loop, and what all of them saw."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

import httpx2

from tests.support.member import PATIENCE, Cut, Json, Member, Refused, Transport
from tests.support.reference_client import version_of

AT_ONCE = 100
"""How many connect at the same time while a fleet is put up, and how many REST calls run at the same time."""

LONGEST = 300.0
"""Seconds after which a fleet that is not live, or not settled, is given up: a net below tests that would hang."""

_LOOK_EVERY = 0.05


class Fleet:
    """Implements `member.Home`. Its dice are seeded: the same fleet makes the same choices."""

    def __init__(self, token: Callable[[str], str], *, seed: int = 1, back_off: float = 1.0) -> None:
        self.members: list[Member] = []
        self.dice = random.Random(seed)
        self.back_off = back_off
        self.handshakes: list[float] = []
        """When servers took a connection, by the loop's clock."""
        self.refusals: list[Refused] = []
        self.latencies: list[int] | None = None
        """Nanoseconds from publishing to reading of live items that carry `data.at`; None: not noted."""
        self.faults: list[str] = []
        """How servers broke the protocol."""
        self._issue = token
        self._tokens: dict[str, str] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        limits = httpx2.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._http = httpx2.AsyncClient(timeout=PATIENCE, trust_env=False, limits=limits)

    # What tests do

    def add(self, user: str, ports: Sequence[int], transport: Transport, *, by_frame: bool = False) -> Member:
        """Make a member that is not connected yet."""
        member = Member(self, user, ports, transport, by_frame=by_frame)
        self.members.append(member)
        return member

    async def put_up(self, users: Sequence[str], ports: Sequence[int], devices: int = 1) -> None:
        """Connect so many devices of each user, WebSocket and SSE and the ports by turns, to stay whatever happens."""
        kinds = list(Transport)
        for number, user in enumerate(users):
            for device in range(devices):
                place = number + device
                first = place // len(kinds) % len(ports)
                self.add(user, [*ports[first:], *ports[:first]], kinds[place % len(kinds)])
        async with asyncio.timeout(LONGEST):
            await asyncio.gather(*map(self._begin, self.members))

    async def live(self) -> None:
        """Wait until every member is live."""
        async with asyncio.timeout(LONGEST):
            for member in self.members:
                await member.live.wait()

    async def settle(self, port: int) -> None:
        """Wait until all members hold what the database holds, and check that they do: items, cursor and badge."""
        by_user: dict[str, list[Member]] = {}
        for member in self.members:
            by_user.setdefault(member.user, []).append(member)
        behind = set(self.members)
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST), asyncio.TaskGroup() as group:
                for user, members in by_user.items():
                    group.create_task(self._settle(port, user, members, behind))
        assert not {(member.user, member.transport, member.client.cursor) for member in behind}
        self.check()

    def check(self) -> None:
        """Check that no server broke the protocol and that nobody was told anything twice."""
        assert not self.faults
        assert not [member.user for member in self.members if member.doubled]

    async def close(self) -> None:
        """Take everybody away, rudely, and forget them."""
        members, self.members = self.members, []
        await asyncio.gather(*(member.leave(rudely=True) for member in members))
        await self._http.aclose()

    async def _begin(self, member: Member) -> None:
        async with self._slots:
            member.stay()
            await member.live.wait()

    async def _settle(self, port: int, user: str, members: Iterable[Member], behind: set[Member]) -> None:
        async with self._slots:
            items, cursor = await self.inbox(port, user)
        truth = {item["id"]: item for item in items}
        unread = sum(item["read_at"] is None for item in items)
        unseen = sum(item["seen_at"] is None for item in items)
        for member in members:
            await member.live.wait()
            await member.reach(cursor)
            await member.live.wait()
            client = member.client
            assert client.cursor is not None
            assert version_of(client.cursor) == version_of(cursor)
            assert client.items == truth
            assert client.counts == {"unread": unread, "unseen": unseen}
            behind.discard(member)

    # Home

    def token(self, user: str) -> str:
        token = self._tokens.get(user)
        if token is None:
            token = self._tokens[user] = self._issue(user)
        return token

    async def inbox(self, port: int, user: str) -> tuple[list[Json], str]:
        """Read what is listed; `settle` is for inboxes where nothing is archived or snoozed."""
        items: list[Json] = []
        query = {"limit": "100"}
        cursor = None
        headers = {"Authorization": f"Bearer {self.token(user)}"}
        while True:
            try:
                answer = await self._http.get(f"http://127.0.0.1:{port}/v1/inbox", params=query, headers=headers)
            except httpx2.TransportError as error:
                raise Cut from error
            assert answer.status_code == 200, answer.text
            page = answer.json()
            items += page["data"]
            cursor = cursor or page["cursor"]
            if not page["has_more"]:
                return items, cursor
            query["after"] = page["next"]

    def took(self) -> None:
        self.handshakes.append(asyncio.get_running_loop().time())

    def turned_away(self, refusal: Refused) -> None:
        self.refusals.append(refusal)

    def blame(self, member: Member, error: Exception) -> None:
        self.faults.append(f"{member.user} by {member.transport.value}: {error!r}")

    def delivered(self, latency: int) -> None:
        if self.latencies is not None:
            self.latencies.append(latency)


@asynccontextmanager
async def open_fleet(token: Callable[[str], str], *, seed: int = 1) -> AsyncIterator[Fleet]:
    """Have a fleet for the length of a block; nobody stays behind."""
    fleet = Fleet(token, seed=seed)
    try:
        yield fleet
    finally:
        await fleet.close()


@asynccontextmanager
async def lateness() -> AsyncIterator[Callable[[], float]]:
    """Yield what tells by how many seconds, at worst, this loop has noticed something too late so far."""
    worst = 0.0

    async def look() -> None:
        nonlocal worst
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LOOK_EVERY
            await asyncio.sleep(_LOOK_EVERY)
            worst = max(worst, loop.time() - due)

    looking = asyncio.create_task(look())
    try:
        yield lambda: worst
    finally:
        looking.cancel()


def busiest(moments: Sequence[float], seconds: float) -> int:
    """Return how many of the moments (ascending) fall into the fullest window of so many seconds."""
    most = start = 0
    for end, moment in enumerate(moments):
        while moment - moments[start] > seconds:
            start += 1
        most = max(most, end - start + 1)
    return most
