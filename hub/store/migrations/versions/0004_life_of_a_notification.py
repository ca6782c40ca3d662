"""Recalled notifications."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notifications", sa.Column("recalled_at", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("notifications", "recalled_at")
