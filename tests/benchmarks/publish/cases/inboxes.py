"""Reading the inbox of a user who has much, among many users."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from hub.collector import spare_the_collector
from hub.core.model import InboxKey, InboxQuery
from tests.benchmarks.gateway.machine import unpinned
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.publish.bench import Bench
from tests.benchmarks.publish.databases import SYSTEMS, Hub
from tests.benchmarks.publish.took import Took, one_by_one
from tests.support.population import RARE, heavy

CALLERS = 1
HEAVY = 10
SIZES = (100_000, 1_000_000)
QUICK_SIZES = (1_000, 10_000)

MOST_MS = 5.0
FLAT = 1.5
_WARM_UP = 50
_PAGES_BEFORE_THE_MIDDLE = 100
_COUNTS = "counts alone"
_LISTS = {
    "first page": InboxQuery(),
    "a page in the middle": InboxQuery(),
    "unread": InboxQuery(unread=True),
    "read": InboxQuery(unread=False),
    "of a category": InboxQuery(category="category-3"),
    "of a category with 10 items": InboxQuery(category=RARE),
}

PLOTTED = ("first page", "a page in the middle", _COUNTS)


async def inboxes(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """Pages of 25 items and the counts of users with 10,000 own and 10,000 shared items, asked for one by one.

    Ten such users, in turn; everybody else has ten own items. Shared are 1,000 broadcasts and as many items of each of
    nine topics. Nine tenths of a user's own items are read, a tenth of these archived; of the shared ones half were
    marked as read at once, 500 more one by one. There are twenty categories, and one that 10 of the 20,000 items have.
    The middle is after 2,500 items. Called is the use case behind `GET /v1/inbox`, without HTTP, 1,000 times each; the
    process and PostgreSQL share all cores. Flat: the median beside that of a tenth of the users and items.
    """
    figures: list[Figure] = []
    bars: list[Bar] = []
    spare_the_collector()  # as `bellwire serve` does
    for system in SYSTEMS:
        before: dict[str, Took] = {}
        for users in QUICK_SIZES if bench.quick else SIZES:
            took = await _took(bench, system, users)
            for what, each in took.items():
                figures += each.figures(f"{system}, {users:,} users", what)
            if before:
                slowest = max(took, key=lambda what: took[what].p99)
                bars.append(
                    Bar(f"{system}: {slowest}, the slowest, p99 in ms", took[slowest].p99, MOST_MS, at_least=False)
                )
                grown = max(each.p50 / before[what].p50 for what, each in took.items())
                bars.append(Bar(f"{system}: × a tenth of the users, the worst", grown, FLAT, at_least=False))
            before = took
    return figures, bars


async def _took(bench: Bench, system: str, users: int) -> dict[str, Took]:
    url = await bench.databases.url(system, users)
    times = 100 if bench.quick else 1_000
    async with AsyncExitStack() as stack:
        hub = await Hub.open(url, stack)
        stack.enter_context(unpinned(bench.services.postgres))
        middle = {heavy(number): await _middle(hub, heavy(number)) for number in range(HEAVY)}

        async def read(query: InboxQuery, number: int, *, in_the_middle: bool) -> None:
            key = heavy(number % HEAVY)
            await hub.inbox.page(key, middle[key] if in_the_middle else query)

        async def count(number: int) -> None:
            await hub.inbox.count(heavy(number % HEAVY))

        took = {}
        for what, query in _LISTS.items():
            call = partial(read, query, in_the_middle="middle" in what)
            took[what] = await one_by_one(call, times, warm_up=_WARM_UP)
        took[_COUNTS] = await one_by_one(count, times, warm_up=_WARM_UP)
    return took


async def _middle(hub: Hub, key: InboxKey) -> InboxQuery:
    """Page to somewhere in the list."""
    query = InboxQuery()
    for _ in range(_PAGES_BEFORE_THE_MIDDLE):
        last = (await hub.store.page(key, query)).items[-1]
        query = replace(query, after=(last.appeared_at, last.content.id))
    return query
