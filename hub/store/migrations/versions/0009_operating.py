"""Operating the queue: pauses, what was done to a delivery, rates, workers, and indexes by tenant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BY_TENANT = ["channel", "priority", "tenant", "due_at", "id"]
ZERO = sa.text("0")


def upgrade() -> None:
    op.add_column(
        "deliveries",
        sa.Column(
            "forgiven", sa.Integer(), nullable=False, server_default=ZERO, comment="attempts before the last retry"
        ),
    )
    _index("deliveries_tenant_queue_ix", "deliveries", BY_TENANT, "state = 'queued' AND position IS NULL")
    _index("deliveries_tenant_shared_queue_ix", "deliveries", BY_TENANT, "state = 'queued' AND position IS NOT NULL")
    _index("deliveries_dead_ix", "deliveries", ["channel", "tenant", "finished_at", "id"], "state = 'failed'")
    _index("expansions_tenant_ix", "expansions", ["tenant", "channel", "due_at"], "state = 'waiting'")
    _pauses()
    _events()
    _rates()
    _workers()


def downgrade() -> None:
    for table in ("workers", "queue_rates", "delivery_events", "queue_pauses"):
        op.drop_table(table)
    op.drop_index("expansions_tenant_ix", "expansions")
    for index in ("deliveries_dead_ix", "deliveries_tenant_shared_queue_ix", "deliveries_tenant_queue_ix"):
        op.drop_index(index, "deliveries")
    op.drop_column("deliveries", "forgiven")


def _pauses() -> None:
    op.create_table(
        "queue_pauses",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("channel", KEY_TEXT, nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "channel", name="queue_pauses_pk"),
        comment="The queues that nothing is claimed from. Every claim reads it.",
    )


def _events() -> None:
    op.create_table(
        "delivery_events",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv7: sorts by time"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", KEY_TEXT, nullable=False, comment="EventKind"),
        sa.Column("before", KEY_TEXT, nullable=False, comment="the state before"),
        sa.Column("after", KEY_TEXT, nullable=False, comment="the state after"),
        sa.Column("reason", sa.Text(), comment="the reason of the state before, which the row itself has forgotten"),
        sa.Column("ended_at", sa.BigInteger(), comment="when it had ended, if the state before was an end"),
        sa.PrimaryKeyConstraint("tenant", "delivery_id", "id", name="delivery_events_pk"),
        comment="What the rest of a delivery's rows do not tell: what operators and the rescuer did.",
    )


def _rates() -> None:
    op.create_table(
        "queue_rates",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("channel", KEY_TEXT, nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False, comment="when it began"),
        sa.Column("outcome", KEY_TEXT, nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False, server_default=ZERO),
        sa.PrimaryKeyConstraint("tenant", "channel", "minute", "outcome", name="queue_rates_pk"),
        comment="What workers did in the last minutes; they add to it every few seconds.",
    )
    op.create_index("queue_rates_minute_ix", "queue_rates", ["minute"])


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channels", sa.Text(), nullable=False, comment="JSON object: the provider of each channel"),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="workers_pk"),
        comment="Worker processes; one that has not been seen for a while is gone.",
    )


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
