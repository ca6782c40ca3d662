"""What a publish would do, worked out without storing anything.

A forecast: it takes presence, contacts, devices and providers as they are now, and supposes that nobody looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from hub.core.model import (
    Attention,
    Channel,
    Contact,
    Content,
    Delivery,
    DeliveryState,
    Device,
    NewDelivery,
    Publication,
    Rung,
    When,
)
from hub.core.plan import Cancel, Decision, Expire, Send, Skip, Snooze, decide, endpoints
from hub.core.views import rfc3339, rung_name
from hub.core.wire.rehearsal import RehearsalOut, RehearsedRecipientOut, RehearsedStepOut

_Word = Literal["send", "skip", "wait", "expire", "expand"]

UNKNOWN_PROVIDERS = "No worker has reported lately, so it is not known whether the channel has a provider."
_MEMBERS = "When it is due, whoever needs it then and can be reached gets it."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that a step's decision depends on, as it is now."""

    providers: Mapping[Channel, str] | None
    """The provider of each channel that has one; None: no worker has told."""
    people: Mapping[str, tuple[Contact | None, Sequence[Device]]] = field(default_factory=dict)
    attention: Mapping[str, Attention] = field(default_factory=dict)

    def has_provider(self, channel: Channel) -> bool:
        """Tell whether the channel has a provider, or may have one."""
        return self.providers is None or channel in self.providers

    def provider(self, channel: Channel) -> str | None:
        """Name the channel's provider."""
        return None if self.providers is None else self.providers.get(channel)


def rehearse(publication: Publication, around: Surroundings) -> RehearsalOut:
    """Tell for each recipient and step what would happen, and why."""
    if publication.audience is not None:
        return RehearsalOut(recipients=[], audience=_audience(publication.content, around))
    recipients: dict[str, list[NewDelivery]] = {user: [] for user in publication.users}
    for delivery in publication.deliveries:
        recipients.setdefault(_name(delivery), []).append(delivery)
    return RehearsalOut(
        recipients=[_recipient(name, planned, publication.content, around) for name, planned in recipients.items()],
        audience=None,
    )


def _name(delivery: NewDelivery) -> str:
    return delivery.user if delivery.user is not None else delivery.address or ""


def _recipient(
    name: str, planned: Sequence[NewDelivery], content: Content, around: Surroundings
) -> RehearsedRecipientOut:
    """Go through the turns of a recipient's plan; one in which nothing can be sent pulls the next one forward."""
    is_user = all(delivery.user is not None for delivery in planned)
    pulled_to: int | None = None
    steps = []
    for due_at, turn in groupby(sorted(planned, key=lambda each: (each.due_at, each.step)), lambda each: each.due_at):
        at = due_at if pulled_to is None else min(due_at, pulled_to)
        made = [_step(delivery, at, content, around) for delivery in turn]
        pulled_to = at if any(pulls for _, pulls in made) else None
        steps += [step for step, _ in made]
    return RehearsedRecipientOut(
        recipient=name,
        inbox=content.inbox,
        attention=around.attention.get(name, Attention.UNKNOWN).value if is_user else None,
        steps=steps,
    )


def _step(new: NewDelivery, at: int, content: Content, around: Surroundings) -> tuple[RehearsedStepOut, bool]:
    delivery = _claimed(new, content)
    contact, devices = around.people.get(new.user or "", (None, ()))
    user = new.user
    attention = Attention.OFFLINE if user is None else around.attention.get(user, Attention.UNKNOWN)
    decision = decide(
        delivery,
        content,
        endpoints(delivery, contact, devices),
        provider=around.has_provider(new.channel),
        rung=Rung.NONE,
        attention=Attention.OFFLINE if new.when is When.ALWAYS else attention,
        now=at,
    )
    word, reason = _told(decision, new, around)
    if at < new.due_at:
        reason = f"Pulled forward, as the step before cannot be sent. {reason}"
    reached = [endpoint.name for endpoint in decision.endpoints] if isinstance(decision, Send) else []
    return _out(new, at, word, reason, around.provider(new.channel), reached), (
        isinstance(decision, Skip) and decision.pull_next
    )


def _claimed(new: NewDelivery, content: Content) -> Delivery:
    return Delivery(
        id=new.id,
        tenant=content.tenant,
        notification=content.id,
        user=new.user,
        address=new.address,
        step=new.step,
        channel=new.channel,
        priority=content.priority,
        due_at=new.due_at,
        unless=new.unless,
        when=new.when,
        state=DeliveryState.SENDING,
        fence=1,
        claims=1,
        attempts=0,
        created_at=content.created_at,
    )


def _told(decision: Decision, new: NewDelivery, around: Surroundings) -> tuple[_Word, str]:
    match decision:
        case Send():
            rung = rung_name(new.unless)
            reason = (
                "Sent, whatever the user does." if rung is None else f"Sent, unless the user has it {rung} by then."
            )
            return "send", reason if around.providers is not None else f"{reason} {UNKNOWN_PROVIDERS}"
        case Skip(reason=reason):
            return "skip", reason
        case Snooze(reason=reason):
            return "wait", reason
        case Expire():
            return "expire", "The notification expires before this step is due."
        case Cancel(reason=reason):
            return "skip", reason


def _audience(content: Content, around: Surroundings) -> list[RehearsedStepOut]:
    """Tell of each step as a whole: an audience may be millions."""
    steps = []
    for number, step in enumerate(content.plan):
        at = content.appears_at + step.after
        word: _Word = "expand"
        reason = _MEMBERS if around.providers is not None else f"{_MEMBERS} {UNKNOWN_PROVIDERS}"
        if content.expires_at is not None and content.expires_at <= at:
            word, reason = "expire", "The notification expires before this step is due."
        elif not around.has_provider(step.channel):
            word, reason = "skip", f"No provider is set up for the channel {step.channel.value}."
        steps.append(
            RehearsedStepOut(
                step=number,
                channel=step.channel.value,
                due_at=rfc3339(at),
                unless=rung_name(step.unless),
                when=step.when.value,
                decision=word,
                reason=reason,
                provider=around.provider(step.channel),
                endpoints=(),
            )
        )
    return steps


def _out(  # noqa: PLR0917 - all that a step's line says
    new: NewDelivery, at: int, word: _Word, reason: str, provider: str | None, reached: Sequence[str]
) -> RehearsedStepOut:
    return RehearsedStepOut(
        step=new.step,
        channel=new.channel.value,
        due_at=rfc3339(at),
        unless=rung_name(new.unless),
        when=new.when.value,
        decision=word,
        reason=reason,
        provider=provider,
        endpoints=reached,
    )
