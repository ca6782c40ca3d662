"""The shared log by category, so that a list of one is no walk through all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

LISTED = sa.text("kind = 0 AND gone_at_position IS NULL AND position > 0")


def upgrade() -> None:
    # Part of a key now: compared bytewise, as those are, so that no upgrade of the system's collations unsorts it.
    _compare_categories("C")
    op.create_index(
        "shared_log_category_ix",
        "shared_log",
        ["tenant", "category", "topic", "position"],
        postgresql_where=LISTED,
        sqlite_where=LISTED,
    )


def downgrade() -> None:
    op.drop_index("shared_log_category_ix", "shared_log")
    _compare_categories("default")


def _compare_categories(collation: str) -> None:
    """SQLite compares bytewise anyway."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("shared_log", "category", type_=sa.Text(collation=collation))
