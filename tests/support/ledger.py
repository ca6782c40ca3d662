"""What the database says became of deliveries, held against what their carrier says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.support.carrier import Carrier
from tests.support.cluster import PATIENCE, until

_ENTRIES = """
SELECT d.id::text, d.state, d.claims, d.fence, d.attempts, d.finished_at, coalesce(e.rescues, 0) AS rescues,
       coalesce(a.oks, 0) AS oks, coalesce(a.failures, 0) AS failures
FROM deliveries d
LEFT JOIN (SELECT delivery_id, count(*) AS rescues FROM delivery_events WHERE kind = 'rescued' GROUP BY 1) e
    ON e.delivery_id = d.id
LEFT JOIN (SELECT delivery_id, count(*) FILTER (WHERE outcome = 'ok') AS oks,
                  count(*) FILTER (WHERE outcome = 'transient') AS failures FROM attempts GROUP BY 1) a
    ON a.delivery_id = d.id
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One delivery."""

    state: str
    claims: int
    fence: int
    attempts: int
    finished_at: int | None
    rescues: int
    """How often its trace says that a worker vanished with it."""
    oks: int
    failures: int


class Ledger:
    """A look at the database from outside of all processes under test."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    async def fetch(self, query: str, *values: object) -> list[Any]:
        """Run a query on a connection of its own, so that it does not matter what became of the last one."""
        connection = await asyncpg.connect(self._url)
        try:
            rows: list[Any] = await connection.fetch(query, *values)
        finally:
            await connection.close()
        return rows

    async def states(self) -> Counter[str]:
        rows = await self.fetch("SELECT state, count(*) FROM deliveries GROUP BY state")
        return Counter({row[0]: row[1] for row in rows})

    async def entries(self) -> Mapping[str, Entry]:
        return {row[0]: Entry(*row[1:]) for row in await self.fetch(_ENTRIES)}

    async def until(self, query: str, patience: float = PATIENCE) -> None:
        """Wait until a query answers true.

        Raises:
            TimeoutError: it did not.

        """

        async def answers_true() -> bool:
            return bool((await self.fetch(query))[0][0])

        await until(answers_true, patience)

    async def until_ended(self, patience: float = PATIENCE) -> None:
        """Wait until nothing is left to do."""
        await self.until("SELECT NOT EXISTS (SELECT FROM deliveries WHERE state IN ('queued', 'sending'))", patience)

    async def until_leases_are_over(self) -> None:
        """Wait until everything that is being sent could be another worker's."""
        await self.until(
            "SELECT NOT EXISTS (SELECT FROM deliveries WHERE state = 'sending'"
            " AND lease_until > extract(epoch FROM clock_timestamp()) * 1000)"
        )

    async def hasten(self) -> None:
        """Make due what waits to be tried again, as an operator's `promote` does."""
        await self.fetch("UPDATE deliveries SET due_at = 0 WHERE state = 'queued' AND due_at > 0")


def check_account(entries: Mapping[str, Entry], carrier: Carrier) -> None:
    """Check that each delivery has one success, and that its trace admits whatever was taken more than once."""
    assert {entry.state for entry in entries.values()} == {"sent"}, Counter(entry.state for entry in entries.values())
    assert {entry.oks for entry in entries.values()} == {1}
    assert set(carrier.taken) == set(entries), "what was not taken is not sent, and what was taken is in the log"
    hidden = {each: extra for each, extra in carrier.duplicates.items() if extra > entries[each].rescues}
    assert not hidden, "no duplicate without a trace"
