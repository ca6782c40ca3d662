"""Topics: who is a member, and how far each has got."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hub.core import wire
from hub.core.errors import InvalidRequest
from hub.core.model import BROADCAST, InboxKey, MembershipChange, TopicKey
from hub.core.text import check_id, check_topic
from hub.ports import Clock, SharedLog
from hub.service.outbox import Outbox

MAX_MEMBERS = 10_000
"""Users in one call."""


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
        return await self._told(tenant, await self._log.join(tenant, topic, users, self._clock.now()))

    async def leave(self, tenant: str, topic: str, request: wire.MembersIn) -> wire.MembersChangedOut:
        """End memberships: what is published from now on is not for these users. Raises as `join` does."""
        users = _users(request)
        check_topic(topic, "topic")
        return await self._told(tenant, await self._log.leave(tenant, topic, users, self._clock.now()))

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

    async def heard_by(self, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Sequence[TopicKey]]:
        """Read which topics have news for users, in one query: those they are members of, and those they have left.

        What a user saw before leaving may still be recalled.
        """
        found = await self._log.topics_of(keys, left=True)
        return {key: [TopicKey(key.tenant, name) for name in (BROADCAST, *found.get(key, ()))] for key in keys}

    async def positions(self, topics: Sequence[TopicKey]) -> Mapping[TopicKey, int]:
        """Read the positions of topics' last events, in one query a tenant; 0 where there has been none."""
        names: defaultdict[str, list[str]] = defaultdict(list)
        for tenant, topic in topics:
            names[tenant].append(topic)
        found: dict[TopicKey, int] = {}
        for tenant, of_tenant in names.items():
            positions = await self._log.topic_positions(tenant, of_tenant)
            found |= {TopicKey(tenant, topic): position for topic, position in positions.items()}
        return found

    async def _told(self, tenant: str, change: MembershipChange) -> wire.MembersChangedOut:
        """Tell the nodes of those who joined or left, so that they hear of the topic from now on, or no more."""
        hints = [(InboxKey(tenant, user), cursor) for user, cursor in change.cursors.items()]
        await self._outbox.hint(hints, [change.wakeup])
        return wire.MembersChangedOut(changed=len(hints))


def _users(request: wire.MembersIn) -> Sequence[str]:
    count = len(request.users)
    if count == 0:
        raise InvalidRequest("name at least one user", pointer="$.users")
    if count > MAX_MEMBERS:
        raise InvalidRequest(f"names {count:,} users; at most {MAX_MEMBERS:,} are allowed in a call", pointer="$.users")
    return list(dict.fromkeys(check_id(user, f"$.users[{index}]") for index, user in enumerate(request.users)))
