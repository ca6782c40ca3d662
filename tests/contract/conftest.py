"""Fixtures of the contract suites: every port's SQL adapter on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub.ports import DeliveryQueue, PersonalData, SharedLog
from hub.ports.operating import QueueControl
from hub.store.deliveries import SqlDeliveryQueue
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.personal import SqlPersonalData
from hub.store.queue_control import SqlQueueControl
from hub.store.shared import SqlSharedLog
from tests.support.rows import Rows


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(database_url)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def store(database: Database) -> SqlInboxStore:
    return SqlInboxStore(database)


@pytest.fixture
def log(database: Database) -> SharedLog:
    return SqlSharedLog(database)


@pytest.fixture
def queue(database: Database) -> DeliveryQueue:
    return SqlDeliveryQueue(database)


@pytest.fixture
def control(database: Database) -> QueueControl:
    return SqlQueueControl(database)


@pytest.fixture
def personal(database: Database) -> PersonalData:
    return SqlPersonalData(database)


@pytest.fixture
def rows(database: Database) -> Rows:
    return Rows(database)
