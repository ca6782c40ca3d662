"""Own items by time with their categories, so that a list of one reads no items of others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INDEX = "inbox_items_list_ix"
COLUMNS = ("tenant", "user_id", "appeared_at", "notification_id")


def upgrade() -> None:
    op.drop_index(INDEX, "inbox_items")
    # Part of a key now: compared bytewise, as those are.
    _compare_categories("C")
    op.create_index(INDEX, "inbox_items", [*COLUMNS, "category"])


def downgrade() -> None:
    op.drop_index(INDEX, "inbox_items")
    _compare_categories("default")
    op.create_index(INDEX, "inbox_items", [*COLUMNS])


def _compare_categories(collation: str) -> None:
    """SQLite compares bytewise anyway."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("inbox_items", "category", type_=sa.Text(collation=collation))
