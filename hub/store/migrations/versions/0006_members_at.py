"""When a topic's members last changed: a node that knows them as of then can tell them of an item directly."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "topics",
        sa.Column(
            "members_at",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("0"),
            comment="the last join's or leave's",
        ),
    )
    # Nobody knows when it was: now at the latest.
    op.execute(
        "UPDATE topics SET members_at = "
        "coalesce((SELECT position FROM shared_logs WHERE shared_logs.tenant = topics.tenant), 0)"
    )


def downgrade() -> None:
    op.drop_column("topics", "members_at")
