"""The REST interface in this process: the real use cases on SQLite and the memory bus, called by a real HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette

from hub.api.metrics import node_registry
from hub.api.problems import exception_handlers
from hub.api.routes import api_routes
from hub.bus.memory import MemoryBus, MemoryPresence
from hub.core.errors import PROBLEM_BASE
from hub.core.mailbox import DevMailbox
from hub.core.model import InboxKey
from hub.keyring import Keyring, KeyringEntry
from hub.revoked import RevokedTokens, RevokingAuthenticator
from hub.service import Hub, Operations
from hub.settings import Settings
from hub.store.directory import SqlDirectory
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.personal import SqlPersonalData
from hub.store.queue_control import SqlQueueControl
from hub.store.revocations import SqlRevocations
from hub.store.schedules import SqlScheduleStore
from hub.store.shared import SqlSharedLog
from hub.store.tickets import SqlTicketStore
from hub.store.worker_reports import SqlWorkerReports
from tests.support.clock import ManualClock

API_KEY = "the-default-tenants-api-key"
ACME_KEY = "the-api-key-of-acme"
KEYS = (
    KeyringEntry("default", "default", API_KEY, "default-secret-of-at-least-32-bytes!"),
    KeyringEntry("acme", "acme", ACME_KEY, "acme-secret-that-is-another-32-bytes"),
)
LOCAL = ("127.0.0.1", 50_000)
PUBLISHER = {"Authorization": f"Bearer {API_KEY}"}
HOUR = 3_600_000


@dataclass
class Api:
    """The interface under test, with the clock and the mailbox behind it."""

    app: Starlette
    hub: Hub
    clock: ManualClock
    keyring: Keyring
    mailbox: DevMailbox
    database: Database
    presence: MemoryPresence
    draining: list[bool] = field(default_factory=lambda: [False])

    def client(
        self, *, base_url: str = "http://127.0.0.1:8000", address: tuple[str, int] = LOCAL
    ) -> httpx2.AsyncClient:
        """Return a client that connects from `address`; what the app raises is answered, as a server would."""
        transport = httpx2.ASGITransport(self.app, client=address, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url=base_url)

    def user(self, user: str = "ada", tenant: str = "default") -> dict[str, str]:
        """Return the headers of a user."""
        return {"Authorization": f"Bearer {self.keyring.issue(InboxKey(tenant, user), self.clock.now(), HOUR)}"}


@asynccontextmanager
async def open_api(database_url: str, settings: Settings | None = None) -> AsyncIterator[Api]:
    """Put the interface together."""
    settings = settings or Settings(data_dir=Path("unused"))
    database = await open_database(database_url)
    clock = ManualClock()
    bus, presence = MemoryBus(), MemoryPresence(born=0)
    revoked = RevokedTokens(SqlRevocations(database), clock)
    hub = Hub(
        inbox=SqlInboxStore(database),
        log=SqlSharedLog(database),
        directory=SqlDirectory(database),
        personal=SqlPersonalData(database),
        tickets=SqlTicketStore(database),
        schedules=SqlScheduleStore(database),
        bus=bus,
        presence=presence,
        clock=clock,
        revoked=revoked,
        schedules_per_tenant=settings.schedules_per_tenant,
    )
    keyring, mailbox, draining = Keyring(KEYS), DevMailbox(), [False]
    routes = api_routes(
        hub,
        RevokingAuthenticator(keyring, revoked),
        settings,
        operations=Operations(SqlQueueControl(database), SqlWorkerReports(database), presence, bus, clock),
        draining=lambda: draining[0],
        metrics=node_registry(),
        mailbox=mailbox,
        keyring=keyring,
    )
    app = Starlette(routes=routes, exception_handlers=exception_handlers)
    try:
        yield Api(app, hub, clock, keyring, mailbox, database, presence, draining)
    finally:
        await bus.close()
        await database.close()


def problem(response: httpx2.Response, status: int, slug: str, pointer: str | None = None) -> dict[str, Any]:
    """Check that the answer is this problem, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    body: dict[str, Any] = response.json()
    assert body["type"] == PROBLEM_BASE + slug
    assert body["status"] == status
    assert body["title"]
    assert len(body["detail"]) <= 500
    if pointer is not None:
        assert body["pointer"] == pointer
    return body
