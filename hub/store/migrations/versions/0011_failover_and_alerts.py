"""A round of an endpoint's attempts may call several providers; failed deliveries are counted for alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ATTEMPT = ["tenant", "delivery_id", "number", "endpoint"]


def upgrade() -> None:
    _key_attempts_by([*ATTEMPT, "provider"], KEY_TEXT, "ok, transient, permanent or unusable")
    op.create_table(
        "alerts",
        sa.Column("tenant", KEY_TEXT, nullable=False),
        sa.Column("channel", KEY_TEXT, nullable=False),
        sa.Column("provider", KEY_TEXT, nullable=False, comment="empty: none was called"),
        sa.Column("kind", KEY_TEXT, nullable=False, comment="FailureKind"),
        sa.Column("untold", sa.BigInteger(), nullable=False, comment="failures that have not been told of"),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="when the first of them happened"),
        sa.Column("latest", sa.Uuid(), nullable=False, comment="the delivery that failed last"),
        sa.Column(
            "quiet_until",
            sa.BigInteger(),
            nullable=False,
            server_default=sa.text("0"),
            comment="or leased, or to be retried",
        ),
        sa.Column("number", sa.Integer(), nullable=False, server_default=sa.text("1"), comment="of the next message"),
        sa.Column(
            "fence", sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment="raised by every claim"
        ),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0"), comment="at telling that failed"),
        sa.PrimaryKeyConstraint("tenant", "channel", "provider", "kind", name="alerts_pk"),
        comment="A row for each group of failures that has ever been",
    )
    op.create_index(
        "alerts_untold_ix",
        "alerts",
        ["quiet_until"],
        postgresql_where=sa.text("untold > 0"),
        sqlite_where=sa.text("untold > 0"),
    )


def downgrade() -> None:
    op.drop_index("alerts_untold_ix", "alerts")
    op.drop_table("alerts")
    # Of several providers in a round the last one's call is kept.
    op.execute(
        "DELETE FROM attempts WHERE EXISTS (SELECT 1 FROM attempts AS later WHERE later.tenant = attempts.tenant"
        " AND later.delivery_id = attempts.delivery_id AND later.number = attempts.number"
        " AND later.endpoint = attempts.endpoint"
        " AND (later.started_at, later.provider) > (attempts.started_at, attempts.provider))"
    )
    _key_attempts_by(ATTEMPT, sa.Text(), "ok, transient or permanent")


def _key_attempts_by(columns: list[str], provider: sa.types.TypeEngine[str], outcomes: str) -> None:
    if op.get_bind().dialect.name == "sqlite":  # it cannot change a key: the table is made anew
        with op.batch_alter_table("attempts", recreate="always", copy_from=_attempts(columns)):
            return
    op.drop_constraint("attempts_pk", "attempts")
    op.alter_column("attempts", "provider", type_=provider, existing_nullable=False)
    op.alter_column("attempts", "outcome", comment=outcomes, existing_type=sa.Text(), existing_nullable=False)
    op.create_primary_key("attempts_pk", "attempts", columns)


def _attempts(key: list[str]) -> sa.Table:
    return sa.Table(
        "attempts",
        sa.MetaData(),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("provider_message_id", sa.Text()),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name="attempts_pk"),
    )
