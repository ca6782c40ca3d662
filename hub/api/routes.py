"""Every REST route and page in one list."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute, Mount
from starlette.types import Scope

from hub.api.deliveries import Deliveries
from hub.api.demo import Demo, DemoGuard
from hub.api.events import Events
from hub.api.health import Health
from hub.api.inbox import Inbox
from hub.api.metrics import Metrics
from hub.api.notifications import Notifications
from hub.api.openapi import Docs
from hub.api.queues import Queues
from hub.api.schedules import Schedules
from hub.api.static import Assets, static_directory
from hub.api.tickets import Tickets
from hub.api.tokens import Tokens
from hub.api.topics import Topics
from hub.api.users import Users
from hub.core.mailbox import DevMailbox
from hub.http.auth import Guard
from hub.keyring import Keyring
from hub.ports import Authenticator
from hub.service import Hub, Operations
from hub.settings import Settings


def api_routes(
    hub: Hub,
    authenticator: Authenticator,
    settings: Settings,
    *,
    operations: Operations,
    draining: Callable[[], bool],
    metrics: CollectorRegistry,
    mailbox: DevMailbox | None = None,
    keyring: Keyring | None = None,
) -> list[BaseRoute]:
    """Return the routes to mount beside the gateway's, with `problems.exception_handlers`.

    `draining` is asked by `/readyz`, `metrics` is what `/metrics` shows. The demo needs a `keyring` that can sign
    its users' tokens, and shows the mails of `mailbox` (without one: none).

    Raises:
        ConfigurationError: the web files are missing.

    """
    guard = Guard(authenticator, hub.clock)
    directory = static_directory()
    routes: list[BaseRoute] = []
    for resource in (
        Notifications(hub, guard, operations),
        Events(hub, guard, operations),
        Schedules(hub, guard),
        Topics(hub, guard),
        Users(hub, guard),
        Queues(operations, guard),
        Deliveries(operations, guard),
        Inbox(hub, guard),
        Tickets(hub, guard),
        Tokens(hub, guard),
        Health(hub, draining),
        Metrics(metrics, guard, settings),
        Docs(directory, hub.clock),
    ):
        routes += resource.routes()
    demo_guard = DemoGuard(settings)
    if keyring is not None:
        routes += Demo(hub, demo_guard, keyring, mailbox, directory).routes()

    def visible(path: str, scope: Scope) -> bool:
        """Hide the demo's files where there is no demo."""
        return not path.startswith("demo") or (keyring is not None and demo_guard.allows(scope))

    routes.append(Mount("/static", Assets(directory, visible), name="static"))
    return routes
