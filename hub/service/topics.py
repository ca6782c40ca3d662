"""Topics: who is a member, and how far each has got."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from hub.core import frames, wire
from hub.core.errors import InvalidRequest
from hub.core.model import BROADCAST, InboxKey, MembershipChange, TopicHead, TopicKey
from hub.core.text import check_id, check_topic
from hub.ports import Clock, SharedLog
from hub.service.outbox import Outbox

MAX_MEMBERS = 10_000
"""Users in one call."""


class Following(NamedTuple):
    """Which topics a user is a member of, and which they have left: what they saw of those may still be recalled.

    Whoever joined or left up to the position `as_of` of the log is taken into account.
    """

    member: tuple[TopicKey, ...]
    left: tuple[TopicKey, ...]
    as_of: int


class Topics:
    """Named groups of users. A topic exists once it is used; nobody has to make it, and none is deleted."""

    def __init__(self, log: SharedLog, outbox: Outbox, clock: Clock) -> None:
        self._log = log
        self._outbox = outbox
        self._clock = clock

    async def join(self, tenant: str, topic: str, request: wire.MembersIn) -> wire.MembersChangedOut:
        """Make users members: they see what is published from now on.

        Raises:
            InvalidRequest: nobody, too many, or nobody's id; nothing is changed.

        """
        users = _users(request)
        check_topic(topic, "topic")
        change = await self._log.join(tenant, topic, users, self._clock.now())
        return await self._told(TopicKey(tenant, topic), change)

    async def leave(self, tenant: str, topic: str, request: wire.MembersIn) -> wire.MembersChangedOut:
        """End memberships: what is published from now on is not for these users. Raises as `join` does."""
        users = _users(request)
        check_topic(topic, "topic")
        change = await self._log.leave(tenant, topic, users, self._clock.now())
        return await self._told(TopicKey(tenant, topic), change)

    async def members(self, tenant: str, topic: str, after: str | None, limit: int) -> wire.MembersOut:
        """List members, in bytewise order of their ids.

        Raises:
            InvalidRequest: `after` is not the `next` of another page.

        """
        if after is not None:
            check_id(after, "after")
        found = await self._log.members(tenant, topic, after or "", limit + 1)
        page, has_more = list(found[:limit]), len(found) > limit
        return wire.MembersOut(data=page, has_more=has_more, next=page[-1] if has_more else None)

    async def of_user(self, key: InboxKey) -> wire.TopicsOut:
        """List what a user is a member of."""
        return wire.TopicsOut(data=list((await self._log.topics_of([key])).get(key, ())))

    async def following(self, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Following]:
        """Read which topics have news for users, in a few queries a tenant."""
        found: dict[InboxKey, Following] = {}
        tenants: defaultdict[str, list[InboxKey]] = defaultdict(list)
        for key in keys:
            tenants[key.tenant].append(key)
        # First: the memberships of this moment at least.
        logs = await self.log_positions(tenants)
        for tenant, of_tenant in tenants.items():
            as_of = logs[tenant]
            ever = await self._log.topics_of(of_tenant, left=True) if as_of else {}
            now = await self._log.topics_of(list(ever)) if ever else {}
            for key in of_tenant:
                member = (BROADCAST, *now.get(key, ()))
                left = (name for name in ever.get(key, ()) if name not in member)
                found[key] = Following(_keys(tenant, member), _keys(tenant, left), as_of)
        return found

    async def log_positions(self, tenants: Collection[str]) -> Mapping[str, int]:
        """Read the last position that was taken in each tenant's log; 0: nobody has ever joined or published."""
        return await self._log.log_positions(tenants)

    async def heads(self, topics: Sequence[TopicKey]) -> Mapping[TopicKey, TopicHead]:
        """Read how far topics have got, in one query a tenant."""
        names: defaultdict[str, list[str]] = defaultdict(list)
        for tenant, topic in topics:
            names[tenant].append(topic)
        found: dict[TopicKey, TopicHead] = {}
        for tenant, of_tenant in names.items():
            heads = await self._log.topic_heads(tenant, of_tenant)
            found |= {TopicKey(tenant, topic): head for topic, head in heads.items()}
        return found

    async def _told(self, key: TopicKey, change: MembershipChange) -> wire.MembersChangedOut:
        """Tell the nodes of those who joined or left, so that they hear of the topic from now on, or no more.

        The nodes of the other members are told who it was, so that they are still sure of all others.
        """
        hints = [(InboxKey(key.tenant, user), cursor) for user, cursor in change.cursors.items()]
        if hints:
            await self._outbox.hint(hints, [change.wakeup], [(key, frames.members_change(change))])
        return wire.MembersChangedOut(changed=len(hints))


def _keys(tenant: str, names: Iterable[str]) -> tuple[TopicKey, ...]:
    return tuple(TopicKey(tenant, name) for name in names)


def _users(request: wire.MembersIn) -> Sequence[str]:
    count = len(request.users)
    if count == 0:
        raise InvalidRequest("name at least one user", pointer="$.users")
    if count > MAX_MEMBERS:
        raise InvalidRequest(f"names {count:,} users; at most {MAX_MEMBERS:,} are allowed in a call", pointer="$.users")
    return list(dict.fromkeys(check_id(user, f"$.users[{index}]") for index, user in enumerate(request.users)))
