"""What has been committed is told, once as a rule: the transactional outbox behind every change of an inbox."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from hub.core import frames
from hub.core.cursor import Cursor
from hub.core.errors import StoreUnavailable
from hub.core.model import InboxChange, InboxKey, SharedEvent, SharedWakeup, TopicKey, Untold
from hub.core.wire import LiveChange, SharedChange
from hub.ports import Bus, InboxStore, News

_SETTLE_BATCH = 200


class Outbox:
    """Publishes committed changes on the bus, and settles their wake-up rows; a row that stays is told again."""

    def __init__(self, store: InboxStore, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._told: list[UUID] = []
        """Wake-up rows that have been told and wait to be deleted together."""

    async def tell(
        self,
        changes: Sequence[InboxChange],
        wakeups: Sequence[SharedWakeup | None],
        shared: Sequence[tuple[TopicKey, SharedChange]] = (),
    ) -> Sequence[LiveChange]:
        """Tell whoever is connected, and return what they were told of their own inboxes, in order.

        Fails for neither bus nor store: what could not be told, or was told and not settled, is told later.
        """
        live = [frames.live_change(change) for change in changes]
        news: list[News] = [(change.key, said) for change, said in zip(changes, live, strict=True)]
        await self._publish([*news, *shared], wakeups)
        return live

    async def tell_applied(self, applied: Sequence[Untold]) -> None:
        """Tell what the store did for several inboxes or topics at once; fails for neither bus nor store."""
        changes = [what for what, _ in applied if isinstance(what, InboxChange)]
        shared = [(what.key, frames.shared_change(what)) for what, _ in applied if isinstance(what, SharedEvent)]
        await self.tell(changes, [wakeup for _, wakeup in applied], shared)

    async def hint(
        self,
        cursors: Sequence[tuple[InboxKey, Cursor]],
        wakeups: Sequence[SharedWakeup | None],
        shared: Sequence[tuple[TopicKey, SharedChange]] = (),
    ) -> bool:
        """Tell whoever is connected how far inboxes have got, without what changed; False: not all heard.

        As `tell` does, it fails for neither bus nor store.
        """
        news: list[News] = [(key, LiveChange(cursor.epoch, cursor.version, "change")) for key, cursor in cursors]
        return await self._publish([*shared, *news], wakeups)

    async def settle_told(self) -> None:
        """Delete the rows of what has been told.

        Raises:
            StoreUnavailable: they may stay, to be told once more.

        """
        told, self._told = self._told, []
        if told:
            await self._store.settle_wakeups(told)

    async def _publish(self, news: Sequence[News], wakeups: Sequence[SharedWakeup | None]) -> bool:
        whole = not news or await self._bus.publish(news)
        if whole:
            await self._settle(wakeups)
        return whole

    async def _settle(self, wakeups: Sequence[SharedWakeup | None]) -> None:
        """Remember rows to delete with a later commit: a commit of its own would double the cost of a publish."""
        self._told += [wakeup.id for wakeup in wakeups if wakeup is not None and wakeup.told()]
        if len(self._told) >= _SETTLE_BATCH:
            # What the caller asked for is committed and told; rows that stay are told once more by a sweeper.
            with suppress(StoreUnavailable):
                await self.settle_told()
