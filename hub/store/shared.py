"""`SharedLog` on SQLAlchemy. What each transaction does is in the modules that this one calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from hub.core.errors import InvalidRequest
from hub.core.model import BROADCAST, InboxKey, MembershipChange, TopicHead, TopicKey
from hub.store import shared_members
from hub.store.engine import Database


class SqlSharedLog:
    """Memberships in PostgreSQL or SQLite; see `hub.ports.SharedLog` for what every method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def join(self, tenant: str, topic: str, users: Sequence[str], now: int) -> MembershipChange:
        """Make users members."""
        # Safe to repeat after an unknown COMMIT: it then changes nothing more, and the wake-up row tells of it.
        return await self._database.write(
            partial(
                shared_members.join, key=_joinable(tenant, topic), users=users, now=now, cluster=self._database.cluster
            )
        )

    async def leave(self, tenant: str, topic: str, users: Sequence[str], now: int) -> MembershipChange:
        """End memberships."""
        return await self._database.write(
            partial(
                shared_members.leave, key=_joinable(tenant, topic), users=users, now=now, cluster=self._database.cluster
            )
        )

    async def members(self, tenant: str, topic: str, after: str, limit: int) -> Sequence[str]:
        """Read one page of a topic's members."""
        key = TopicKey(tenant, topic)
        return await self._database.read(partial(shared_members.members, key=key, after=after, limit=limit))

    async def log_positions(self, tenants: Collection[str]) -> Mapping[str, int]:
        """Read the logs' counters."""
        return await self._database.read(partial(shared_members.log_positions, tenants=tenants))

    async def topics_of(self, keys: Sequence[InboxKey], *, left: bool = False) -> Mapping[InboxKey, Sequence[str]]:
        """Read which topics users are members of, or ever were."""
        if not keys:
            return {}
        return await self._database.read(partial(shared_members.topics_of, keys=keys, left=left))

    async def topic_heads(self, tenant: str, topics: Sequence[str]) -> Mapping[str, TopicHead]:
        """Read how far topics have got."""
        if not topics:
            return {}
        return await self._database.read(partial(shared_members.heads, tenant=tenant, names=topics))


def _joinable(tenant: str, topic: str) -> TopicKey:
    if topic == BROADCAST:
        raise InvalidRequest("a topic needs a name: everybody is a member of the broadcast already")
    return TopicKey(tenant, topic)
