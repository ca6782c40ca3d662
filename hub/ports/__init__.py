"""What the use cases need from the outside, as small protocols.

Every adapter of a port passes the port's contract suite (`tests/contract/`). Times are milliseconds since the
epoch and come from the `Clock`, never from an adapter's own. All methods may raise `StoreUnavailable` when the
database is out of reach after retries (`BusUnavailable` does not exist: the bus is a hint and never fails a caller).
"""

from hub.ports.access import EVERYBODY, Authenticator, Identity, Revocation, Revocations, TicketStore
from hub.ports.alerts import Alerts, Outages
from hub.ports.bus import Bus, BusListener, News
from hub.ports.clock import Clock
from hub.ports.expansions import Expanded, ExpansionKey, Expansions
from hub.ports.inbox import InboxStore
from hub.ports.personal import PersonalData
from hub.ports.presence import OFFLINE_AFTER, PRESENCE_TTL, Presence, PresenceEntry, PresenceState
from hub.ports.queue import Claim, DeliveryQueue, Lane, Settlement
from hub.ports.rates import RateLimiter
from hub.ports.retention import ArchiveFile, Retention, Shelf
from hub.ports.schedules import Change, NewSchedule, ScheduleStore
from hub.ports.shared import SharedLog
from hub.ports.users import Directory

__all__ = [
    "EVERYBODY",
    "OFFLINE_AFTER",
    "PRESENCE_TTL",
    "Alerts",
    "ArchiveFile",
    "Authenticator",
    "Bus",
    "BusListener",
    "Change",
    "Claim",
    "Clock",
    "DeliveryQueue",
    "Directory",
    "Expanded",
    "ExpansionKey",
    "Expansions",
    "Identity",
    "InboxStore",
    "Lane",
    "NewSchedule",
    "News",
    "Outages",
    "PersonalData",
    "Presence",
    "PresenceEntry",
    "PresenceState",
    "RateLimiter",
    "Retention",
    "Revocation",
    "Revocations",
    "ScheduleStore",
    "Settlement",
    "SharedLog",
    "Shelf",
    "TicketStore",
]
