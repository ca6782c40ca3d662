"""The tables of schedules. Their rows are locked before everything else, in the order of their ids."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, PrimaryKeyConstraint, SmallInteger, Table, Text, Uuid
from sqlalchemy import text as sql

from hub.store.tables import KeyText, metadata

WAITING = "next_at IS NOT NULL AND paused_at IS NULL"
"""The schedules that workers look at."""

schedules = Table(
    "schedules",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("id", Uuid, nullable=False, comment="UUIDv7: pages go by it"),
    Column("name", Text),
    Column("once_at", BigInteger, comment="one of this and the next two is set"),
    Column("every_ms", BigInteger, comment="from starts_at"),
    Column("cron", Text),
    Column("timezone", Text, comment="of cron"),
    Column("starts_at", BigInteger),
    Column("ends_at", BigInteger),
    Column("missed", Text, nullable=False, comment="Missed"),
    Column("notification", Text, nullable=False, comment="JSON: the body of a publish"),
    Column("next_at", BigInteger, comment="the next due time that is not dealt with; null: it has ended"),
    Column("dealt_with", BigInteger, nullable=False, comment="due times up to here never fire again"),
    Column("paused_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("revision", BigInteger, nullable=False, comment="raised by every change but a run by hand"),
    Column("records", BigInteger, nullable=False, comment="how many its log has had"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    Index(
        "schedules_due_ix",
        "next_at",
        "tenant",
        "id",
        postgresql_where=sql(WAITING),
        sqlite_where=sql(WAITING),
    ),
    Index(
        "schedules_ended_ix",
        "ended_at",
        postgresql_where=sql("ended_at IS NOT NULL"),
        sqlite_where=sql("ended_at IS NOT NULL"),
    ),
)

schedule_recipients = Table(
    "schedule_recipients",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("schedule_id", Uuid, nullable=False),
    PrimaryKeyConstraint("tenant", "user_id", "schedule_id"),
    Index("schedule_recipients_schedule_ix", "tenant", "schedule_id"),
    comment="The users whom schedules name one by one, for export and erasure.",
)

schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("schedule_id", Uuid, nullable=False),
    Column("slot", SmallInteger, nullable=False, comment="number modulo KEPT_RECORDS: the oldest goes"),
    Column("number", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("through", BigInteger, comment="all that was due until then was skipped"),
    Column("outcome", Text, nullable=False, comment="RunOutcome"),
    Column("decided_at", BigInteger, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Column("notification_id", Uuid),
    Column("reason", Text),
    PrimaryKeyConstraint("tenant", "schedule_id", "slot"),
    comment="The last entries of each schedule's log.",
)
