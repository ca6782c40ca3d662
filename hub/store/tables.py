"""The tables. Times are milliseconds since the epoch; every key begins with the tenant.

Lock order everywhere (see `docs/notification-lifecycle.md`): schedules, idempotency keys, notifications, timers,
deliveries, the shared log's counter, topics, memberships, inbox heads, items (a user's own, then shared ones); rows of
one table sorted bytewise by key.
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
    Column("audience", SmallInteger, nullable=False, server_default=text("0"), comment="0 users, 1 shared"),
    Column("topic", KeyText, comment="of a shared one; empty: everybody"),
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
    Column("unread_count", Integer, nullable=False, comment="the user's own items alone"),
    Column("unseen_count", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("joined", BigInteger, nullable=False, server_default=text("0"), comment="sees broadcasts later than this"),
    Column("seen_mark", BigInteger, nullable=False, server_default=text("0"), comment="shared items up to here are"),
    Column("read_mark", BigInteger, nullable=False, server_default=text("0"), comment="… unless shared_items"),
    Column("archived_mark", BigInteger, nullable=False, server_default=text("0"), comment="… has a row"),
    Column("shared_unread", Integer, nullable=False, server_default=text("0"), comment="see shared_sql"),
    Column("shared_unseen", Integer, nullable=False, server_default=text("0")),
    Column("settled", BigInteger, nullable=False, server_default=text("0"), comment="GONE events in shared_un…"),
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
    Column("category", KeyText, nullable=False, comment="copied from the notification, for filters"),
    Column("collapse_key", KeyText, comment="copied from the notification, to find what the next one replaces"),
    Column("delivered_at", BigInteger, comment="only where a step says unless: delivered; takes no version"),
    Column("seen_at", BigInteger),
    Column("read_at", BigInteger),
    Column("archived_at", BigInteger),
    Column("snoozed_until", BigInteger),
    PrimaryKeyConstraint("tenant", "user_id", "notification_id"),
    Index("inbox_items_version_ix", "tenant", "user_id", "version", "notification_id"),
    # With the category, so that a list of one reads no rows of others. It never changes.
    Index("inbox_items_list_ix", "tenant", "user_id", "appeared_at", "notification_id", "category"),
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

shared_logs = Table(
    "shared_logs",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("position", BigInteger, nullable=False, comment="the last one taken; whoever appends holds this row"),
    Column("appeared_at", BigInteger, nullable=False, comment="the last event's; it grows with the position"),
    Column("floor", BigInteger, nullable=False, comment="the highest of its topics'"),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant"),
    comment="One log a tenant: commit order is position order.",
)

topics = Table(
    "topics",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("topic", KeyText, nullable=False, comment="empty: everybody"),
    Column("position", BigInteger, nullable=False, comment="its last event's"),
    Column("items", BigInteger, nullable=False, comment="how many it ever had"),
    Column("created_at", BigInteger, nullable=False),
    Column("members_at", BigInteger, nullable=False, server_default=text("0"), comment="the last join's or leave's"),
    Column("floor", BigInteger, nullable=False, server_default=text("0"), comment="cursors below it cannot resume"),
    PrimaryKeyConstraint("tenant", "topic"),
)

SHARED_REPLACEABLE = "collapse_key IS NOT NULL AND kind = 0 AND gone_at_position IS NULL"
"""The shared items that the next one with the same collapse key replaces: all that have not gone."""

SHARED_LISTED = "kind = 0 AND gone_at_position IS NULL AND position > 0"
"""What pages are made of: a topic whose items replace each other has many that went for each that is there.

