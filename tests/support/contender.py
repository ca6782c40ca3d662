"""A process that publishes and marks as fast as it can; run several over the same users to see who disturbs whom.

`python -m tests.support.contender URL SEED ROUNDS` prints, as JSON, what it was told.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from structlog.testing import capture_logs

from hub.core.model import BROADCAST, InboxKey, InboxQuery, MarkAction, Selection
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import EMAIL_UNLESS_SEEN, LATER, TENANT, publication, recount
from tests.support.shared_inboxes import to, whole

USERS = [f"user-{number:02}" for number in range(30)]
PUBLISHERS, MARKERS = 12, 6


@dataclass
class Told:
    """What one process was told: versions by user, ids by idempotency key, and how often it had to repeat itself."""

    versions: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    keys: dict[str, str] = field(default_factory=dict)
    repeated: int = 0
    published: int = 0

    def json(self) -> str:
        return json.dumps(self.__dict__)


async def contend(url: str, seed: int, rounds: int) -> Told:
    told = Told()
    async with await open_database(url) as database:
        store = SqlInboxStore(database)
        with capture_logs() as logs:
            await asyncio.gather(
                *(_publisher(store, number, seed, rounds, told) for number in range(PUBLISHERS)),
                *(_marker(store, random.Random(f"{seed} {number}"), rounds, told) for number in range(MARKERS)),
            )
        told.repeated = sum(line["event"] == "transaction_repeated" for line in logs)
    return told


async def _publisher(store: SqlInboxStore, number: int, seed: int, rounds: int, told: Told) -> None:
    dice = random.Random(f"{seed} {number} publishes")
    for turn in range(rounds):
        users = dice.sample(USERS, dice.randint(1, 6))
        # Every other publish is one that all processes make, under the same key.
        shared = turn % 2 == 0
        key = (f"{number}-{turn}", b"the same") if shared else None
        plan = [EMAIL_UNLESS_SEEN] if dice.random() < 0.3 else []
        collapse_key = dice.choice([None, None, "one thing", "another"])
        content: dict[str, Any] = {"now": START + turn, "plan": plan, "idempotency": key, "collapse_key": collapse_key}
        topic = dice.choice([None, None, None, BROADCAST, "news"])
        new = publication(*users, **content) if topic is None else to(topic, **content)
        published = await store.publish(new, START + turn)
        if key is not None:
            told.keys[key[0]] = str(published.id)
        told.published += not published.replayed
        for change in published.replaced:
            told.versions[change.key.user].append(change.head.version)
        for user, head in published.heads.items():
            told.versions[user].append(head.version)


async def _marker(store: SqlInboxStore, dice: random.Random, rounds: int, told: Told) -> None:
    for _ in range(rounds):
        key = InboxKey(TENANT, dice.choice(USERS))
        items = (await store.page(key, InboxQuery(limit=5))).items
        action = dice.choice([MarkAction.SEEN, MarkAction.READ, MarkAction.UNREAD, MarkAction.ARCHIVE])
        some = Selection(ids=tuple(item.content.id for item in items))
        marked = await store.mark(key, action, some if items and dice.random() < 0.8 else Selection(all=True), LATER)
        if marked.change is not None:
            told.versions[key.user].append(marked.head.version)


async def check_contention(database: Database, outcomes: list[dict[str, Any]]) -> None:
    """Assert that processes over the same users got in each other's way without anybody noticing."""
    assert [told["repeated"] for told in outcomes] == [0] * len(outcomes), "somebody met a deadlock"
    first, *others = outcomes
    assert all(told["keys"] == first["keys"] for told in others), "a key gives one notification, whoever comes first"
    for user in USERS:
        key = InboxKey(TENANT, user)
        head = await SqlInboxStore(database).head(key)
        assert head.counts == recount(await whole(database, key))
        taken = sorted(version for told in outcomes for version in told["versions"].get(user, []))
        assert taken == list(range(1, head.version + 1)), "every version is somebody's, and nobody's twice"


async def contenders(url: str, processes: int, rounds: int) -> list[dict[str, Any]]:
    """Run several at once, and return what they were told."""
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, url, str(seed), str(rounds), stdout=asyncio.subprocess.PIPE
        )
        for seed in range(processes)
    ]
    printed = await asyncio.gather(*(process.communicate() for process in started))
    assert [process.returncode for process in started] == [0] * processes
    return [json.loads(out) for out, _ in printed]


if __name__ == "__main__":
    print(asyncio.run(contend(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))).json())
