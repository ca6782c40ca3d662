"""The demo page's endpoints: tokens for two made-up users, publishing to them, and the development mailbox.

They exist only where nobody but the machine's own user can reach them, or where the operator said `BELLWIRE_DEMO=1`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from hub.api.notifications import MAX_PUBLISH, PUBLISH, published
from hub.api.paths import id_of
from hub.api.responses import json_response
from hub.api.static import content_security_policy, page
from hub.core import wire
from hub.core.errors import InvalidRequest, NotFound
from hub.core.mailbox import DevMailbox, DevMessage
from hub.core.model import InboxKey
from hub.core.views import rfc3339
from hub.http.bodies import read_json, require_json
from hub.http.local import is_local
from hub.http.queries import read_int, read_query
from hub.keyring import DEFAULT_TENANT, Keyring
from hub.service import Hub
from hub.settings import Settings

TOKEN_LIFETIME = 3_600_000
"""Milliseconds; the page asks for new tokens before they end."""

# The mails are shown in sandboxed frames, which inherit the page's policy: they may have inline styles, the
# only kind that mail programs understand, but nothing that runs or calls home.
_PAGE_POLICY = content_security_policy(
    {"style-src": "'self' 'unsafe-inline'", "frame-src": "'self'", "frame-ancestors": "'self'"}
)


class DemoUser(msgspec.Struct, frozen=True):
    """Somebody to try things out with."""

    user: str
    name: str
    email: str


DEMO_USERS: Final = (
    DemoUser("ada", "Ada Lovelace", "ada@example.com"),
    DemoUser("grace", "Grace Hopper", "grace@example.com"),
)
_USERS = frozenset(demo.user for demo in DEMO_USERS)
_EMAILS = frozenset(demo.email for demo in DEMO_USERS)


class DemoSessionUser(DemoUser, frozen=True):
    """A demo user with a token."""

    token: str


class DemoGuard:
    """Decides for each request whether the demo exists."""

    def __init__(self, settings: Settings) -> None:
        self.open = settings.demo is True
        """Whether everybody who can connect may use it."""
        self.enabled = self.open or (settings.demo is None and settings.development)

    def allows(self, scope: Scope) -> bool:
        """Whether this request comes from this machine's browser (or an open demo's page), and from no other site's."""
        if not self.open:
            return self.enabled and is_local(scope)
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            return False
        # A proxy in front may have taken the TLS off, so the scheme is not compared.
        return not origins or origins[0].lower().partition("://")[2] == hosts[0].lower()


class DemoRoute(Route):
    """A route that is not there (404, whatever the method) where the guard refuses."""

    guard: DemoGuard

    @classmethod
    def of(cls, guard: DemoGuard, route: Route) -> DemoRoute:
        """Put `route` behind the guard."""
        made = cls(route.path, route.endpoint, methods=list(route.methods or ()), include_in_schema=False)
        made.guard = guard
        return made

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route.matches`."""
        match, child = super().matches(scope)
        return (match, child) if match is Match.NONE or self.guard.allows(scope) else (Match.NONE, {})


class Demo:
    """The demo page and what it calls."""

    def __init__(
        self, hub: Hub, guard: DemoGuard, keyring: Keyring, mailbox: DevMailbox | None, directory: Path
    ) -> None:
        self._hub = hub
        self._guard = guard
        self._keyring = keyring
        self._mailbox = mailbox
        self._page = directory / "demo.html"

    def routes(self) -> list[BaseRoute]:
        """Return the routes, none if the demo is off altogether."""
        if not self._guard.enabled:
            return []
        routes = [
            Route("/", self.page, methods=["GET"]),
            Route("/demo/session", self.session, methods=["POST"]),
            Route("/demo/notifications", self.publish, methods=["POST"]),
            Route("/demo/notifications/{id}", self.show, methods=["GET"]),
            Route("/demo/mail", self.mail, methods=["GET"]),
        ]
        return [DemoRoute.of(self._guard, route) for route in routes]

    async def page(self, _: Request) -> Response:
        """Show the demo page."""
        return page(self._page, _PAGE_POLICY)

    async def session(self, request: Request) -> Response:
        """Give out tokens for the demo's users, and see to it that they can be mailed. A body is not read."""
        require_json(request, declared=True)
        users = [await self._sign_in(demo) for demo in DEMO_USERS]
        return json_response({"users": users})

    async def publish(self, request: Request) -> Response:
        """Publish to the demo's own users: an open demo must not become a mail relay."""
        body = await read_json(request, PUBLISH, limit=MAX_PUBLISH, declared=True)
        recipients = body.recipients
        if isinstance(recipients, wire.AudienceIn) or not all(
            isinstance(recipient, str) and recipient in _USERS for recipient in recipients
        ):
            raise InvalidRequest(f"the demo publishes to {' and '.join(sorted(_USERS))} only", pointer="$.recipients")
        outcome = await self._hub.notifications.publish(DEFAULT_TENANT, body, None)
        return published(request, outcome, "/demo/notifications")

    async def show(self, request: Request) -> Response:
        """Tell what became of a notification that went to the demo's users and to nobody else."""
        notification = await self._hub.notifications.status(DEFAULT_TENANT, id_of(request))
        reached = {recipient.user for recipient in notification.recipients}
        reached.update(delivery.recipient for delivery in notification.deliveries)
        if notification.shared is not None or not reached <= _USERS:
            raise NotFound("there is no such notification")
        return json_response(notification)

    async def mail(self, request: Request) -> Response:
        """List what the development provider sent after `since`; all of it again if the server began anew."""
        values = read_query(request, ("since",))
        since = read_int(values, "since", 0, at_least=0, at_most=2**53)
        messages = [] if self._mailbox is None else self._mailbox.messages()
        if self._guard.open:
            messages = [message for message in messages if message.to in _EMAILS]
        if messages and since <= messages[-1].seq:
            messages = [message for message in messages if message.seq > since]
        return json_response({"messages": [_message_view(message) for message in messages]})

    async def _sign_in(self, demo: DemoUser) -> DemoSessionUser:
        try:
            known = (await self._hub.users.contact(DEFAULT_TENANT, demo.user)).email is not None
        except NotFound:
            known = False
        if not known:
            contact = wire.ContactIn(email=demo.email, name=demo.name)
            await self._hub.users.put_contact(DEFAULT_TENANT, demo.user, contact)
        key = InboxKey(DEFAULT_TENANT, demo.user)
        token = self._keyring.issue(key, self._hub.clock.now(), TOKEN_LIFETIME)
        return DemoSessionUser(demo.user, demo.name, demo.email, token)


def _message_view(message: DevMessage) -> dict[str, object]:
    return {
        "seq": message.seq,
        "channel": message.channel,
        "to": message.to,
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "sent_at": rfc3339(message.sent_at),
    }
