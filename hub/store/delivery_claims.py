"""Claiming due deliveries, with all that is needed to send them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, not_, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from hub.core.model import Contact, Content, Delivery, DeliveryState, Device
from hub.ports import Claim, Lane
from hub.store.delivery_sql import DIRECT, SHARED, Standing, expired, in_lane, queue, same_row
from hub.store.keyed import ByKeys
from hub.store.prepared import Prepared
from hub.store.queue_pauses import lane_values, not_paused, waiting
from hub.store.rows import Row, Values, contact_of, content_of, delivery_of, device_of
from hub.store.tables import attempts, deliveries, devices, notifications, users


def _claim(standing: Standing, *, shared: bool, of_tenant: bool = False) -> ReturningUpdate[Any]:
    """Make the claim of one kind of deliveries: one statement that finds, tests and takes."""
    due = (
        select(queue.c.tenant, queue.c.id)
        .select_from(standing.source())
        .where(
            in_lane(queue, shared=shared),
            queue.c.tenant == bindparam("of_tenant") if of_tenant else true(),
            not_paused(queue),
            queue.c.due_at <= bindparam("now"),
            # In here and not around it: rows that may not be sent must not use up the limit, or a lane whose head
            # is full of them would starve.
            not_(standing.gone),
            not_(expired(bindparam("now"))),
            not_(standing.reached),
        )
        .order_by(queue.c.due_at, queue.c.id)
        .limit(bindparam("limit"))
        # Rows that another transaction holds are passed over, so a claim never waits. A row that an acknowledgement
        # cancelled after this statement began is read again once it can be locked, and drops out.
        .with_for_update(of=queue, skip_locked=True)
        .cte("due")
    )
    return (
        update(deliveries)
        .where(same_row(deliveries, due))
        .values(
            state=DeliveryState.SENDING.value,
            lease_until=bindparam("leased_until"),
            fence=deliveries.c.fence + 1,
            claims=deliveries.c.claims + 1,
        )
        .returning(deliveries)
    )


claim_direct = _claim(DIRECT, shared=False)
claim_shared = _claim(SHARED, shared=True)
claim_direct_of_tenant = _claim(DIRECT, shared=False, of_tenant=True)
claim_shared_of_tenant = _claim(SHARED, shared=True, of_tenant=True)

_claim_direct, _claim_shared = Prepared(claim_direct), Prepared(claim_shared)

_contents = ByKeys(select(notifications), notifications.c.tenant, notifications.c.id)
_contacts = ByKeys(select(users), users.c.tenant, users.c.user_id)
_devices = ByKeys(select(devices), devices.c.tenant, devices.c.user_id)
_finished = ByKeys(
    select(attempts.c.tenant, attempts.c.delivery_id, attempts.c.number, attempts.c.endpoint, attempts.c.outcome).where(
        or_(attempts.c.outcome == "ok", attempts.c.outcome == "permanent")
    ),
    attempts.c.tenant,
    attempts.c.delivery_id,
)


async def claim(
    connection: AsyncConnection, lane: Lane, now: int, lease: int, limit: int, *, by_tenant: bool = False
) -> list[Claim]:
    """Claim up to `limit` due deliveries of a lane, the earliest due first, and load what goes with them.

    `by_tenant`: from one tenant after the other, those that have paused left out; the one that has waited longest
    comes first. Nothing that is paused is claimed either way: this only keeps the walk short.
    """
    values = {**lane_values(lane), "now": now, "limit": limit, "leased_until": now + lease}
    rows: Sequence[Row]
    if by_tenant:
        rows = await _claim_by_tenant(connection, lane, values)
    else:
        rows = await (_claim_shared if lane.shared else _claim_direct).rows(connection, values)
    claimed = sorted(delivery_of.all(rows), key=attrgetter("due_at", "id"))
    return await _load(connection, claimed) if claimed else []


async def _claim_by_tenant(connection: AsyncConnection, lane: Lane, values: Values) -> list[Row]:
    statement = claim_shared_of_tenant if lane.shared else claim_direct_of_tenant
    rows: list[Row] = []
    for tenant, due_at in await waiting(connection, lane):
        room = values["limit"] - len(rows)
        if room == 0 or due_at > values["now"]:
            break
        rows += await connection.execute(statement, {**values, "of_tenant": tenant, "limit": room})
    return rows


async def _load(connection: AsyncConnection, claimed: Sequence[Delivery]) -> list[Claim]:
    """Read contents, contacts, devices and finished endpoints of the whole batch: a query each."""
    contents = await _load_contents(connection, claimed)
    people = sorted({(delivery.tenant, delivery.user) for delivery in claimed if delivery.user is not None})
    contacts = await load_contacts(connection, people)
    owned = await load_devices(connection, people)
    finished = await _load_finished(connection, claimed)
    claims = []
    for delivery in claimed:
        key = (delivery.tenant, delivery.id)
        person = (delivery.tenant, delivery.user or "")
        claims.append(
            Claim(
                delivery=delivery,
                content=contents[delivery.tenant, delivery.notification],
                contact=contacts.get(person),
                devices=owned.get(person, ()),
                done_endpoints=frozenset(finished["ok"].get(key, ())),
                refused_endpoints=frozenset(finished["permanent"].get(key, ())),
            )
        )
    return claims


async def _load_contents(
    connection: AsyncConnection, claimed: Sequence[Delivery]
) -> Mapping[tuple[str, UUID], Content]:
    keys = sorted({(delivery.tenant, delivery.notification) for delivery in claimed})
    rows = await _contents.rows(connection, keys)
    return {(content.tenant, content.id): content for content in content_of.all(rows)}


async def load_contacts(
    connection: AsyncConnection, people: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], Contact]:
    """Read the contacts of these `(tenant, user)`; a query for all."""
    rows = await _contacts.rows(connection, people)
    return {(row.tenant, row.user_id): contact for row, contact in zip(rows, contact_of.all(rows), strict=True)}


async def load_devices(
    connection: AsyncConnection, people: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], Sequence[Device]]:
    """Read the devices of these `(tenant, user)`, oldest first; a query for all."""
    owned: defaultdict[tuple[str, str], list[Device]] = defaultdict(list)
    for row in sorted(await _devices.rows(connection, people), key=attrgetter("created_at", "id")):
        owned[row.tenant, row.user_id].append(device_of(row))
    return owned


async def _load_finished(
    connection: AsyncConnection, claimed: Sequence[Delivery]
) -> Mapping[str, Mapping[tuple[str, UUID], set[str]]]:
    """Read by outcome the endpoints that earlier claims were done with; a first claim has none.

    A retry by an operator gives endpoints that were refused before it another chance; those reached stay reached.
    """
    forgiven = {(delivery.tenant, delivery.id): delivery.forgiven for delivery in claimed if delivery.fence > 1}
    finished: dict[str, defaultdict[tuple[str, UUID], set[str]]] = {
        "ok": defaultdict(set),
        "permanent": defaultdict(set),
    }
    for row in await _finished.rows(connection, list(forgiven)):
        key = (row.tenant, row.delivery_id)
        if row.outcome == "ok" or row.number > forgiven[key]:
            finished[row.outcome][key].add(row.endpoint)
    return finished
