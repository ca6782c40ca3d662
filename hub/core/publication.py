"""From what a publisher sent to what one transaction stores."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from hub.core import wire
from hub.core.errors import InvalidRequest, NotBuilt
from hub.core.ids import uuid7
from hub.core.model import (
    BROADCAST,
    Address,
    Channel,
    Content,
    IdempotencyRecord,
    NewDelivery,
    Priority,
    Publication,
    Rung,
    Step,
    When,
)
from hub.core.text import (
    MAX_BODY,
    MAX_TITLE,
    check_action_url,
    check_category,
    check_email,
    check_id,
    check_phone,
    check_text,
    check_topic,
    encode_object,
)
from hub.core.views import parse_rfc3339, rfc3339

MAX_RECIPIENTS = 1_000
MAX_BATCH = 1_000
"""Notifications in one call."""
MAX_BATCH_RECIPIENTS = 10_000
"""Recipients of all notifications in one call together."""
MAX_STEPS = 10
MAX_AFTER = 30 * 24 * 3600 * 1000
"""Milliseconds; a plan longer than 30 days is a mistake."""
MAX_AHEAD = 366 * 24 * 3600 * 1000
"""Milliseconds that `deliver_at` and `expires_at` may lie ahead."""
LATE = 60_000
"""Milliseconds by which `deliver_at` may have passed: clocks differ, and requests are under way for a while."""

PUBLISH = "publish"
"""The operation that idempotency keys of single notifications belong to, also of those in a batch."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)", re.ASCII)
_UNIT = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_PRIORITY = {priority.name.lower(): priority for priority in Priority}
_NO_RUNG: dict[str | None, Rung] = {
    None: Rung.NONE,
    "delivered": Rung.DELIVERED,
    "seen": Rung.SEEN,
    "read": Rung.READ,
}


class _Recipients(NamedTuple):
    users: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    audience: str | None = None
    """A shared one instead: a topic, or `BROADCAST`."""

    @property
    def number(self) -> int | None:
        """How many there are; None if nobody counts them."""
        return None if self.audience is not None else len(self.users) + len(self.addresses)


class IdempotencyKey(NamedTuple):
    """A caller's name for one operation."""

    key: str
    operation: str = PUBLISH

    def of_place(self, place: int) -> IdempotencyKey:
        """Return the key of one place in the batch that this is the key of."""
        return IdempotencyKey(self.key, f"batch[{place}]")


def idempotency_key(key: str | None, pointer: str) -> IdempotencyKey | None:
    """Check the form of a key, if one is given.

    Raises:
        InvalidRequest: it is not printable, too long, or empty.

    """
    if key is None:
        return None
    if _KEY.fullmatch(key) is None:
        raise InvalidRequest("must be 1 to 255 printable ASCII characters without spaces", pointer=pointer)
    return IdempotencyKey(key)


def check_batch(requests: Sequence[wire.PublishIn], at_most: int = MAX_BATCH_RECIPIENTS) -> None:
    """Check what the notifications of a batch are together.

    Raises:
        InvalidRequest: too many recipients.

    """
    count = sum(len(each.recipients) for each in requests if not isinstance(each.recipients, wire.AudienceIn))
    if count > at_most:
        raise InvalidRequest(
            f"names {count:,} recipients in all; at most {at_most:,} are allowed in one call",
            pointer="$.notifications",
        )


def prepare(request: wire.PublishIn, *, tenant: str, now: int, key: IdempotencyKey | None = None) -> Publication:
    """Check a request and work out everything that it stores.

    Raises:
        InvalidRequest: a value is out of its bounds, or nothing would be sent to anybody.
        NotBuilt: it asks for a template.

    """
    _refuse_unbuilt(request)
    recipients = _recipients(request)
    plan = _plan(request)
    content = _content(request, tenant, now, plan)
    deliveries = (
        *_user_deliveries(recipients.users, content),
        *_address_deliveries(recipients.addresses, content, explicit=request.fallback is not None),
    )
    if recipients.audience is not None and not content.inbox:
        raise InvalidRequest(
            "a shared audience has no addresses: leave `inbox` out, or name up to 1,000 users", pointer="$.inbox"
        )
    if not content.inbox and not deliveries:
        raise InvalidRequest(
            "nothing would be sent: with `inbox: false`, users need a `fallback` plan", pointer="$.inbox"
        )
    response = msgspec.json.encode(
        wire.PublishOut(
            id=str(content.id),
            recipients=recipients.number,
            deliveries=len(deliveries),
        )
    )
    return Publication(
        content=content,
        users=recipients.users if content.inbox else (),
        deliveries=deliveries,
        idempotency=() if key is None else (_idempotency(request, key, response),),
        response=response,
        audience=recipients.audience,
    )


