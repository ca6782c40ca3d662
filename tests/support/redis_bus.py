"""A Redis bus for fault tests: patient wherever a test is not about patience, as a busy machine is slow, not broken."""

from __future__ import annotations

from contextlib import AsyncExitStack

from hub.bus.link import Link, Watchfulness
from hub.bus.redis import RedisBus
from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from tests.support.listener import PATIENCE, RecordingListener

ADA = InboxKey("default", "ada")
BOB = InboxKey("default", "bob")
CHANGE = LiveChange(epoch="0123456789ab", version=1, event="item", frame=b"{}")

PATIENT = {"probe_every": 0.05, "dead_after": PATIENCE, "confirm_within": PATIENCE, "timeout": PATIENCE}


async def started(stack: AsyncExitStack, url: str, **times: float) -> tuple[RedisBus, RecordingListener]:
    """Return a bus that listens until the stack is unwound."""
    bus, listener = RedisBus(url, **(PATIENT | times)), RecordingListener()
    stack.push_async_callback(bus.close)
    await bus.start(listener)
    return bus, listener


async def flows(bus: RedisBus, listener: RecordingListener, key: InboxKey = ADA) -> bool:
    """Tell whether a message published now arrives."""
    assert await bus.publish([(key, CHANGE)])
    return await listener.next_change() == (key, CHANGE)


def link_of(bus: RedisBus) -> Link:
    """Return the receiving connection to the only server."""
    assert bus._subscriber is not None
    (link,) = bus._subscriber._links.values()
    return link


def be_patient(bus: RedisBus) -> None:
    """Give up no connection from now on."""
    link_of(bus)._watch = Watchfulness(0.05, PATIENCE, PATIENCE)
