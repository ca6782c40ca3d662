"""How a database would carry out a statement: its plan's nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hub.store.engine import Database

Plan = list[Mapping[str, Any]]
"""The nodes of a plan, the outermost first."""


async def explain(database: Database, statement: Any, values: Mapping[str, Any], *, generic: bool = False) -> Plan:
    """Ask PostgreSQL for a statement's plan; `generic`: the plan that is made without looking at the values."""
    async with database.writer() as connection:
        compiled = statement.compile(dialect=connection.dialect).construct_expanded_state(dict(values))
        if generic:
            arguments = ", ".join(map(_literal, compiled.positional_parameters))
            await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
            await connection.exec_driver_sql(f"PREPARE generic AS {compiled.statement}")
            found = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) EXECUTE generic({arguments})")
            await connection.exec_driver_sql("DEALLOCATE generic")
        else:
            found = await connection.exec_driver_sql(
                f"EXPLAIN (FORMAT JSON) {compiled.statement}", compiled.positional_parameters
            )
        return nodes_of(found.scalar_one())


def nodes_of(explained: Any) -> Plan:
    """Read what EXPLAIN (FORMAT JSON) says."""
    plan = json.loads(explained) if isinstance(explained, str) else explained
    return list(_nodes(plan[0]["Plan"]))


def _literal(value: object) -> str:
    """Write a value of our own into SQL; a list as an array."""
    return f"'{{{json.dumps(value, default=str)[1:-1]}}}'" if isinstance(value, list) else repr(value)


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def kinds(plan: Plan) -> set[str]:
    """Return what its nodes do."""
    return {node["Node Type"] for node in plan}


def scanned_whole(plan: Plan) -> set[str]:
    """Return the tables of which every row is read."""
    return {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}


def indexes(plan: Plan) -> set[str]:
    """Return the indexes that it goes by."""
    return {node["Index Name"] for node in plan if "Index Name" in node}
