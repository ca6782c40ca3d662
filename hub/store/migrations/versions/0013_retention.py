"""Retention: topics have a floor of their own; on PostgreSQL, what is read by id is partitioned by month.

Nothing is copied: the table that was there becomes the first partition. Attaching it reads it once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

PARTITIONED = {
    "notifications": ("id", "tenant, id"),
    "attempts": ("delivery_id", "tenant, delivery_id, number, endpoint, provider"),
}
AT_LEAST = timedelta(days=7)
"""What the first partition has room for at least: by then, the workers have made those of the next months."""


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
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments, and has no partitions
        op.alter_column("shared_logs", "floor", comment="the highest of its topics'")
        for table, (column, key) in PARTITIONED.items():
            _partition(table, column, key)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, (_, key) in PARTITIONED.items():
            _unite(table, key)
        op.alter_column("shared_logs", "floor", comment="cursors below it cannot resume")
    op.drop_column("topics", "floor")


def _partition(table: str, column: str, key: str) -> None:
    """Make a table the first partition of one of the same name, and another one for what fits nowhere else."""
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_first")
    op.execute(f"ALTER INDEX {table}_pk RENAME TO {table}_first_pk")
    op.execute(
        f"CREATE TABLE {table} (LIKE {table}_first INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY RANGE ({column})"
    )
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pk PRIMARY KEY ({key})")
    upper = _end_of_first(f"{table}_first", column)
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_first FOR VALUES FROM (MINVALUE) TO ('{upper}')")
    op.execute(f"CREATE TABLE {table}_rest (LIKE {table} INCLUDING DEFAULTS INCLUDING COMMENTS)")
    op.execute(f"ALTER TABLE {table}_rest ADD CONSTRAINT {table}_rest_pk PRIMARY KEY ({key})")
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_rest DEFAULT")


def _end_of_first(table: str, column: str) -> UUID:
    """Return the first id of a month that is later than all there is, and not too near."""
    last = op.get_bind().scalar(sa.text(f"SELECT {column} FROM {table} ORDER BY {column} DESC LIMIT 1"))  # noqa: S608 - ours
    latest = datetime.now(UTC) + AT_LEAST
    if last is not None:
        latest = max(latest, datetime.fromtimestamp((last.int >> 80) / 1000, UTC))
    following = (latest.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return UUID(int=round(following.timestamp() * 1000) << 80)


def _unite(table: str, key: str) -> None:
    """Copy all partitions into one table."""
    op.execute(f"CREATE TABLE {table}_whole (LIKE {table} INCLUDING DEFAULTS INCLUDING COMMENTS)")
    op.execute(f"INSERT INTO {table}_whole SELECT * FROM {table}")  # noqa: S608 - ours
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE {table}_whole RENAME TO {table}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pk PRIMARY KEY ({key})")
