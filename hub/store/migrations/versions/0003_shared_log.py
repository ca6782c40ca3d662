"""Topics and the shared log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("notifications", sa.Column("topic", KEY_TEXT, comment="of a shared one; empty: everybody"))
    op.add_column("wakeups", sa.Column("shared", sa.Text(), comment="JSON list of [topic, position, previous]"))
    for name, type_, comment in (
        ("joined", sa.BigInteger(), "sees broadcasts later than this"),
        ("seen_mark", sa.BigInteger(), "shared items up to here are"),
        ("read_mark", sa.BigInteger(), "… unless shared_items"),
        ("archived_mark", sa.BigInteger(), "… has a row"),
        ("shared_unread", sa.Integer(), "see shared_sql"),
        ("shared_unseen", sa.Integer(), None),
        ("settled", sa.BigInteger(), "GONE events in shared_un…"),
    ):
        zero = sa.text("0")
        op.add_column("inbox_heads", sa.Column(name, type_, nullable=False, server_default=zero, comment=comment))
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column("notifications", "audience", comment="0 users, 1 shared")
        op.alter_column("inbox_heads", "unread_count", comment="the user's own items alone")
    _logs()
    _memberships()
    _states()


def _logs() -> None:
    op.create_table(
        "shared_logs",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column(
            "position", sa.BigInteger(), nullable=False, comment="the last one taken; whoever appends holds this row"
        ),
        sa.Column(
            "appeared_at", sa.BigInteger(), nullable=False, comment="the last event's; it grows with the position"
        ),
        sa.Column("floor", sa.BigInteger(), nullable=False, comment="cursors below it cannot resume"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="shared_logs_pk"),
        comment="One log a tenant: commit order is position order.",
    )
    op.create_table(
        "topics",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("topic", KEY_TEXT, nullable=False, comment="empty: everybody"),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="its last event's"),
        sa.Column("items", sa.BigInteger(), nullable=False, comment="how many it ever had"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "topic", name="topics_pk"),
    )
    op.create_table(
        "shared_log",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False, comment="LogKind"),
        sa.Column("topic", KEY_TEXT, nullable=False),
        sa.Column("previous", sa.BigInteger(), nullable=False, comment="the position of the topic's event before"),
        sa.Column("ordinal", sa.BigInteger(), nullable=False, comment="how many items the topic had before"),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False, comment="copied from the notification, for filters"),
        sa.Column("appeared_at", sa.BigInteger(), nullable=False, comment="no two events of a tenant have the same"),
        sa.Column("of_position", sa.BigInteger(), comment="GONE: the item's"),
        sa.Column(
            "gone_at_position", sa.BigInteger(), comment="ITEM: its GONE event's; the only column that ever changes"
        ),
        sa.PrimaryKeyConstraint("tenant", "position", name="shared_log_pk"),
    )
    op.create_index("shared_log_topic_ix", "shared_log", ["tenant", "topic", "position"])
    op.create_index("shared_log_appeared_ix", "shared_log", ["tenant", "appeared_at", "position"])
    op.create_index("shared_log_notification_ix", "shared_log", ["tenant", "notification_id", "position"])
    for name, where in (
        ("shared_log_gone_ix", "kind = 1"),
        ("shared_log_tombstones_ix", "gone_at_position IS NOT NULL"),
    ):
        op.create_index(
            name,
            "shared_log",
            ["tenant", "topic", "position"],
            postgresql_where=sa.text(where),
            sqlite_where=sa.text(where),
        )


def _memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("topic", KEY_TEXT, nullable=False),
        sa.Column("joined", sa.BigInteger(), nullable=False, comment="sees what has a later position than this"),
        sa.Column("left_at", sa.BigInteger(), comment="and up to this; null: is a member"),
        sa.PrimaryKeyConstraint("tenant", "user_id", "topic", "joined", name="memberships_pk"),
        comment="Intervals, never deleted. Everybody's has no rows: it is later than inbox_heads.joined.",
    )
    op.create_index(
        "memberships_member_uq",
        "memberships",
        ["tenant", "topic", "user_id"],
        unique=True,
        postgresql_where=sa.text("left_at IS NULL"),
        sqlite_where=sa.text("left_at IS NULL"),
    )


def _states() -> None:
    op.create_table(
        "shared_items",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="the last change's"),
        sa.Column(
            "delivered_at", sa.BigInteger(), comment="only where a step says unless: delivered; takes no version"
        ),
        sa.Column("seen_at", sa.BigInteger()),
        sa.Column("read_at", sa.BigInteger()),
        sa.Column("archived_at", sa.BigInteger()),
        sa.Column("snoozed_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "user_id", "position", name="shared_items_pk"),
        comment="The whole state of a shared item, once its user has touched it; until then the marks say it.",
    )
    op.create_index("shared_items_version_ix", "shared_items", ["tenant", "user_id", "version", "position"])
    op.create_index("shared_items_notification_ix", "shared_items", ["tenant", "notification_id", "user_id"])
    op.create_table(
        "shared_marks",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("user_id", KEY_TEXT, nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False, comment="MarkLevel"),
        sa.Column(
            "position",
            sa.BigInteger(),
            nullable=False,
            comment="untouched items from the mark before to here got it",
        ),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="with this version"),
        sa.Column("marked_at", sa.BigInteger(), nullable=False, comment="at this time"),
        sa.PrimaryKeyConstraint("tenant", "user_id", "level", "position", name="shared_marks_pk"),
        comment="How a user's marks moved: the last position of each level is inbox_heads.…_mark.",
    )


def downgrade() -> None:
    for table in ("shared_marks", "shared_items", "memberships", "shared_log", "topics", "shared_logs"):
        op.drop_table(table)
    for column in ("settled", "shared_unseen", "shared_unread", "archived_mark", "read_mark", "seen_mark", "joined"):
        op.drop_column("inbox_heads", column)
    op.drop_column("wakeups", "shared")
    op.drop_column("notifications", "topic")