def _refuse_unbuilt(request: wire.PublishIn) -> None:
    if request.template is not None:
        raise NotBuilt("templates are not built yet; send `title` and `body`", pointer="$.template")


def _recipients(request: wire.PublishIn) -> _Recipients:
    if isinstance(request.recipients, wire.AudienceIn):
        return _Recipients(audience=_audience(request.recipients))
    count = len(request.recipients)
    if count == 0:
        raise InvalidRequest("name at least one recipient", pointer="$.recipients")
    if count > MAX_RECIPIENTS:
        raise InvalidRequest(
            f"names {count:,} recipients; at most {MAX_RECIPIENTS:,} are allowed", pointer="$.recipients"
        )
    users: dict[str, None] = {}
    addresses: dict[Address, None] = {}
    for index, recipient in enumerate(request.recipients):
        pointer = f"$.recipients[{index}]"
        if isinstance(recipient, str):
            users[check_id(recipient, pointer)] = None
        else:
            addresses[_address(recipient, pointer)] = None
    if addresses and request.inbox:
        raise InvalidRequest("addresses have no inbox: say `inbox: false`, or name users", pointer="$.inbox")
    return _Recipients(tuple(users), tuple(addresses))


def _audience(audience: wire.AudienceIn) -> str:
    if isinstance(audience.topic, str) == (audience.broadcast is True):
        raise InvalidRequest(
            'give a list of users, or exactly one of {"topic": …} and {"broadcast": true}', pointer="$.recipients"
        )
    return check_topic(audience.topic, "$.recipients.topic") if isinstance(audience.topic, str) else BROADCAST


def _address(address: wire.AddressIn, pointer: str) -> Address:
    if (address.email is None) == (address.phone is None):
        raise InvalidRequest("give exactly one of `email` and `phone`", pointer=pointer)
    if address.email is not None:
        return Address(email=check_email(address.email, pointer + ".email"))
    return Address(phone=check_phone(address.phone or "", pointer + ".phone"))


def _plan(request: wire.PublishIn) -> tuple[Step, ...]:
    if request.fallback is not None and not request.fallback:
        raise InvalidRequest("is empty: name a step, or leave it out where the inbox is enough", pointer="$.fallback")
    steps = request.fallback or []
    if len(steps) > MAX_STEPS:
        raise InvalidRequest(f"has {len(steps)} steps; at most {MAX_STEPS} are allowed", pointer="$.fallback")
    allowed = _allowed_channels(request.channels)
    plan = [_step(step, f"$.fallback[{index}]") for index, step in enumerate(steps)]
    return tuple(step for step in plan if allowed is None or step.channel in allowed)


def _step(step: wire.StepIn, pointer: str) -> Step:
    return Step(
        channel=channel_of(step.channel, pointer + ".channel"),
        after=duration(step.after, pointer + ".after"),
        unless=_NO_RUNG[step.unless],
        when=When(step.when),
    )


def channel_of(name: str, pointer: str) -> Channel:
    """Read a channel's name.

    Raises:
        InvalidRequest: there is no such channel; says which there are.

    """
    try:
        return Channel(name)
    except ValueError:
        known = ", ".join(channel.value for channel in Channel)
        raise InvalidRequest(f"is not a channel; known: {known}", pointer=pointer) from None


def _allowed_channels(names: Sequence[str] | None) -> frozenset[Channel] | None:
    if names is None:
        return None
    return frozenset(channel_of(name, f"$.channels[{index}]") for index, name in enumerate(names) if name != "in_app")


