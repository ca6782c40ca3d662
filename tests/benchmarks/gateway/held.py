"""Real, committed changes, told on the bus at a moment of our choosing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from pydantic import SecretStr

from hub.app import open_parts
from hub.bus.memory import MemoryBus
from hub.core import wire
from hub.core.cursor import Cursor
from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from hub.keyring import DEFAULT_TENANT
from hub.ports import Bus, News
from hub.service import Hub
from hub.settings import Settings
from hub.store.directory import SqlDirectory
from hub.store.inbox import SqlInboxStore
from hub.store.personal import SqlPersonalData
from hub.store.schedules import SqlScheduleStore
from hub.store.shared import SqlSharedLog
from hub.store.tickets import SqlTicketStore
from tests.benchmarks.gateway.bellwire import API_KEY, JWT_SECRET, Services
from tests.benchmarks.gateway.streams import EVERYBODY, mark


class _HeldBus(MemoryBus):
    """Keeps what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[InboxKey, LiveChange]] = []

    async def publish(self, news: Sequence[News]) -> bool:
        for told in news:
            match told:
                case (InboxKey() as key, LiveChange() as change):
                    self.changes.append((key, change))
        return True


class HeldPublisher:
    """Publishes through the hub's own use cases, in this process; the gateway hears of it with `tell`."""

    def __init__(self, hub: Hub, held: _HeldBus, bus: Bus) -> None:
        self._hub = hub
        self._held = held
        self._bus = bus

    async def commit(self, title: str, users: Sequence[str]) -> None:
        """Commit a notification; nobody hears of it yet."""
        await self._hub.notifications.publish(DEFAULT_TENANT, wire.PublishIn(recipients=users, title=title))

    def address(self, number: int, names: Mapping[str, int]) -> None:
        """Make each user's message their own: put the user's number in the place of everybody's in the frame.

        The length stays, so does all that the gateway looks at; a message that reaches the wrong user is noticed.
        """
        everybody = mark(number, EVERYBODY).encode()
        self._held.changes = [
            (
                key,
                LiveChange(
                    change.epoch, change.version, change.event, _own(change, everybody, number, names[key.user])
                ),
            )
            for key, change in self._held.changes
        ]

    async def tell(self) -> None:
        """Publish on the gateway's Redis all that was committed, at once."""
        changes, self._held.changes = self._held.changes, []
        if not await self._bus.publish(changes):
            raise RuntimeError("Redis did not take the changes")

    async def settle(self) -> None:
        """Delete the wake-up rows of what has been told, as every node does each second."""
        await self._hub.upkeep.republish_leftovers()
        self._held.changes.clear()

    async def cursors(self, users: Sequence[str]) -> Mapping[str, Cursor]:
        """Read where users' inboxes are."""
        found = await self._hub.inbox.versions([InboxKey(DEFAULT_TENANT, user) for user in users])
        return {key.user: cursor for key, cursor in found.items()}


@asynccontextmanager
async def held_publisher(on: Services) -> AsyncIterator[HeldPublisher]:
    """Open the parts of a node in this process, with a bus in between that holds back what is published."""
    settings = Settings(
        database_url=on.postgres_url,
        redis_url=on.redis_url,
        api_key=SecretStr(API_KEY),
        jwt_secret=SecretStr(JWT_SECRET),
    )
    async with open_parts(settings) as parts:
        held = _HeldBus()
        hub = Hub(
            inbox=SqlInboxStore(parts.database),
            log=SqlSharedLog(parts.database),
            directory=SqlDirectory(parts.database),
            personal=SqlPersonalData(parts.database),
            tickets=SqlTicketStore(parts.database),
            schedules=SqlScheduleStore(parts.database),
            bus=held,
            presence=parts.presence,
            clock=parts.hub.clock,
            revoked=parts.revoked,
        )
        yield HeldPublisher(hub, held, parts.bus)


def _own(change: LiveChange, everybody: bytes, number: int, recipient: int) -> bytes | None:
    return change.frame and change.frame.replace(everybody, mark(number, recipient).encode())
