"""Retention: each topic has a floor of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "topics",
        sa.Column(
            "floor",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("0"),
            comment="cursors below it cannot resume",
        ),
    )
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column("shared_logs", "floor", comment="the highest of its topics'")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("shared_logs", "floor", comment="cursors below it cannot resume")
    op.drop_column("topics", "floor")