def duration(after: float | str, pointer: str, *, at_most: int = MAX_AFTER) -> int:
    """Read seconds, or a duration such as `15m`, into milliseconds."""
    if isinstance(after, str):
        match = _DURATION.fullmatch(after)
        if match is None:
            raise InvalidRequest('must be seconds, or a duration such as "90s", "15m", "2h" or "1d"', pointer=pointer)
        milliseconds = round(float(match[1]) * _UNIT[match[2]])
    else:
        milliseconds = round(after * 1000) if abs(after) < at_most else at_most + 1
        if after < 0:
            raise InvalidRequest("must not be negative", pointer=pointer)
    if milliseconds > at_most:
        raise InvalidRequest(f"must be at most {at_most // _UNIT['d']} days", pointer=pointer)
    return milliseconds


def _content(request: wire.PublishIn, tenant: str, now: int, plan: tuple[Step, ...]) -> Content:
    deliver_at = _time(request.deliver_at, "$.deliver_at", now)
    if deliver_at is not None and deliver_at < now - LATE:
        raise InvalidRequest(
            f"has passed (it is {rfc3339(now)}); leave it out for what is to appear now", pointer="$.deliver_at"
        )
    if deliver_at is not None and deliver_at <= now:
        deliver_at = None
    expires_at = _time(request.expires_at, "$.expires_at", now)
    if expires_at is not None and expires_at <= (deliver_at or now):
        raise InvalidRequest("must come after the time when the notification appears", pointer="$.expires_at")
    return Content(
        id=uuid7(now),
        tenant=tenant,
        category=check_category(request.category),
        title=check_text(request.title, "$.title", MAX_TITLE, empty=False),
        body=check_text(request.body, "$.body", MAX_BODY),
        action_url=None if request.action_url is None else check_action_url(request.action_url),
        data=encode_object(request.data, "$.data"),
        actor=encode_object(request.actor, "$.actor"),
        priority=_PRIORITY[request.priority],
        inbox=request.inbox,
        collapse_key=_collapse_key(request),
        created_at=now,
        deliver_at=deliver_at,
        expires_at=expires_at,
        plan=plan,
    )


def _collapse_key(request: wire.PublishIn) -> str | None:
    if request.collapse_key is None:
        return None
    if not request.inbox:
        raise InvalidRequest(
            "replaces items of inboxes, and there are none with `inbox: false`", pointer="$.collapse_key"
        )
    return check_id(request.collapse_key, "$.collapse_key")


def _time(text: str | None, pointer: str, now: int) -> int | None:
    if text is None:
        return None
    at = parse_rfc3339(text, pointer)
    if at > now + MAX_AHEAD:
        raise InvalidRequest(f"lies more than a year ahead (it is {rfc3339(now)})", pointer=pointer)
    return at


def _user_deliveries(users: Sequence[str], content: Content) -> list[NewDelivery]:
    return [
        NewDelivery(
            id=uuid7(content.created_at),
            step=number,
            channel=step.channel,
            due_at=content.appears_at + step.after,
            unless=step.unless if content.inbox else Rung.NONE,
            when=step.when,
            user=user,
        )
        for user in users
        for number, step in enumerate(content.plan)
    ]


def _address_deliveries(addresses: Sequence[Address], content: Content, *, explicit: bool) -> list[NewDelivery]:
    """Deliver to addresses at once, or by the steps of the plan that use their channel."""
    deliveries = []
    for address in addresses:
        steps = (
            [(number, step.after) for number, step in enumerate(content.plan) if step.channel is address.channel]
            if explicit
            else [(0, 0)]
        )
        if not steps:
            raise InvalidRequest(
                f"has no {address.channel.value} step, so an address of that channel would get nothing",
                pointer="$.fallback",
            )
        deliveries += [
            NewDelivery(
                id=uuid7(content.created_at),
                step=number,
                channel=address.channel,
                due_at=content.appears_at + after,
                unless=Rung.NONE,
                when=When.ALWAYS,
                address=address.value,
            )
            for number, after in steps
        ]
    return deliveries


def _idempotency(request: wire.PublishIn, key: IdempotencyKey, response: bytes) -> IdempotencyRecord:
    """Make the record of an idempotency key."""
    return IdempotencyRecord(key.operation, key.key, fingerprint(request), response)


def fingerprint(request: wire.PublishIn) -> bytes:
    """Return what tells one request from another under the same key, however it was spelled."""
    if type(request) is not wire.PublishIn:  # of a batch: what it says beyond the notification does not count
        request = wire.PublishIn(**{name: getattr(request, name) for name in wire.PublishIn.__struct_fields__})
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).digest()
