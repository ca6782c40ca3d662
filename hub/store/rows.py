"""Rows to models and back, in one place. Each `…_of` reads columns by the names that `tables` gives them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from hub.core.cursor import epoch_of
from hub.core.model import (
    Attempt,
    Channel,
    Contact,
    Content,
    Counts,
    Delivery,
    DeliveryState,
    Device,
    Head,
    Item,
    ItemState,
    NewDelivery,
    Priority,
    Rung,
    Step,
    When,
)
from hub.store.shared_sql import LogView
from hub.store.tables import inbox_items, notifications

Row = sa.Row[Any]
Values = dict[str, Any]

ITEM_COLUMNS = (
    inbox_items.c.user_id,
    inbox_items.c.version,
    inbox_items.c.since,
    inbox_items.c.state,
    inbox_items.c.appeared_at,
    inbox_items.c.delivered_at,
    inbox_items.c.seen_at,
    inbox_items.c.read_at,
    inbox_items.c.archived_at,
    inbox_items.c.snoozed_until,
)
"""What an item adds to its notification's columns; their names do not collide."""

items_with_content = inbox_items.join(
    notifications,
    sa.and_(notifications.c.tenant == inbox_items.c.tenant, notifications.c.id == inbox_items.c.notification_id),
)


class HeadRow(NamedTuple):
    """What `head_of` reads, where it comes with columns of others."""

    epoch: str
    version: int
    floor: int
    unread_count: int
    unseen_count: int
    shared_unread: int
    shared_unseen: int
    log: str


def id_of(value: Any) -> UUID:
    """Read an id, however the driver gives it."""
    return value if isinstance(value, UUID) else UUID(value)


def content_of(row: Row) -> Content:
    """Read a row of `notifications`, with SQLAlchemy's types or as the driver gives it."""
    return Content(
        id=id_of(row.id),
        tenant=row.tenant,
        category=row.category,
        title=row.title,
        body=row.body,
        action_url=row.action_url,
        data=None if row.data is None else row.data.encode(),
        actor=None if row.actor is None else row.actor.encode(),
        priority=Priority(row.priority),
        inbox=bool(row.inbox),
        collapse_key=row.collapse_key,
        created_at=row.created_at,
        deliver_at=row.deliver_at,
        expires_at=row.expires_at,
        plan=plan_of(row.plan),
    )


def content_values(content: Content, audience: str | None) -> Values:
    """Write a row of `notifications`; `audience` is that of its `Publication`."""
    return {
        "tenant": content.tenant,
        "id": content.id,
        "category": content.category,
        "title": content.title,
        "body": content.body,
        "action_url": content.action_url,
        "data": None if content.data is None else content.data.decode(),
        "actor": None if content.actor is None else content.actor.decode(),
        "priority": int(content.priority),
        "inbox": content.inbox,
        "plan": plan_text(content.plan),
        "audience": int(audience is not None),
        "topic": audience,
        "collapse_key": content.collapse_key,
        "created_at": content.created_at,
        "deliver_at": content.deliver_at,
        "expires_at": content.expires_at,
    }


_NO_PLAN = "[]"


def plan_of(text: str) -> tuple[Step, ...]:
    """Read what `plan_text` wrote."""
    if text == _NO_PLAN:
        return ()
    return tuple(
        Step(Channel(channel), after, Rung(unless), When(when)) for channel, after, unless, when in json.loads(text)
    )


def plan_text(plan: tuple[Step, ...]) -> str:
    """Write a plan as JSON: `[[channel, after, unless, when], …]`."""
    if not plan:
        return _NO_PLAN
    return json.dumps([[step.channel.value, step.after, int(step.unless), step.when.value] for step in plan])


def item_of(row: Row, position: int = 0) -> Item:
    """Read a row with the columns of `notifications` and `ITEM_COLUMNS`; `position`: a shared item's."""
    return Item(
        content=content_of(row),
        version=row.version,
        since=row.since,
        state=ItemState(row.state),
        appeared_at=row.appeared_at,
        seen_at=row.seen_at,
        read_at=row.read_at,
        archived_at=row.archived_at,
        snoozed_until=row.snoozed_until,
        position=position,
    )


def head_of(row: Row | HeadRow, cluster: str) -> Head:
    """Read a row of `inbox_heads`, with its `log_view` as `log`, of the database with this identity."""
    log = LogView.parse(row.log)
    return Head(
        epoch=epoch_of(cluster, row.epoch),
        version=row.version,
        floor=row.floor,
        counts=Counts(
            row.unread_count + row.shared_unread + log.unread, row.unseen_count + row.shared_unseen + log.unseen
        ),
        position=log.position,
    )


def delivery_of(row: Row) -> Delivery:
    """Read a row of `deliveries`."""
    return Delivery(
        id=row.id,
        tenant=row.tenant,
        notification=row.notification_id,
        user=row.user_id,
        address=row.address,
        step=row.step,
        channel=Channel(row.channel),
        priority=Priority(row.priority),
        due_at=row.due_at,
        unless=Rung(row.unless),
        when=When(row.when),
        state=DeliveryState(row.state),
        fence=row.fence,
        claims=row.claims,
        attempts=row.attempts,
        reason=row.reason,
        provider=row.provider,
        provider_message_id=row.provider_message_id,
        finished_at=row.finished_at,
        forgiven=row.forgiven,
        created_at=row.created_at,
    )


def delivery_values(delivery: NewDelivery, content: Content) -> Values:
    """Write a row of `deliveries` as it is first stored."""
    return {
        "tenant": content.tenant,
        "id": delivery.id,
        "notification_id": content.id,
        "user_id": delivery.user,
        "address": delivery.address,
        "step": delivery.step,
        "channel": delivery.channel.value,
        "priority": int(content.priority),
        "unless": int(delivery.unless),
        "when": delivery.when.value,
        "state": DeliveryState.QUEUED.value,
        "due_at": delivery.due_at,
        "created_at": content.created_at,
    }


def attempt_of(row: Row) -> Attempt:
    """Read a row of `attempts`."""
    return Attempt(
        delivery=row.delivery_id,
        number=row.number,
        provider=row.provider,
        endpoint=row.endpoint,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=row.outcome,
        detail=row.detail,
        provider_message_id=row.provider_message_id,
    )


def contact_of(row: Row) -> Contact:
    """Read a row of `users`."""
    return Contact(
        user=row.user_id,
        email=row.email,
        phone=row.phone,
        name=row.name,
        locale=row.locale,
        timezone=row.timezone,
    )


def device_of(row: Row) -> Device:
    """Read a row of `devices`."""
    return Device(id=row.id, user=row.user_id, kind=row.kind, token=row.token, created_at=row.created_at, name=row.name)
