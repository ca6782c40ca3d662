from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from hub.core.model import (
    Attention,
    Channel,
    Contact,
    Content,
    Delivery,
    DeliveryState,
    Device,
    InboxKey,
    Priority,
    Rung,
    Step,
    When,
)
from hub.ports import Claim, PresenceEntry, PresenceState
from tests.support.clock import START

NOTIFICATION = UUID("01900000-0000-7000-8000-00000000000a")
DELIVERY = UUID("01900000-0000-7000-8000-00000000000d")


def make_content(
    *,
    title: str = "Your order has shipped",
    body: str = "It will arrive on Friday.",
    action_url: str | None = None,
    priority: Priority = Priority.NORMAL,
    expires_at: int | None = None,
    plan: tuple[Step, ...] = (Step(Channel.EMAIL, 0),),
) -> Content:
    return Content(
        id=NOTIFICATION,
        tenant="default",
        category="order.shipped",
        title=title,
        body=body,
        action_url=action_url,
        data=None,
        actor=None,
        priority=priority,
        inbox=True,
        collapse_key=None,
        created_at=START,
        deliver_at=None,
        expires_at=expires_at,
        plan=plan,
    )


def make_delivery(
    *,
    channel: Channel = Channel.EMAIL,
    user: str | None = "ada",
    address: str | None = None,
    unless: Rung = Rung.SEEN,
    when: When = When.ALWAYS,
    attempts: int = 0,
    provider: str | None = None,
) -> Delivery:
    return Delivery(
        id=DELIVERY,
        tenant="default",
        notification=NOTIFICATION,
        user=user,
        address=address,
        step=0,
        channel=channel,
        priority=Priority.NORMAL,
        due_at=START,
        unless=unless,
        when=when,
        state=DeliveryState.SENDING,
        fence=3,
        claims=1,
        attempts=attempts,
        provider=provider,
    )


def make_device(number: int) -> Device:
    return Device(
        id=UUID(int=number), user="ada", kind="fcm_token", token=f"secret-token-{number}", created_at=START + number
    )


def make_claim(
    delivery: Delivery | None = None,
    content: Content | None = None,
    *,
    email: str | None = "ada@example.com",
    devices: Sequence[Device] = (),
    done: frozenset[str] = frozenset(),
    refused: frozenset[str] = frozenset(),
) -> Claim:
    return Claim(
        delivery=delivery or make_delivery(),
        content=content or make_content(),
        contact=Contact("ada", email=email),
        devices=devices,
        done_endpoints=done,
        refused_endpoints=refused,
    )


class FixedPresence:
    """Presence as the test says."""

    def __init__(self, attention: Attention = Attention.OFFLINE) -> None:
        self.attention = attention
        self.asked: list[InboxKey] = []

    async def refresh(self, entries: Sequence[PresenceEntry], now: int) -> None:
        raise AssertionError("the fallback side only reads presence")

    async def leave(self, entries: Sequence[PresenceEntry], now: int) -> None:
        raise AssertionError("the fallback side only reads presence")

    async def read(self, keys: Sequence[InboxKey], now: int) -> Mapping[InboxKey, PresenceState]:
        self.asked.extend(keys)
        return {key: PresenceState(self.attention, 0, None) for key in keys}

    async def close(self) -> None:
        """Release nothing."""
