"""What operators are told, in words for people and in data for machines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from hub.core.model import Alert, FailureKind, ProviderOutage
from hub.core.views import rfc3339

_KINDS = {
    FailureKind.REFUSED: "refused by the provider",
    FailureKind.EXHAUSTED: "given up after all attempts",
    FailureKind.PROVIDER: "not sent: the provider refuses our account",
    FailureKind.CRASHED: "given up: worker after worker vanished while sending",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to operators."""

    id: str
    """The same for every try at it, another for the next one about the same thing."""
    type: str
    subject: str
    text: str
    data: Mapping[str, Any]
    about: Mapping[str, object]
    """What the log says of it."""
    is_good: bool = False


def notice_of_failures(alert: Alert) -> Notice:
    """Tell of deliveries that failed, with the last one as an example."""
    group, latest = alert.group, alert.latest
    return Notice(
        id=_id([*map(str, group), alert.number]),
        type="deliveries.failed",
        subject=_failures(alert),
        text=_example(alert),
        data={
            "tenant": group.tenant,
            "channel": group.channel.value,
            "provider": group.provider or None,
            "kind": group.kind.value,
            "count": alert.count,
            "since": rfc3339(alert.since),
            "latest": latest
            and {
                "delivery": str(latest.delivery),
                "notification": str(latest.notification),
                "user": latest.user,
                "reason": latest.reason,
                "failed_at": rfc3339(latest.failed_at),
            },
        },
        about={
            "tenant": group.tenant,
            "channel": group.channel.value,
            "kind": group.kind.value,
            "count": alert.count,
        },
    )


def notice_of_outage(outage: ProviderOutage) -> Notice:
    """Tell that a provider is out, or that it is back."""
    channel, provider, is_back = outage.channel.value, outage.provider, outage.ended_at is not None
    since = rfc3339(outage.since)
    if outage.ended_at is not None:
        text = f"It was out since {since}, and has been called again since {rfc3339(outage.ended_at)}."
    else:
        text = (
            f"Since {since} its calls fail; {outage.workers} of {outage.of_workers} workers call it on trial only. "
            "Deliveries go by the next provider, or wait."
        )
    return Notice(
        id=_id(["provider", channel, provider, outage.number]),
        type="provider.back" if is_back else "provider.out",
        subject=f"Bellwire: {provider} ({channel}) is {'back' if is_back else 'out'}",
        text=text,
        data={
            "channel": channel,
            "provider": provider,
            "since": since,
            "ended_at": None if outage.ended_at is None else rfc3339(outage.ended_at),
            "workers": outage.workers,
            "of_workers": outage.of_workers,
        },
        about={"channel": channel, "provider": provider, "state": "back" if is_back else "out"},
        is_good=is_back,
    )


def _failures(alert: Alert) -> str:
    deliveries = "1 delivery" if alert.count == 1 else f"{alert.count:,} deliveries"
    by = f" by {alert.group.provider}" if alert.group.provider else ""
    return f"Bellwire: {deliveries} failed ({alert.group.channel.value}{by}, tenant {alert.group.tenant})"


def _example(alert: Alert) -> str:
    lines = [f"{_KINDS[alert.group.kind].capitalize()}. Since {rfc3339(alert.since)}: {alert.count:,}."]
    if alert.latest is None:
        lines.append("The last one has been erased, or is being sent again.")
    else:
        to = f"user {alert.latest.user}" if alert.latest.user is not None else "an address"
        lines += [
            f"Last: notification {alert.latest.notification} to {to}, delivery {alert.latest.delivery}",
            f"Reason: {alert.latest.reason}",
        ]
    return "\n".join(lines)


def _id(name: list[object]) -> str:
    return f"alert_{hashlib.sha256(msgspec.json.encode(name)).hexdigest()[:32]}"
