"""Workers tell how they find their providers, and operators are told of outages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column(
        "workers",
        sa.Column(
            "providers",
            sa.Text(),
            nullable=False,
            server_default=sa.text("'[]'"),
            comment="JSON array: ProviderSign",
        ),
    )
    op.create_table(
        "provider_outages",
        sa.Column("channel", KEY_TEXT, nullable=False),
        sa.Column("provider", KEY_TEXT, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), comment="null: it is out"),
        sa.Column(
            "told",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="that it is out; not yet: back",
        ),
        sa.Column(
            "quiet_until",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("0"),
            comment="for that it is out",
        ),
        sa.Column(
            "held_until",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("0"),
            comment="leased, or to be retried",
        ),
        sa.Column("number", sa.Integer(), nullable=False, server_default=sa.text("1"), comment="of the next message"),
        sa.Column(
            "fence", sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment="raised by every claim"
        ),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0"), comment="at telling that failed"),
        sa.PrimaryKeyConstraint("channel", "provider", name="provider_outages_pk"),
        comment="A row for each provider that has ever been out: its last outage. Of no tenant.",
    )


def downgrade() -> None:
    op.drop_table("provider_outages")
    op.drop_column("workers", "providers")
