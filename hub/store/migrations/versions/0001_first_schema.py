"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("endpoint", KEY_TEXT, nullable=False, comment="a short name of the endpoint, never its secret"),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False, comment="ok, transient or permanent"),
        sa.Column("detail", sa.Text()),
        sa.Column("provider_message_id", sa.Text()),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "delivery_id", "number", "endpoint", name="attempts_pk"),
    )
    op.create_table(
        "deliveries",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", KEY_TEXT, comment="the user, or:"),
        sa.Column("address", KEY_TEXT, comment="an e-mail address or phone number instead of a user"),
        sa.Column("step", sa.SmallInteger(), nullable=False),
        sa.Column("channel", KEY_TEXT, nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("unless", sa.SmallInteger(), nullable=False, comment="Rung; 0: never cancelled"),
        sa.Column("when", sa.Text(), nullable=False),
        sa.Column("state", KEY_TEXT, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column(
            "fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False, comment="raised by every claim"
        ),
        sa.Column(
            "claims", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="since it was last settled"
        ),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="provider calls"),
        sa.Column("provider", sa.Text()),
        sa.Column("provider_message_id", sa.Text()),
        sa.Column("reason", sa.Text(), comment="why it ended, in words"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "id", name="deliveries_pk"),
    )
    op.create_index(
        "deliveries_address_step_uq",
        "deliveries",
        ["tenant", "notification_id", "address", "step"],
        unique=True,
        postgresql_where=sa.text("address IS NOT NULL"),
        sqlite_where=sa.text("address IS NOT NULL"),
    )
    op.create_index(
        "deliveries_lease_ix",
        "deliveries",
        ["lease_until"],
        postgresql_where=sa.text("state = 'sending'"),
        sqlite_where=sa.text("state = 'sending'"),
    )
    op.create_index(
        "deliveries_pending_user_ix",
        "deliveries",
        ["tenant", "user_id", "notification_id"],
        postgresql_where=sa.text("state = 'queued'"),
        sqlite_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "deliveries_queue_ix",
        "deliveries",
        ["channel", "priority", "due_at", "id"],
        postgresql_where=sa.text("state = 'queued'"),
        sqlite_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "deliveries_user_step_uq",
        "deliveries",
        ["tenant", "notification_id", "user_id", "step"],
        unique=True,
        postgresql_where=sa.text("user_id IS NOT NULL"),
        sqlite_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_table(
        "devices",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("kind", KEY_TEXT, nullable=False),
        sa.Column("token", KEY_TEXT, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="devices_pk"),
    )
    op.create_index("devices_token_uq", "devices", ["tenant", "kind", "token"], unique=True)
    op.create_index("devices_user_ix", "devices", ["tenant", "user_id"])
    op.create_table(
        "idempotency",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("operation", KEY_TEXT, nullable=False),
        sa.Column("key", KEY_TEXT, nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False, comment="what the first call made"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "operation", "key", name="idempotency_pk"),
    )
    op.create_index("idempotency_created_ix", "idempotency", ["created_at"])
    op.create_table(
        "inbox_heads",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False, comment="random per row: a user erased and made again differs"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False, comment="cursors below it cannot resume"),
        sa.Column("unread_count", sa.Integer(), nullable=False),
        sa.Column("unseen_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id", name="inbox_heads_pk"),
    )
    op.create_table(
        "inbox_items",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="ItemState"),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="the last change's"),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="the version with which it appeared"),
        sa.Column("appeared_at", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False, comment="copied from the notification, for filters"),
        sa.Column(
            "delivered_at", sa.BigInteger(), comment="only where a step says unless: delivered; takes no version"
        ),
        sa.Column("seen_at", sa.BigInteger()),
        sa.Column("read_at", sa.BigInteger()),
        sa.Column("archived_at", sa.BigInteger()),
        sa.Column("snoozed_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "user_id", "notification_id", name="inbox_items_pk"),
    )
    op.create_index("inbox_items_list_ix", "inbox_items", ["tenant", "user_id", "appeared_at", "notification_id"])
    op.create_index("inbox_items_notification_ix", "inbox_items", ["tenant", "notification_id", "user_id"])
    op.create_index("inbox_items_version_ix", "inbox_items", ["tenant", "user_id", "version", "notification_id"])
    op.create_table(
        "meta",
        sa.Column("name", KEY_TEXT, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="meta_pk"),
        comment="Facts about the database itself: its random identity (SQLite), set once.",
    )
    op.create_table(
        "notifications",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column(
            "id", sa.Uuid(), nullable=False, comment="UUIDv7: sorts by creation time, ready for range partitions"
        ),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("action_url", sa.Text()),
        sa.Column("data", sa.Text(), comment="JSON object"),
        sa.Column("actor", sa.Text(), comment="JSON object"),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("inbox", sa.Boolean(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False, comment="JSON list of [channel, after ms, unless rung, when]"),
        sa.Column(
            "audience", sa.SmallInteger(), server_default=sa.text("0"), nullable=False, comment="0 users; shared later"
        ),
        sa.Column("collapse_key", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deliver_at", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "id", name="notifications_pk"),
    )
    op.create_table(
        "tickets",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="tickets_pk"),
    )
    op.create_index("tickets_expires_ix", "tickets", ["expires_at"])
    op.create_table(
        "timers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False, comment="TimerKind"),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", KEY_TEXT, comment="set for UNSNOOZE: one user's item; otherwise all recipients"),
        sa.PrimaryKeyConstraint("id", name="timers_pk"),
    )
    op.create_index("timers_due_ix", "timers", ["due_at", "id"])
    op.create_index("timers_notification_ix", "timers", ["tenant", "notification_id"])
    op.create_table(
        "users",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("phone", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("locale", sa.Text()),
        sa.Column("timezone", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id", name="users_pk"),
    )
    op.create_table(
        "wakeups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("heads", sa.Text(), nullable=False, comment="JSON list of [user, version]"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="wakeups_pk"),
    )
    op.create_index("wakeups_created_ix", "wakeups", ["created_at"])


def downgrade() -> None:
    op.drop_table("wakeups")
    op.drop_table("users")
    op.drop_table("timers")
    op.drop_table("tickets")
    op.drop_table("notifications")
    op.drop_table("meta")
    op.drop_table("inbox_items")
    op.drop_table("inbox_heads")
    op.drop_table("idempotency")
    op.drop_table("devices")
    op.drop_table("deliveries")
    op.drop_table("attempts")
