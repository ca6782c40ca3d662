"""Fallback for shared audiences: expansions, and lanes of their own for the deliveries they make."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
LANE = ["channel", "priority", "due_at", "id"]


def upgrade() -> None:
    _create_expansions()
    _index("memberships_left_ix", "memberships", ["tenant", "topic", "user_id", "left_at"], "left_at IS NOT NULL")
    op.add_column(
        "deliveries",
        sa.Column("position", sa.BigInteger(), comment="of a shared notification: where it stands in the tenant's log"),
    )
    op.drop_index("deliveries_queue_ix", "deliveries")
    _index("deliveries_queue_ix", "deliveries", LANE, "state = 'queued' AND position IS NULL")
    _index("deliveries_shared_queue_ix", "deliveries", LANE, "state = 'queued' AND position IS NOT NULL")
    _index(
        "deliveries_shared_open_ix",
        "deliveries",
        ["tenant", "notification_id", "id"],
        "finished_at IS NULL AND position IS NOT NULL",
    )


def downgrade() -> None:
    op.drop_index("deliveries_shared_open_ix", "deliveries")
    op.drop_index("deliveries_shared_queue_ix", "deliveries")
    op.drop_index("deliveries_queue_ix", "deliveries")
    op.drop_column("deliveries", "position")
    _index("deliveries_queue_ix", "deliveries", LANE, "state = 'queued'")
    op.drop_index("memberships_left_ix", "memberships")
    op.drop_table("expansions")


def _create_expansions() -> None:
    zero = sa.text("0")
    op.create_table(
        "expansions",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.SmallInteger(), nullable=False),
        sa.Column("channel", KEY_TEXT, nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False, comment="the `after` of the turn that it is expanded for"),
        sa.Column(
            "after_user",
            KEY_TEXT,
            nullable=False,
            server_default=sa.text("''"),
            comment="the last member looked at, while there are more",
        ),
        sa.Column("state", KEY_TEXT, nullable=False, comment="ExpansionState"),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="when the next chunk is due"),
        sa.Column("members", sa.Integer(), nullable=False, server_default=zero, comment="looked at in this turn"),
        sa.Column("deliveries", sa.Integer(), nullable=False, server_default=zero, comment="of those: have a delivery"),
        sa.Column("reached", sa.Integer(), nullable=False, server_default=zero, comment="of those: need none"),
        sa.Column("unreachable", sa.Integer(), nullable=False, server_default=zero, comment="of those: no endpoint"),
        sa.Column("reason", sa.Text(), comment="why it ended, in words"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "notification_id", "step", name="expansions_pk"),
    )
    _index("expansions_queue_ix", "expansions", ["channel", "priority", "due_at"], "state = 'waiting'")


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
