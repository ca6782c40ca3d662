"""The tables of alerts (see `hub.store.tables` for what holds for all of them)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Uuid, false, text

from hub.store.tables import KeyText, metadata

alerts = Table(
    "alerts",
    metadata,
    Column("tenant", KeyText, nullable=False),
    Column("channel", KeyText, nullable=False),
    Column("provider", KeyText, nullable=False, comment="empty: none was called"),
    Column("kind", KeyText, nullable=False, comment="FailureKind"),
    Column("untold", BigInteger, nullable=False, comment="failures that have not been told of"),
    Column("since", BigInteger, nullable=False, comment="when the first of them happened"),
    Column("latest", Uuid, nullable=False, comment="the delivery that failed last"),
    Column("quiet_until", BigInteger, nullable=False, server_default=text("0"), comment="or leased, or to be retried"),
    Column("number", Integer, nullable=False, server_default=text("1"), comment="of the next message"),
    Column("fence", BigInteger, nullable=False, server_default=text("0"), comment="raised by every claim"),
    Column("tries", Integer, nullable=False, server_default=text("0"), comment="at telling that failed"),
    PrimaryKeyConstraint("tenant", "channel", "provider", "kind"),
    Index("alerts_untold_ix", "quiet_until", postgresql_where=text("untold > 0"), sqlite_where=text("untold > 0")),
    comment="A row for each group of failures that has ever been",
)

provider_outages = Table(
    "provider_outages",
    metadata,
    Column("channel", KeyText, nullable=False),
    Column("provider", KeyText, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("ended_at", BigInteger, comment="null: it is out"),
    Column("told", Boolean, nullable=False, server_default=false(), comment="that it is out; not yet: back"),
    Column("quiet_until", BigInteger, nullable=False, server_default=text("0"), comment="for that it is out"),
    Column("held_until", BigInteger, nullable=False, server_default=text("0"), comment="leased, or to be retried"),
    Column("number", Integer, nullable=False, server_default=text("1"), comment="of the next message"),
    Column("fence", BigInteger, nullable=False, server_default=text("0"), comment="raised by every claim"),
    Column("tries", Integer, nullable=False, server_default=text("0"), comment="at telling that failed"),
    PrimaryKeyConstraint("channel", "provider"),
    comment="A row for each provider that has ever been out: its last outage. Of no tenant.",
)
