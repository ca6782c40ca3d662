"""The tables for operating the queue. Nothing here is in the way of a publish, a claim's writes or a settlement."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, Uuid, text

from hub.store.tables import KeyText, metadata

queue_pauses = Table(
    "queue_pauses",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("channel", KeyText, nullable=False),
    Column("paused_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "channel"),
    comment="The queues that nothing is claimed from. Every claim reads it.",
)

delivery_events = Table(
    "delivery_events",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False, comment="UUIDv7: sorts by time"),
    Column("at", BigInteger, nullable=False),
    Column("kind", KeyText, nullable=False, comment="EventKind"),
    Column("before", KeyText, nullable=False, comment="the state before"),
    Column("after", KeyText, nullable=False, comment="the state after"),
    Column("reason", Text, comment="the reason of the state before, which the row itself has forgotten"),
    Column("ended_at", BigInteger, comment="when it had ended, if the state before was an end"),
    PrimaryKeyConstraint("tenant", "delivery_id", "id"),
    comment="What the rest of a delivery's rows do not tell: what operators and the rescuer did.",
)

queue_rates = Table(
    "queue_rates",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("channel", KeyText, nullable=False),
    Column("minute", BigInteger, nullable=False, comment="when it began"),
    Column("outcome", KeyText, nullable=False),
    Column("counted", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("tenant", "channel", "minute", "outcome"),
    Index("queue_rates_minute_ix", "minute"),
    comment="What workers did in the last minutes; they add to it every few seconds.",
)

workers = Table(
    "workers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("channels", Text, nullable=False, comment="JSON object: the provider of each channel"),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("providers", Text, nullable=False, server_default=text("'[]'"), comment="JSON array: ProviderSign"),
    comment="Worker processes; one that has not been seen for a while is gone.",
)
