"""The tables. Times are milliseconds since the epoch; every key begins with the tenant.

Lock order everywhere (see `docs/notification-lifecycle.md`): idempotency keys, notifications, timers, deliveries,
(later: the shared log's counter), inbox heads, inbox items; rows of one table sorted bytewise by key.
Sort order is bytewise on both databases: `COLLATE "C"` on PostgreSQL, BINARY on SQLite.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_uq",
    }
)

KeyText = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is part of a key: compared and sorted bytewise."""

meta = Table(
    "meta",
    metadata,
    Column("name", KeyText, primary_key=True),
    Column("value", Text, nullable=False),
    comment="Facts about the database itself: its random identity (SQLite), set once.",
)

notifications = Table(
    "notifications",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("id", Uuid, nullable=False, comment="UUIDv7: sorts by creation time, ready for range partitions"),
    Column("category", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("action_url", Text),
    Column("data", Text, comment="JSON object"),
    Column("actor", Text, comment="JSON object"),
    Column("priority", SmallInteger, nullable=False),
    Column("inbox", Boolean, nullable=False),
    Column("plan", Text, nullable=False, comment="JSON list of [channel, after ms, unless rung, when]"),
    Column("audience", SmallInteger, nullable=False, server_default=text("0"), comment="0 users; shared later"),
    Column("collapse_key", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("deliver_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("recalled_at", BigInteger),
    PrimaryKeyConstraint("tenant", "id"),
)

inbox_heads = Table(
    "inbox_heads",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("epoch", Text, nullable=False, comment="random per row: a user erased and made again differs"),
    Column("version", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False, comment="cursors below it cannot resume"),
    Column("unread_count", Integer, nullable=False),
    Column("unseen_count", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "user_id"),
)

REPLACEABLE = "collapse_key IS NOT NULL AND state = 1 AND read_at IS NULL AND archived_at IS NULL"
"""The items that the next one with the same collapse key replaces: LIVE and unread."""

inbox_items = Table(
    "inbox_items",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("notification_id", Uuid, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="ItemState"),
    Column("version", BigInteger, nullable=False, comment="the last change's"),
    Column("since", BigInteger, nullable=False, comment="the version with which it appeared"),
    Column("appeared_at", BigInteger, nullable=False),
    Column("category", Text, nullable=False, comment="copied from the notification, for filters"),
    Column("collapse_key", KeyText, comment="copied from the notification, to find what the next one replaces"),
    Column("delivered_at", BigInteger, comment="only where a step says unless: delivered; takes no version"),
    Column("seen_at", BigInteger),
    Column("read_at", BigInteger),
    Column("archived_at", BigInteger),
    Column("snoozed_until", BigInteger),
    PrimaryKeyConstraint("tenant", "user_id", "notification_id"),
    Index("inbox_items_version_ix", "tenant", "user_id", "version", "notification_id"),
    Index("inbox_items_list_ix", "tenant", "user_id", "appeared_at", "notification_id"),
    Index("inbox_items_notification_ix", "tenant", "notification_id", "user_id"),
    Index(
        "inbox_items_collapse_ix",
        "tenant",
        "user_id",
        "collapse_key",
        postgresql_where=text(REPLACEABLE),
        sqlite_where=text(REPLACEABLE),
    ),
)

timers = Table(
    "timers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", KeyText, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False, comment="TimerKind"),
    Column("notification_id", Uuid, nullable=False),
    Column("user_id", KeyText, comment="set for UNSNOOZE: one user's item; otherwise all recipients"),
    Index("timers_due_ix", "due_at", "id"),
    Index("timers_notification_ix", "tenant", "notification_id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("notification_id", Uuid, nullable=False),
    Column("user_id", KeyText, comment="the user, or:"),
    Column("address", KeyText, comment="an e-mail address or phone number instead of a user"),
    Column("step", SmallInteger, nullable=False),
    Column("channel", KeyText, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("unless", SmallInteger, nullable=False, comment="Rung; 0: never cancelled"),
    Column("when", Text, nullable=False),
    Column("state", KeyText, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger),
    Column("fence", BigInteger, nullable=False, server_default=text("0"), comment="raised by every claim"),
    Column("claims", Integer, nullable=False, server_default=text("0"), comment="since it was last settled"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="provider calls"),
    Column("provider", Text),
    Column("provider_message_id", Text),
    Column("reason", Text, comment="why it ended, in words"),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    PrimaryKeyConstraint("tenant", "id"),
    Index(
        "deliveries_user_step_uq",
        "tenant",
        "notification_id",
        "user_id",
        "step",
        unique=True,
        postgresql_where=text("user_id IS NOT NULL"),
        sqlite_where=text("user_id IS NOT NULL"),
    ),
    Index(
        "deliveries_address_step_uq",
        "tenant",
        "notification_id",
        "address",
        "step",
        unique=True,
        postgresql_where=text("address IS NOT NULL"),
        sqlite_where=text("address IS NOT NULL"),
    ),
    Index(
        "deliveries_queue_ix",
        "channel",
        "priority",
        "due_at",
        "id",
        postgresql_where=text("state = 'queued'"),
        sqlite_where=text("state = 'queued'"),
    ),
    Index(
        "deliveries_lease_ix",
        "lease_until",
        postgresql_where=text("state = 'sending'"),
        sqlite_where=text("state = 'sending'"),
    ),
    # For export and erasure: with `inbox: false` there is no item that leads to a user's deliveries.
    Index(
        "deliveries_user_ix",
        "tenant",
        "user_id",
        "notification_id",
        postgresql_where=text("user_id IS NOT NULL"),
        sqlite_where=text("user_id IS NOT NULL"),
    ),
    Index(
        "deliveries_pending_user_ix",
        "tenant",
        "user_id",
        "notification_id",
        postgresql_where=text("state = 'queued'"),
        sqlite_where=text("state = 'queued'"),
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("endpoint", KeyText, nullable=False, comment="a short name of the endpoint, never its secret"),
    Column("provider", Text, nullable=False),
    Column("outcome", Text, nullable=False, comment="ok, transient or permanent"),
    Column("detail", Text),
    Column("provider_message_id", Text),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "delivery_id", "number", "endpoint"),
)

users = Table(
    "users",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("email", Text),
    Column("phone", Text),
    Column("name", Text),
    Column("locale", Text),
    Column("timezone", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "user_id"),
)

devices = Table(
    "devices",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("kind", KeyText, nullable=False),
    Column("token", KeyText, nullable=False),
    Column("name", Text),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    Index("devices_token_uq", "tenant", "kind", "token", unique=True),
    Index("devices_user_ix", "tenant", "user_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("operation", KeyText, nullable=False),
    Column("key", KeyText, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("notification_id", Uuid, nullable=False, comment="what the first call made"),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "operation", "key"),
    Index("idempotency_created_ix", "created_at"),
)

wakeups = Table(
    "wakeups",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", KeyText, nullable=False),
    Column("heads", Text, nullable=False, comment="JSON list of [user, version]"),
    Column("created_at", BigInteger, nullable=False),
    Index("wakeups_created_ix", "created_at"),
)

tickets = Table(
    "tickets",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("tickets_expires_ix", "expires_at"),
)

revocations = Table(
    "revocations",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False, comment="empty: everybody of the tenant"),
    Column("issued_before", BigInteger, nullable=False, comment="tokens issued earlier are refused"),
    Column("made_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "user_id"),
    Index("revocations_made_ix", "made_at"),
)
