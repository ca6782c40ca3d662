"""Reading a page of an inbox, with the head that it belongs to."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey, InboxPage, InboxQuery
from hub.store.page_sql import Shape, page_of
from hub.store.rows import HeadRow, head_of, item_of


async def page(connection: AsyncConnection, key: InboxKey, query: InboxQuery, cluster: str) -> InboxPage | None:
    """Read a page with its head; None if the user has no row."""
    dialect = connection.dialect.name
    found = await connection.execute(_statement(dialect, Shape.of(query)), _values(dialect, key, query))
    rows = found.all()
    if not rows:
        return None
    items = [item_of(row, row.log_position) for row in rows if row.id is not None]
    head = head_of(HeadRow._make(rows[0][: len(HeadRow._fields)]), cluster)
    return InboxPage(head, items[: query.limit], has_more=len(items) > query.limit)


@cache
def _statement(dialect: str, shape: Shape) -> sa.TextClause:
    # Text of which SQLAlchemy knows no types: to find a statement of its own in its cache, and to convert what comes
    # back, took longer than the database does. The rows are read as the drivers give them.
    return sa.text(page_of(dialect, shape))


def _values(dialect: str, key: InboxKey, query: InboxQuery) -> dict[str, Any]:
    values: dict[str, Any] = {"tenant": key.tenant, "user": key.user, "limit": query.limit + 1}
    if query.category is not None:
        values["category"] = query.category
    if query.after is not None:
        values["after_time"], last = query.after
        values["after_id"] = last if dialect == "postgresql" else last.hex
    return values
