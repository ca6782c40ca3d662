"""Closing the connections of users who are told to go."""

from __future__ import annotations

import asyncio

from hub.core.frames import CloseCode
from hub.core.model import InboxKey
from hub.gateway.connection import Connection
from hub.gateway.registry import Registry
from hub.gateway.tasks import Tasks
from hub.ports import EVERYBODY
from hub.revoked import RevokedTokens

BATCH = 100
"""Users whose connections are closed before others get their turn on the loop."""


class Revoking:
    """Holds that no connection outlives its token's revocation, as far as this process knows of it.

    Whoever is registered when it learns of one is closed then; whoever registers later is checked by `admits`:
    between the check of the token and that moment something may have been revoked.
    """

    def __init__(self, registry: Registry, revoked: RevokedTokens, tasks: Tasks) -> None:
        self._registry = registry
        self._revoked = revoked
        self._tasks = tasks
        revoked.on_news = self._close

    def disconnect(self, key: InboxKey) -> None:
        """Close a user's connections here; they may come back."""
        for connection in self._registry.connections(key):
            connection.fail("disconnected", "the connection was closed by the app", CloseCode.DISCONNECTED)

    def admits(self, key: InboxKey, connection: Connection) -> bool:
        """Tell whether a connection may be registered, and close it if it may not."""
        if not self._revoked.covers(key, connection.issued_at):
            return True
        connection.fail("token_revoked", "the token was revoked; get a new one", CloseCode.UNAUTHENTICATED)
        return False

    def _close(self, key: InboxKey) -> None:
        if key.user != EVERYBODY:
            self._close_revoked(key)
            return
        everybody = self._registry.keys()
        if keys := [each for each in everybody if each.tenant == key.tenant]:
            self._tasks.spawn(self._close_all(keys), "revoke")

    async def _close_all(self, keys: list[InboxKey]) -> None:
        for number, key in enumerate(keys, 1):
            self._close_revoked(key)
            if number % BATCH == 0:
                await asyncio.sleep(0)

    def _close_revoked(self, key: InboxKey) -> None:
        for connection in self._registry.connections(key):
            self.admits(key, connection)
