"""Idempotency keys: who publishes under one first is remembered, and everybody after gets the first answer."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.errors import IdempotencyConflict
from hub.core.model import IdempotencyRecord, Publication, Published
from hub.store.bulk import Bulk
from hub.store.failures import Conflict
from hub.store.rows import Values
from hub.store.tables import idempotency


class _Key(NamedTuple):
    tenant: str
    operation: str
    key: str


class _Holder(NamedTuple):
    """Who has a key."""

    notification: UUID
    body_hash: bytes
    response: bytes


class _Entangled(Exception):
    """A publication shares some of its keys with another, and not all."""


async def claim_keys(
    connection: AsyncConnection, group: Sequence[Publication], now: int
) -> list[Published | IdempotencyConflict | None]:
    """Take the keys of publications; the answer to one is what was published before under any of its keys, or None.

    Of several in the group that have the same key the first is the one that takes it. Waits, in the order of the
    keys, for others who are taking one right now.
    """
    wanted: dict[_Key, _Holder] = {}
    for publication in group:
        for record in publication.idempotency:
            wanted.setdefault(
                _key(publication, record), _Holder(publication.content.id, record.body_hash, record.response)
            )
    if not wanted:
        return [None] * len(group)
    bulk = Bulk(connection)
    bulk.insert_where_free(idempotency, [_values(key, wanted[key], now) for key in sorted(wanted)])
    all_are_new = await bulk.write() == len(wanted)
    holders = wanted if all_are_new else await _holders(connection, wanted)
    for publication in group:
        if new_keys := _taken_for_nothing(publication, holders):
            if len(group) > 1:
                raise _Entangled
            await _hand_over(connection, publication, holders, new_keys)
    return [_answer(publication, holders) for publication in group]


def _taken_for_nothing(publication: Publication, holders: Mapping[_Key, _Holder]) -> list[_Key]:
    """Return the keys that a publication has got, if it has not got all of them: it was published before."""
    keys = [_key(publication, record) for record in publication.idempotency]
    got = [key for key in keys if holders[key].notification == publication.content.id]
    return got if len(got) < len(keys) else []


async def _hand_over(
    connection: AsyncConnection, publication: Publication, holders: Mapping[_Key, _Holder], keys: Sequence[_Key]
) -> None:
    """Have keys name what was published before under another key of the same publication.

    Raises:
        IdempotencyConflict: that was something else; no key is taken then.

    """
    answer = _answer(publication, holders)
    if isinstance(answer, IdempotencyConflict):
        raise answer
    assert answer is not None  # noqa: S101 - some key is another's
    here = sa.tuple_(idempotency.c.tenant, idempotency.c.operation, idempotency.c.key).in_(keys)
    await connection.execute(
        sa.update(idempotency).where(here).values(notification_id=answer.id, response=answer.response)
    )


async def answered(
    connection: AsyncConnection, tenant: str, operation: str, key: str, body_hash: bytes
) -> bytes | None:
    """Return the answer that was given under a key to a request with this hash."""
    here = sa.and_(
        idempotency.c.tenant == tenant,
        idempotency.c.operation == operation,
        idempotency.c.key == key,
        idempotency.c.body_hash == body_hash,
    )
    answer: bytes | None = (await connection.execute(sa.select(idempotency.c.response).where(here))).scalar()
    return answer


def _answer(publication: Publication, holders: Mapping[_Key, _Holder]) -> Published | IdempotencyConflict | None:
    earlier: Published | None = None
    for record in publication.idempotency:
        holder = holders[_key(publication, record)]
        if holder.notification == publication.content.id:
            continue
        if not hmac.compare_digest(holder.body_hash, record.body_hash):
            return IdempotencyConflict("this idempotency key was used before, with another body")
        earlier = earlier or Published(holder.notification, response=holder.response, replayed=True)
    return earlier


async def _holders(connection: AsyncConnection, wanted: dict[_Key, _Holder]) -> dict[_Key, _Holder]:
    columns = idempotency.c
    rows = await connection.execute(
        sa.select(
            columns.tenant,
            columns.operation,
            columns.key,
            columns.notification_id,
            columns.body_hash,
            columns.response,
        ).where(sa.tuple_(columns.tenant, columns.operation, columns.key).in_(list(wanted)))
    )
    holders = {_Key(*row[:3]): _Holder(*row[3:]) for row in rows}
    if holders.keys() != wanted.keys():
        raise Conflict("a key was forgotten between the two looks at it")
    return holders


def _key(publication: Publication, record: IdempotencyRecord) -> _Key:
    return _Key(publication.content.tenant, record.operation, record.key)


def _values(key: _Key, holder: _Holder, now: int) -> Values:
    return {
        "tenant": key.tenant,
        "operation": key.operation,
        "key": key.key,
        "body_hash": holder.body_hash,
        "response": holder.response,
        "notification_id": holder.notification,
        "created_at": now,
    }
