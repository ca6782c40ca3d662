"""Schedules: what they publish and when, whom they name, and the last entries of their logs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_schedules()
    op.create_table(
        "schedule_recipients",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id", "schedule_id", name="schedule_recipients_pk"),
        comment="The users whom schedules name one by one, for export and erasure.",
    )
    op.create_index("schedule_recipients_schedule_ix", "schedule_recipients", ["tenant", "schedule_id"])
    op.create_table(
        "schedule_runs",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        sa.Column(
            "slot",
            sa.SmallInteger(),
            nullable=False,
            comment="number modulo KEPT_RECORDS: the oldest goes",
        ),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("through", sa.BigInteger(), comment="all that was due until then was skipped"),
        sa.Column("outcome", sa.Text(), nullable=False, comment="RunOutcome"),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("notification_id", sa.Uuid()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("tenant", "schedule_id", "slot", name="schedule_runs_pk"),
        comment="The last entries of each schedule's log.",
    )


def downgrade() -> None:
    for table in ("schedule_runs", "schedule_recipients", "schedules"):
        op.drop_table(table)


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv7: pages go by it"),
        sa.Column("name", sa.Text()),
        sa.Column("once_at", sa.BigInteger(), comment="one of this and the next two is set"),
        sa.Column("every_ms", sa.BigInteger(), comment="from starts_at"),
        sa.Column("cron", sa.Text()),
        sa.Column("timezone", sa.Text(), comment="of cron"),
        sa.Column("starts_at", sa.BigInteger()),
        sa.Column("ends_at", sa.BigInteger()),
        sa.Column("missed", sa.Text(), nullable=False, comment="Missed"),
        sa.Column("notification", sa.Text(), nullable=False, comment="JSON: the body of a publish"),
        sa.Column("next_at", sa.BigInteger(), comment="the next due time that is not dealt with; null: it has ended"),
        sa.Column("dealt_with", sa.BigInteger(), nullable=False, comment="due times up to here never fire again"),
        sa.Column("paused_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("revision", sa.BigInteger(), nullable=False, comment="raised by every change but a run by hand"),
        sa.Column("records", sa.BigInteger(), nullable=False, comment="how many its log has had"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="schedules_pk"),
    )
    _index("schedules_due_ix", ["next_at", "tenant", "id"], "next_at IS NOT NULL AND paused_at IS NULL")
    _index("schedules_ended_ix", ["ended_at"], "ended_at IS NOT NULL")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "schedules", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
