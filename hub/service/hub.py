"""The use cases put together."""

from __future__ import annotations

from hub.ports import Bus, Clock, Directory, InboxStore, PersonalData, Presence, ScheduleStore, SharedLog, TicketStore
from hub.revoked import RevokedTokens
from hub.service.access import Access
from hub.service.inbox import Inbox
from hub.service.notifications import Notifications
from hub.service.outbox import Outbox
from hub.service.privacy import Privacy
from hub.service.schedules import MAX_SCHEDULES, Schedules
from hub.service.topics import Topics
from hub.service.upkeep import Upkeep
from hub.service.users import Users


class Hub:
    """All use cases over the ports, by subject: `hub.notifications.publish(…)`, `hub.inbox.mark(…)`."""

    def __init__(
        self,
        *,
        inbox: InboxStore,
        log: SharedLog,
        directory: Directory,
        personal: PersonalData,
        tickets: TicketStore,
        schedules: ScheduleStore,
        bus: Bus,
        presence: Presence,
        clock: Clock,
        revoked: RevokedTokens,
        schedules_per_tenant: int = MAX_SCHEDULES,
    ) -> None:
        outbox = Outbox(inbox, bus)
        self.notifications = Notifications(inbox, outbox, bus, clock)
        self.schedules = Schedules(schedules, self.notifications, bus, clock, limit=schedules_per_tenant)
        self.inbox = Inbox(inbox, outbox, bus, clock)
        self.topics = Topics(log, outbox, clock)
        self.users = Users(directory, presence, clock)
        self.access = Access(tickets, revoked, bus, clock)
        self.privacy = Privacy(personal, self.access, clock)
        self.upkeep = Upkeep(inbox, outbox, clock)
        self.clock = clock
        self.revoked = revoked
        self._store = inbox
        self._bus = bus

    async def ready(self) -> dict[str, bool]:
        """Tell whether the parts that this process needs can be reached.

        Raises:
            StoreUnavailable: the database is away.

        """
        await self._store.next_timer()
        return {"database": True, "bus": await self._bus.healthy()}
