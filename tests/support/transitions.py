"""Every change of a delivery's state, seen by the database itself: a trigger writes it down, whoever made it."""

from __future__ import annotations

import sqlalchemy as sa

from hub.core.model import DeliveryState
from hub.store.engine import Database

_TABLE = 'CREATE TABLE IF NOT EXISTS seen_transitions ("before" text, "after" text)'
_SQLITE = (
    (
        "CREATE TRIGGER IF NOT EXISTS see_transitions AFTER UPDATE OF state ON deliveries WHEN old.state <> new.state"
        " BEGIN INSERT INTO seen_transitions VALUES (old.state, new.state); END"
    ),
)
_POSTGRES = (
    (
        "CREATE OR REPLACE FUNCTION see_transition() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO seen_transitions VALUES (old.state, new.state); RETURN NULL; END $$"
    ),
    (
        "CREATE OR REPLACE TRIGGER see_transitions AFTER UPDATE OF state ON deliveries FOR EACH ROW"
        " WHEN (old.state <> new.state) EXECUTE FUNCTION see_transition()"
    ),
)


async def watch(database: Database) -> None:
    """Begin to write transitions down, and forget those that were."""
    async with database.writer() as connection:
        for statement in (_TABLE, *(_SQLITE if database.dialect == "sqlite" else _POSTGRES)):
            await connection.exec_driver_sql(statement)
        await connection.exec_driver_sql("DELETE FROM seen_transitions")


async def seen(database: Database) -> set[tuple[DeliveryState, DeliveryState]]:
    """Return the transitions that were made."""
    async with database.reader() as connection:
        rows = await connection.execute(sa.text('SELECT DISTINCT "before", "after" FROM seen_transitions'))
        return {(DeliveryState(row.before), DeliveryState(row.after)) for row in rows}
