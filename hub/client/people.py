"""Users, their devices and connections, and the topics that they are members of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from hub.client.calls import Call, Series, encode, nothing, pages, path, query_of, reader
from hub.client.types import JsonObject
from hub.core import wire


def put_user(
    user: str,
    *,
    email: str | None = None,
    phone: str | None = None,
    name: str | None = None,
    locale: str | None = None,
    timezone: str | None = None,
) -> Call[wire.ContactOut]:
    """Store how a user is reached, whole: what is left out is cleared."""
    contact = wire.ContactIn(email=email, phone=phone, name=name, locale=locale, timezone=timezone)
    return Call("PUT", path("users", user, user=user), reader(wire.ContactOut), body=encode(contact))


def user(user: str) -> Call[wire.ContactOut]:
    """Ask how a user is reached."""
    return Call("GET", path("users", user, user=user), reader(wire.ContactOut))


def erase_user(user: str) -> Call[None]:
    """Erase all that is held about a user. Doing it again is fine."""
    return Call("DELETE", path("users", user, user=user), nothing)


def export_user(user: str) -> Call[JsonObject]:
    """Ask for everything that is held about a user (docs/personal-data.md); it can be large."""
    return Call("GET", path("users", user, "export", user=user), reader(JsonObject))


def add_device(
    user: str, token: str, *, kind: Literal["fcm_token"] = "fcm_token", name: str | None = None
) -> Call[wire.DeviceOut]:
    """Store a device that push reaches. The same token again keeps its id."""
    body = encode(wire.DeviceIn(token=token, kind=kind, name=name))
    return Call("POST", path("users", user, "devices", user=user), reader(wire.DeviceOut), body=body)


def devices(user: str) -> Call[wire.DevicesOut]:
    """Ask for a user's devices."""
    return Call("GET", path("users", user, "devices", user=user), reader(wire.DevicesOut))


def remove_device(user: str, device: str) -> Call[None]:
    """Forget a device."""
    return Call("DELETE", path("users", user, "devices", device, user=user, device=device), nothing)


def presence(user: str) -> Call[wire.PresenceOut]:
    """Ask whether a user is connected and looking."""
    return Call("GET", path("users", user, "presence", user=user), reader(wire.PresenceOut))


def disconnect(user: str, *, revoke: bool = False) -> Call[wire.DisconnectOut]:
    """Close a user's connections; with `revoke`, tokens issued until now are refused as well."""
    body = encode(wire.DisconnectIn(revoke=revoke))
    return Call("POST", path("users", user, "disconnect", user=user), reader(wire.DisconnectOut), body=body)


def join_topic(topic: str, users: Collection[str]) -> Call[wire.MembersChangedOut]:
    """Make 1 to 10,000 users members of a topic."""
    return _membership("PUT", topic, users)


def leave_topic(topic: str, users: Collection[str]) -> Call[wire.MembersChangedOut]:
    """End the membership of 1 to 10,000 users."""
    return _membership("DELETE", topic, users)


def _membership(method: str, topic: str, users: Collection[str]) -> Call[wire.MembersChangedOut]:
    body = encode(wire.MembersIn(list(users)))
    return Call(method, path("topics", topic, "members", topic=topic), reader(wire.MembersChangedOut), body=body)


def members_page(topic: str, *, after: str | None = None, limit: int | None = None) -> Call[wire.MembersOut]:
    """Ask for a page of a topic's members, in bytewise order."""
    query = query_of(after=after, limit=limit)
    return Call("GET", path("topics", topic, "members", topic=topic), reader(wire.MembersOut), query=query)


def members(topic: str) -> Series[str]:
    """List all members of a topic, page by page."""
    return pages(lambda after: members_page(topic, after=after, limit=1_000))


def topics_of(user: str) -> Call[wire.TopicsOut]:
    """Ask for the topics that a user is a member of."""
    return Call("GET", path("users", user, "topics", user=user), reader(wire.TopicsOut))
