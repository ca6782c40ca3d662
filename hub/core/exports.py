"""From what is held about a user to the JSON that is handed over."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.core import wire
from hub.core.model import Attempt, Delivery, Item, Person, PersonalNotification, Schedule
from hub.core.schedule_views import schedule_view
from hub.core.scheduling import template_of
from hub.core.views import (
    attempt_view,
    device_view,
    item_state_name,
    priority_name,
    raw_json,
    rfc3339,
    rfc3339_or_none,
    rung_name,
)

BETWEEN = b'],"notifications":['
"""What comes after the last schedule."""

CLOSING = b"]}"
"""What comes after the last notification."""


def opening(user: str, person: Person, now: int) -> bytes:
    """Write an export up to its schedules, which follow one after the other, separated by commas."""
    whole = msgspec.json.encode(export_view(user, person, now))
    return whole.removesuffix(BETWEEN + CLOSING)


def export_view(user: str, person: Person, now: int) -> wire.ExportOut:
    """Show what is known of a user beside their notifications; of devices' tokens, which are secrets, the end."""
    contact, head = person.contact, person.head
    return wire.ExportOut(
        user=user,
        exported_at=rfc3339(now),
        contact=None
        if contact is None
        else wire.ExportedContact(
            email=contact.email,
            phone=contact.phone,
            name=contact.name,
            locale=contact.locale,
            timezone=contact.timezone,
            created_at=rfc3339(person.contact_created_at or 0),
            updated_at=rfc3339(person.contact_updated_at or 0),
        ),
        devices=[device_view(device) for device in person.devices],
        inbox=None
        if head is None
        else wire.ExportedInbox(
            version=head.version,
            unread_count=head.counts.unread,
            unseen_count=head.counts.unseen,
            created_at=rfc3339(person.inbox_created_at or 0),
        ),
        tokens_refused_before=rfc3339_or_none(person.tokens_refused_before),
        topics=[wire.ExportedMembership(topic, member) for topic, member in person.topics],
        schedules=[],
        notifications=[],
    )


def named_in_view(schedule: Schedule) -> wire.ExportedSchedule:
    """Show a schedule as far as it concerns a user whom it names: not who else it is for."""
    shown, published = schedule_view(schedule), template_of(schedule)
    return wire.ExportedSchedule(
        **{name: getattr(shown, name) for name in shown.__struct_fields__},
        category=published.category,
        title=published.title,
        body=published.body,
        action_url=published.action_url,
        data=published.data,
        actor=published.actor,
    )


def notification_view(held: PersonalNotification) -> wire.ExportedNotification:
    """Show a notification as far as it concerns the user."""
    content = held.content
    return wire.ExportedNotification(
        id=str(content.id),
        category=content.category,
        title=content.title,
        body=content.body,
        action_url=content.action_url,
        data=raw_json(content.data),
        actor=raw_json(content.actor),
        priority=priority_name(content.priority),
        collapse_key=content.collapse_key,
        created_at=rfc3339(content.created_at),
        deliver_at=rfc3339_or_none(content.deliver_at),
        expires_at=rfc3339_or_none(content.expires_at),
        recalled_at=rfc3339_or_none(held.recalled_at),
        item=None if held.item is None else _item_view(held.item, held.delivered_at),
        deliveries=[_delivery_view(delivery, attempts) for delivery, attempts in held.deliveries],
    )


def _item_view(item: Item, delivered_at: int | None) -> wire.ExportedItem:
    return wire.ExportedItem(
        state=item_state_name(item.state),
        version=item.version,
        appeared_at=rfc3339(item.appeared_at),
        delivered_at=rfc3339_or_none(delivered_at),
        seen_at=rfc3339_or_none(item.seen_at),
        read_at=rfc3339_or_none(item.read_at),
        archived_at=rfc3339_or_none(item.archived_at),
        snoozed_until=rfc3339_or_none(item.snoozed_until),
    )


def _delivery_view(delivery: Delivery, attempts: Sequence[Attempt]) -> wire.ExportedDelivery:
    return wire.ExportedDelivery(
        id=str(delivery.id),
        step=delivery.step,
        channel=delivery.channel.value,
        state=delivery.state.value,
        reason=delivery.reason,
        due_at=rfc3339(delivery.due_at),
        finished_at=rfc3339_or_none(delivery.finished_at),
        unless=rung_name(delivery.unless),
        when=delivery.when.value,
        provider=delivery.provider,
        provider_message_id=delivery.provider_message_id,
        attempts=[_attempt_view(attempt) for attempt in attempts],
    )


def _attempt_view(attempt: Attempt) -> wire.ExportedAttempt:
    shown = attempt_view(attempt)
    fields = {name: getattr(shown, name) for name in shown.__struct_fields__}
    return wire.ExportedAttempt(**fields, provider_message_id=attempt.provider_message_id)
