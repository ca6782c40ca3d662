"""Topics: who follows what, and how far each has got."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from hub.core.model import InboxKey, MembershipChange, TopicHead


class SharedLog(Protocol):
    """Memberships of topics. What is published to one is in `InboxStore`, merged with the users' own items.

    Everybody is a member of `BROADCAST` from the moment when their inbox is made: it is not joined or left, and
    neither `members` nor `topics_of` tells of it.
    """

    async def join(self, tenant: str, topic: str, users: Sequence[str], now: int) -> MembershipChange:
        """Make users members: they see what is published from now on. Up to 10,000, in one transaction.

        The topic is made if there is none, and so are the inboxes of users never heard of. Who joins again after
        having left keeps what they saw before, and misses what was published in between.
        """
        ...

    async def leave(self, tenant: str, topic: str, users: Sequence[str], now: int) -> MembershipChange:
        """End memberships: what is published from now on is not for them; what they have already, they keep."""
        ...

    async def members(self, tenant: str, topic: str, after: str, limit: int) -> Sequence[str]:
        """Read the ids of members that follow `after` ("" from the first), in bytewise order."""
        ...

    async def log_positions(self, tenants: Collection[str]) -> Mapping[str, int]:
        """Read the last position that was taken in each tenant's log; 0: nobody has ever joined or published."""
        ...

    async def topics_of(self, keys: Sequence[InboxKey], *, left: bool = False) -> Mapping[InboxKey, Sequence[str]]:
        """Read which topics users are members of, in bytewise order; those without any are left out.

        `left`: also those that they have left, of which an item that they keep may still be recalled.
        """
        ...

    async def topic_heads(self, tenant: str, topics: Sequence[str]) -> Mapping[str, TopicHead]:
        """Read how far topics have got, `BROADCAST` included; for every name there is one."""
        ...
