"""Collapse keys of topics and broadcasts: the log knows which item the next one with the same key replaces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
LIVE = "kind = 0 AND gone_at_position IS NULL"


def upgrade() -> None:
    # Nothing to fill in: until now a collapse key of a shared audience was refused.
    op.add_column(
        "shared_log",
        sa.Column(
            "collapse_key", KEY_TEXT, comment="ITEM: copied from the notification, to find what the next one replaces"
        ),
    )
    _index("shared_log_live_ix", ["tenant", "topic", "position"], f"{LIVE} AND position > 0")
    _index("shared_log_collapse_ix", ["tenant", "topic", "collapse_key"], f"collapse_key IS NOT NULL AND {LIVE}")


def downgrade() -> None:
    op.drop_index("shared_log_live_ix", "shared_log")
    op.drop_index("shared_log_collapse_ix", "shared_log")
    op.drop_column("shared_log", "collapse_key")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "shared_log", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
