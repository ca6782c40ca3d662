"""Nodes publish to the same users and topics, some of it under the same keys, as fast as they can.

Meanwhile users mark, join and leave, and publishers recall. Whoever reads the verdict finds the figures in it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from hub.core.model import InboxKey
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from tests.support.cluster import Cluster, token
from tests.support.fleet import Fleet, open_fleet
from tests.support.member import Member, Transport
from tests.support.reference_client import place_of

QUIET = [f"quiet-{number}" for number in range(8)]
"""Nobody marks for them, and they stay members of what they are: all that moves their versions is published."""
BUSY = [f"busy-{number}" for number in range(24)]
USERS = [*QUIET, *BUSY]
TOPICS = ("news", "sport", "team")
PUBLISHERS, MARKERS = 4, 3
"""At each node."""
BATCH = 20
WATCHED = [*QUIET[:2], *BUSY[:2]]
"""Users with a device at every node."""
SAID = 5.0
"""Seconds between two lines that say how far it is."""

Json = dict[str, Any]


@dataclass
class Account:
    """What publishers were told, and what has been done."""

    ids: dict[str, str] = field(default_factory=dict)
    """By idempotency key."""
    stored: Counter[int] = field(default_factory=Counter)
    """Publishes that a node answered for as the first, by its number."""
    repeated: int = 0
    """Publishes that were answered for before."""
    marks: int = 0
    recalls: int = 0
    moves: int = 0
    """Calls that had users join or leave."""

    def note(self, node: int, key: str, result: Json) -> None:
        """Take the answer to one publish."""
        assert result["status"] == 201, result
        assert self.ids.setdefault(key, result["id"]) == result["id"], "a key gives one notification"
        if result.get("replayed"):
            self.repeated += 1
        else:
            self.stored[node] += 1


async def contention(cluster: Cluster, database_url: str, seconds: float) -> str:
    """Let them contend, check everything, and return the figures."""
    account = Account()
    async with await open_database(database_url) as database, open_fleet(token) as fleet:
        await _join(cluster)
        await _watch(cluster, fleet)
        before = await _versions(database)
        began = time.monotonic()
        deadline = began + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(_say(account, began, deadline))
            for node in range(len(cluster.nodes)):
                for number in range(PUBLISHERS):
                    group.create_task(_publish(cluster, account, node, number, deadline))
                for number in range(MARKERS):
                    group.create_task(_mark(cluster, account, node, number, deadline))
        took = time.monotonic() - began
        assert account.repeated
        await _check_keys(database, account)
        await _check_versions(database, before)
        await _check_counts(database)
        clients = list(fleet.members)
        for member in clients:
            await _check_client(cluster, fleet, member)
        assert fleet.faults == []
        deadlocks = await _deadlocks(database)
        repeats = sum(node.output.count("transaction_repeated") for node in cluster.nodes)
        assert (deadlocks, repeats) == (0, 0)
    speed = ", ".join(f"{account.stored[node] / took:.0f}" for node in range(len(cluster.nodes)))
    return (
        f"{sum(account.stored.values())} publishes in {took:.0f} s ({speed} a second, by node), {account.repeated} of "
        f"them told twice; {account.marks} marks, {account.moves} joins and leaves, {account.recalls} recalls; "
        f"{deadlocks} deadlocks, {repeats} transactions repeated; {len(USERS)} users, {len(TOPICS) + 1} topics and "
        f"{len(clients)} clients checked"
    )


async def _say(account: Account, began: float, deadline: float) -> None:
    while (now := time.monotonic()) < deadline:
        print(f"{now - began:5.1f} s: {dict(account.stored)} publishes, {account.marks} marks", flush=True)
        await asyncio.sleep(min(SAID, deadline - now))


# What is going on


async def _join(cluster: Cluster) -> None:
    for topic in TOPICS:
        await _members(cluster, 0, "PUT", topic, USERS)


async def _members(cluster: Cluster, node: int, method: str, topic: str, users: list[str]) -> None:
    address = f"{cluster.nodes[node].url}/v1/topics/{topic}/members"
    answer = await cluster.http.request(method, address, json={"users": users})
    assert answer.status_code == 200, answer.text


async def _watch(cluster: Cluster, fleet: Fleet) -> None:
    for user in WATCHED:
        for number in range(len(cluster.ports)):
            kinds = list(Transport)
            ports = [*cluster.ports[number:], *cluster.ports[:number]]
            member = fleet.add(user, ports, kinds[(number + len(fleet.members) // 2) % len(kinds)])
            member.stay()
    await fleet.live()


def _request(key: str) -> Json:
    """Make what is published under a key: the same, whoever asks."""
    dice = random.Random(key)
    audience: Any = dice.sample(USERS, dice.randint(1, 5))
    if dice.random() < 0.3:
        topic = dice.choice([*TOPICS, None])
        audience = {"broadcast": True} if topic is None else {"topic": topic}
    made: Json = {"recipients": audience, "title": key, "idempotency_key": key}
    if dice.random() < 0.2:
        made["collapse_key"] = f"thing-{dice.randint(1, 3)}"
    if dice.random() < 0.2:
        made["fallback"] = [{"channel": "email", "after": "1h"}]
    return made


async def _publish(cluster: Cluster, account: Account, node: int, number: int, deadline: float) -> None:
    """Publish batches; every third at all nodes at the same time, and sometimes an old one anew."""
    dice = random.Random(f"{node} {number}")
    mine: list[list[str]] = []
    while time.monotonic() < deadline:
        turn = len(mine)
        mine.append([f"{node}-{number}-{turn}-{place}" for place in range(BATCH)])
        match turn % 3:
            case 0:
                await asyncio.gather(*(_batch(cluster, account, each, mine[-1]) for each in range(len(cluster.nodes))))
            case 1:
                await _batch(cluster, account, node, mine[-1])
            case _:
                old = dice.choice(mine[:-1])
                await _batch(cluster, account, dice.randrange(len(cluster.nodes)), old[::2] + mine[-1])
        if turn % 20 == 7:
            move = dice.choice(["PUT", "DELETE"])
            await _members(cluster, node, move, dice.choice(TOPICS), dice.sample(BUSY, 5))
            account.moves += 1
        if turn % 10 == 5:
            address = f"{cluster.nodes[node].url}/v1/notifications/{account.ids[dice.choice(dice.choice(mine))]}"
            assert (await cluster.http.delete(address)).status_code == 204
            account.recalls += 1


async def _batch(cluster: Cluster, account: Account, node: int, keys: list[str]) -> None:
    body = {"notifications": [_request(key) for key in keys]}
    answer = await cluster.http.post(f"{cluster.nodes[node].url}/v1/notifications/batch", json=body)
    assert answer.status_code == 200, answer.text
    for key, result in zip(keys, answer.json()["results"], strict=True):
        account.note(node, key, result)


async def _mark(cluster: Cluster, account: Account, node: int, number: int, deadline: float) -> None:
    """Mark some, now and then all: of that, each costs what the inbox holds."""
    dice = random.Random(f"{node} {number} marks")
    tokens = {user: token(user) for user in BUSY}
    turn = 0
    while time.monotonic() < deadline:
        turn += 1
        user = dice.choice(BUSY)
        known = list(account.ids.values())[-500:]
        some = {"ids": dice.sample(known, min(5, len(known)))}
        body = some if known and turn % 50 else {"all": True}
        action = dice.choice(["seen", "read", "unread"])
        address = f"{cluster.nodes[node].url}/v1/inbox/{action}"
        headers = {"Authorization": f"Bearer {tokens[user]}"}
        answer = await cluster.http.post(address, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        account.marks += 1


# What must hold


async def _rows(database: Database, statement: str, **values: Any) -> list[sa.Row[Any]]:
    async with database.reader() as connection:
        return list((await connection.execute(sa.text(statement), values)).all())


async def _versions(database: Database) -> dict[str, int]:
    return {row.user_id: row.version for row in await _rows(database, "SELECT user_id, version FROM inbox_heads")}


async def _check_keys(database: Database, account: Account) -> None:
    """Every key has one notification, and every notification a key."""
    rows = await _rows(database, "SELECT id, title FROM notifications")
    assert {row.title: str(row.id) for row in rows} == account.ids
    assert len(rows) == len(account.ids) == sum(account.stored.values())


_TAKEN = """
SELECT inbox_items.user_id, since AS version FROM inbox_items WHERE since > 0
UNION ALL
SELECT DISTINCT user_id, version FROM inbox_items WHERE state <> 1
"""


async def _check_versions(database: Database, before: dict[str, int]) -> None:
    """Of those who do nothing, each version is that of an item that appeared, or of one that was taken away."""
    taken: dict[str, list[int]] = {user: [] for user in QUIET}
    for row in await _rows(database, _TAKEN):
        if row.user_id in taken:
            taken[row.user_id].append(row.version)
    after = await _versions(database)
    assert set(after) == set(USERS)
    for user, versions in taken.items():
        assert sorted(versions) == list(range(before[user] + 1, after[user] + 1)), "no hole, and none twice"


_RECOUNT = """
WITH spans AS (
  SELECT user_id, '' AS topic, joined, CAST(NULL AS BIGINT) AS left_at FROM inbox_heads
  UNION ALL SELECT user_id, topic, joined, left_at FROM memberships
), held AS (
  SELECT user_id, read_at IS NULL AS unread, seen_at IS NULL AS unseen FROM inbox_items
  WHERE state = 1 AND archived_at IS NULL AND snoozed_until IS NULL
  UNION ALL
  SELECT head.user_id,
  CASE WHEN touched.position IS NULL THEN log.position > head.read_mark ELSE touched.read_at IS NULL END,
  CASE WHEN touched.position IS NULL THEN log.position > head.seen_mark ELSE touched.seen_at IS NULL END
  FROM spans JOIN shared_log AS log ON log.topic = spans.topic AND log.kind = 0 AND log.gone_at_position IS NULL
  AND log.position > spans.joined AND (spans.left_at IS NULL OR log.position <= spans.left_at)
  JOIN inbox_heads AS head ON head.user_id = spans.user_id
  LEFT JOIN shared_items AS touched ON touched.user_id = head.user_id AND touched.position = log.position
)
SELECT user_id, count(*) FILTER (WHERE unread) AS unread, count(*) FILTER (WHERE unseen) AS unseen FROM held
GROUP BY user_id ORDER BY user_id
"""
"""Item by item; nothing in this is archived or snoozed."""


async def _check_counts(database: Database) -> None:
    store = SqlInboxStore(database)
    async with database.writer() as connection:
        await connection.execute(sa.text("ANALYZE"))  # the recount is no query of ours: nothing keeps its plan good
    for row in await _rows(database, _RECOUNT):
        counts = (await store.head(InboxKey("default", row.user_id))).counts
        assert (counts.unread, counts.unseen) == (row.unread, row.unseen), row.user_id


async def _check_client(cluster: Cluster, fleet: Fleet, member: Member) -> None:
    """Every device ends with what the database holds; that its changes came without a gap it has checked itself."""
    items, cursor = await fleet.inbox(cluster.ports[0], member.user)
    await member.live.wait()
    await member.reach(cursor, place_of(cursor).position)
    await member.live.wait()
    assert {key: _plain(item) for key, item in member.client.items.items()} == {i["id"]: _plain(i) for i in items}
    unread = sum(item["read_at"] is None for item in items)
    unseen = sum(item["seen_at"] is None for item in items)
    assert member.client.counts == {"unread": unread, "unseen": unseen}


def _plain(item: Json) -> Json:
    """Leave the version out: that of a shared item only says how new its state is."""
    return item | {"version": None}


async def _deadlocks(database: Database) -> int:
    [row] = await _rows(database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(row.deadlocks)
