"""What is held about a user: handing it over, and erasing it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from hub.core import exports, wire
from hub.core.errors import NotFound
from hub.core.model import InboxKey, Person
from hub.ports import Clock, PersonalData
from hub.service.access import Access

_PAGE = 100
"""Notifications read at once: with the largest contents about 8 MB."""

_SCHEDULES = 20
"""Schedules read at once; what one publishes can be 1 MiB."""


class Privacy:
    """A user's rights to what is theirs."""

    def __init__(self, data: PersonalData, access: Access, clock: Clock) -> None:
        self._data = data
        self._access = access
        self._clock = clock

    async def export(self, key: InboxKey) -> AsyncIterator[bytes]:
        """Begin to write everything that is held about a user, as the JSON of a `wire.ExportOut` in pieces.

        It is read page by page, so what changes meanwhile may be told in part; no page contradicts itself.

        Raises:
            NotFound: nothing is held about this user.
            StoreUnavailable: now, or from the pieces.

        """
        person = await self._data.person(key)
        if not (
            person.known or await self._data.schedules(key, None, 1) or await self._data.notifications(key, None, 1)
        ):
            raise NotFound("nothing is held about this user")
        return self._pieces(key, person)

    async def _pieces(self, key: InboxKey, person: Person) -> AsyncIterator[bytes]:
        yield exports.opening(key.user, person, self._clock.now())
        after, separator = None, b""
        while schedules := await self._data.schedules(key, after, _SCHEDULES):
            yield separator + b",".join(msgspec.json.encode(exports.named_in_view(each)) for each in schedules)
            after, separator = schedules[-1].id, b","
        yield exports.BETWEEN
        after, separator = None, b""
        while page := await self._data.notifications(key, after, _PAGE):
            written = [msgspec.json.encode(exports.notification_view(held)) for held in page]
            yield separator + b",".join(written)
            after, separator = page[-1].content.id, b","
        yield exports.CLOSING

    async def erase(self, key: InboxKey) -> None:
        """Erase everything that is held about a user, and close their connections on all nodes.

        Whatever breaks it off, calling it again goes on; nothing is left to erase is no error. The user's tokens are
        the app's: whoever still has one may connect again, to an empty inbox.

        Raises:
            StoreUnavailable: a part may be erased.
            Unavailable: all is erased, but the other nodes cannot be told to close connections.

        """
        while await self._data.erase_some(key):
            pass
        await self._access.disconnect(key, wire.DisconnectIn())
