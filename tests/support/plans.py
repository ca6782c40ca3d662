"""How a database would carry out a statement: its plan's nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.engine import Database
from hub.store.partitions import whole_of

_LOOK_UP = 8.0
"""What the planner believes that reading a row by an index costs."""

Plan = list[Mapping[str, Any]]
"""The nodes of a plan, the outermost first."""


async def explain(database: Database, statement: Any, values: Mapping[str, Any], *, generic: bool = False) -> Plan:
    """Ask PostgreSQL for a statement's plan; `generic`: the plan that is made without looking at the values."""
    return nodes_of(await _explained(database, statement, values, "FORMAT JSON", generic=generic))


async def read_blocks(database: Database, statement: Any, values: Mapping[str, Any]) -> int:
    """Have PostgreSQL carry out a query by its generic plan; returns how many blocks that looked at, twice or not."""
    await _explained(database, statement, values, "ANALYZE", generic=True)  # sets hint bits, and warms catalogues
    root = nodes_of(await _explained(database, statement, values, "ANALYZE, BUFFERS, FORMAT JSON", generic=True))[0]
    return int(root["Shared Hit Blocks"]) + int(root["Shared Read Blocks"])


async def _explained(database: Database, statement: Any, values: Mapping[str, Any], how: str, *, generic: bool) -> Any:
    async with database.writer() as connection:
        compiled = statement.compile(dialect=connection.dialect).construct_expanded_state(dict(values))
        if not generic:
            found = await connection.exec_driver_sql(
                f"EXPLAIN ({how}) {compiled.statement}", compiled.positional_parameters
            )
            return found.scalars().all()[0]
        arguments = ", ".join(map(_literal, compiled.positional_parameters))
        await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.exec_driver_sql(f"PREPARE generic AS {compiled.statement}")
        found = await connection.exec_driver_sql(f"EXPLAIN ({how}) EXECUTE generic({arguments})")
        await connection.exec_driver_sql("DEALLOCATE generic")
        return found.scalars().all()[0]


def nodes_of(explained: Any) -> Plan:
    """Read what EXPLAIN (FORMAT JSON) says."""
    plan = json.loads(explained) if isinstance(explained, str) else explained
    return list(_nodes(plan[0]["Plan"]))


def _literal(value: object) -> str:
    """Write a value of our own into SQL; a list as an array."""
    if isinstance(value, list):
        return f"'{{{json.dumps(value, default=str)[1:-1]}}}'"
    return repr(value) if isinstance(value, int) else repr(str(value))


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def kinds(plan: Plan) -> set[str]:
    """Return what its nodes do."""
    return {node["Node Type"] for node in plan}


def scanned_whole(plan: Plan) -> set[str]:
    """Return the tables of which every row is read, but for partitions of which to read one would cost more."""
    scans = [node for node in plan if node["Node Type"] == "Seq Scan"]
    return {
        whole_of(node["Relation Name"])
        for node in scans
        if whole_of(node["Relation Name"]) == node["Relation Name"] or node["Total Cost"] > _LOOK_UP
    }


def indexes(plan: Plan) -> set[str]:
    """Return the indexes that it goes by; a partition's is the whole table's."""
    return {whole_of(node["Index Name"]) for node in plan if "Index Name" in node}


async def without_autovacuum(connection: AsyncConnection, tables: Iterable[str]) -> None:
    """Leave tables without statistics until the test asks for some."""
    for table in tables:
        leaves = await connection.exec_driver_sql(
            f"SELECT relid::regclass::text FROM pg_partition_tree('{table}') WHERE isleaf"  # noqa: S608 - a table of ours
        )
        for leaf in leaves.scalars().all():
            await connection.exec_driver_sql(f"ALTER TABLE {leaf} SET (autovacuum_enabled = false)")
