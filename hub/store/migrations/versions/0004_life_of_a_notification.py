"""Recalled notifications, collapse keys, and what is held about a user."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
REPLACEABLE = sa.text("collapse_key IS NOT NULL AND state = 1 AND read_at IS NULL AND archived_at IS NULL")


def upgrade() -> None:
    op.add_column("notifications", sa.Column("recalled_at", sa.BigInteger()))
    op.add_column(
        "inbox_items",
        sa.Column("collapse_key", KEY_TEXT, comment="copied from the notification, to find what the next one replaces"),
    )
    op.create_index(
        "inbox_items_collapse_ix",
        "inbox_items",
        ["tenant", "user_id", "collapse_key"],
        postgresql_where=REPLACEABLE,
        sqlite_where=REPLACEABLE,
    )
    op.create_index(
        "deliveries_user_ix",
        "deliveries",
        ["tenant", "user_id", "notification_id"],
        postgresql_where=sa.text("user_id IS NOT NULL"),
        sqlite_where=sa.text("user_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("deliveries_user_ix", "deliveries")
    op.drop_index("inbox_items_collapse_ix", "inbox_items")
    op.drop_column("inbox_items", "collapse_key")
    op.drop_column("notifications", "recalled_at")
