"""Revoked tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "revocations",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False, comment="empty: everybody of the tenant"),
        sa.Column("issued_before", sa.BigInteger(), nullable=False, comment="tokens issued earlier are refused"),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id", name="revocations_pk"),
    )
    op.create_index("revocations_made_ix", "revocations", ["made_at"])


def downgrade() -> None:
    op.drop_table("revocations")