The last condition is always true. Who wants this index says it too; without statistics PostgreSQL would take it, as the
smallest, for whatever is looked up among live items, and walk through a whole tenant.
"""

shared_log = Table(
    "shared_log",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False, comment="LogKind"),
    Column("topic", KeyText, nullable=False),
    Column("previous", BigInteger, nullable=False, comment="the position of the topic's event before"),
    Column("ordinal", BigInteger, nullable=False, comment="how many items the topic had before"),
    Column("notification_id", Uuid, nullable=False),
    Column("category", KeyText, nullable=False, comment="copied from the notification, for filters"),
    Column("appeared_at", BigInteger, nullable=False, comment="no two events of a tenant have the same"),
    Column("of_position", BigInteger, comment="GONE: the item's"),
    Column("collapse_key", KeyText, comment="ITEM: copied from the notification, to find what the next one replaces"),
    Column("gone_at_position", BigInteger, comment="ITEM: its GONE event's; the only column that ever changes"),
    PrimaryKeyConstraint("tenant", "position"),
    Index("shared_log_topic_ix", "tenant", "topic", "position"),
    Index("shared_log_appeared_ix", "tenant", "appeared_at", "position"),
    Index("shared_log_notification_ix", "tenant", "notification_id", "position"),
    Index(
        "shared_log_live_ix",
        "tenant",
        "topic",
        "position",
        postgresql_where=text(SHARED_LISTED),
        sqlite_where=text(SHARED_LISTED),
    ),
    Index(
        "shared_log_category_ix",
        "tenant",
        "category",
        "topic",
        "position",
        postgresql_where=text(SHARED_LISTED),
        sqlite_where=text(SHARED_LISTED),
    ),
    Index(
        "shared_log_collapse_ix",
        "tenant",
        "topic",
        "collapse_key",
        postgresql_where=text(SHARED_REPLACEABLE),
        sqlite_where=text(SHARED_REPLACEABLE),
    ),
    Index(
        "shared_log_gone_ix",
        "tenant",
        "topic",
        "position",
        postgresql_where=text("kind = 1"),
        sqlite_where=text("kind = 1"),
    ),
    Index(
        "shared_log_tombstones_ix",
        "tenant",
        "topic",
        "position",
        postgresql_where=text("gone_at_position IS NOT NULL"),
        sqlite_where=text("gone_at_position IS NOT NULL"),
    ),
)

memberships = Table(
    "memberships",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("topic", KeyText, nullable=False),
    Column("joined", BigInteger, nullable=False, comment="sees what has a later position than this"),
    Column("left_at", BigInteger, comment="and up to this; null: is a member"),
    PrimaryKeyConstraint("tenant", "user_id", "topic", "joined"),
    Index(
        "memberships_member_uq",
        "tenant",
        "topic",
        "user_id",
        unique=True,
        postgresql_where=text("left_at IS NULL"),
        sqlite_where=text("left_at IS NULL"),
    ),
    Index(
        "memberships_left_ix",
        "tenant",
        "topic",
        "user_id",
        "left_at",
        postgresql_where=text("left_at IS NOT NULL"),
        sqlite_where=text("left_at IS NOT NULL"),
    ),
    comment="Intervals, never deleted. Everybody's has no rows: it is later than inbox_heads.joined.",
)

shared_items = Table(
    "shared_items",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("notification_id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False, comment="the last change's"),
    Column("delivered_at", BigInteger, comment="only where a step says unless: delivered; takes no version"),
    Column("seen_at", BigInteger),
    Column("read_at", BigInteger),
    Column("archived_at", BigInteger),
    Column("snoozed_until", BigInteger),
    PrimaryKeyConstraint("tenant", "user_id", "position"),
    Index("shared_items_version_ix", "tenant", "user_id", "version", "position"),
    Index("shared_items_notification_ix", "tenant", "notification_id", "user_id"),
    comment="The whole state of a shared item, once its user has touched it; until then the marks say it.",
)

shared_marks = Table(
    "shared_marks",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("user_id", KeyText, nullable=False),
    Column("level", SmallInteger, nullable=False, comment="MarkLevel"),
    Column("position", BigInteger, nullable=False, comment="untouched items from the mark before to here got it"),
    Column("version", BigInteger, nullable=False, comment="with this version"),
    Column("marked_at", BigInteger, nullable=False, comment="at this time"),
    PrimaryKeyConstraint("tenant", "user_id", "level", "position"),
    comment="How a user's marks moved: the last position of each level is inbox_heads.…_mark.",
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
    Column("position", BigInteger, comment="of a shared notification: where it stands in the tenant's log"),
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
    Column("forgiven", Integer, nullable=False, server_default=text("0"), comment="attempts before the last retry"),
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
        postgresql_where=text("state = 'queued' AND position IS NULL"),
        sqlite_where=text("state = 'queued' AND position IS NULL"),
    ),
    Index(
        "deliveries_shared_queue_ix",
        "channel",
        "priority",
        "due_at",
        "id",
        postgresql_where=text("state = 'queued' AND position IS NOT NULL"),
        sqlite_where=text("state = 'queued' AND position IS NOT NULL"),
    ),
    # By tenant: for depths, and for claims past tenants that have paused.
    Index(
        "deliveries_tenant_queue_ix",
        "channel",
        "priority",
        "tenant",
        "due_at",
        "id",
        postgresql_where=text("state = 'queued' AND position IS NULL"),
        sqlite_where=text("state = 'queued' AND position IS NULL"),
    ),
    Index(
        "deliveries_tenant_shared_queue_ix",
        "channel",
        "priority",
        "tenant",
        "due_at",
        "id",
        postgresql_where=text("state = 'queued' AND position IS NOT NULL"),
        sqlite_where=text("state = 'queued' AND position IS NOT NULL"),
    ),
    Index(
        "deliveries_dead_ix",
        "channel",
        "tenant",
        "finished_at",
        "id",
        postgresql_where=text("state = 'failed'"),
        sqlite_where=text("state = 'failed'"),
    ),
    Index(
        "deliveries_shared_open_ix",
        "tenant",
        "notification_id",
        "id",
        postgresql_where=text("finished_at IS NULL AND position IS NOT NULL"),
        sqlite_where=text("finished_at IS NULL AND position IS NOT NULL"),
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

expansions = Table(
    "expansions",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("notification_id", Uuid, nullable=False),
    Column("step", SmallInteger, nullable=False),
    Column("channel", KeyText, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("turn", BigInteger, nullable=False, comment="the `after` of the turn that it is expanded for"),
    Column(
        "after_user",
        KeyText,
        nullable=False,
        server_default=text("''"),
        comment="the last member looked at, while there are more",
    ),
    Column("state", KeyText, nullable=False, comment="ExpansionState"),
    Column("due_at", BigInteger, nullable=False, comment="when the next chunk is due"),
    Column("members", Integer, nullable=False, server_default=text("0"), comment="looked at in this turn"),
    Column("deliveries", Integer, nullable=False, server_default=text("0"), comment="of those: have a delivery"),
    Column("reached", Integer, nullable=False, server_default=text("0"), comment="of those: need none"),
    Column("unreachable", Integer, nullable=False, server_default=text("0"), comment="of those: no endpoint"),
    Column("reason", Text, comment="why it ended, in words"),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    PrimaryKeyConstraint("tenant", "notification_id", "step"),
    Index(
        "expansions_queue_ix",
        "channel",
        "priority",
        "due_at",
        postgresql_where=text("state = 'waiting'"),
        sqlite_where=text("state = 'waiting'"),
    ),
    Index(
        "expansions_tenant_ix",
        "tenant",
        "channel",
        "due_at",
        postgresql_where=text("state = 'waiting'"),
        sqlite_where=text("state = 'waiting'"),
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("endpoint", KeyText, nullable=False, comment="a short name of the endpoint, never its secret"),
    Column("provider", KeyText, nullable=False),
    Column("outcome", Text, nullable=False, comment="ok, transient, permanent or unusable"),
    Column("detail", Text),
    Column("provider_message_id", Text),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "delivery_id", "number", "endpoint", "provider"),
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
    Column("shared", Text, comment="JSON list of [topic, position, previous]"),
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

# Tables of a part of the store have a module of their own; they belong to the same schema. The last lines: who works
# on all tables (migrations, erasure) imports this module, and finds those among them.
from hub.store import tables_alerts as _tables_alerts  # noqa: E402, F401
from hub.store import tables_queue as _tables_queue  # noqa: E402, F401
