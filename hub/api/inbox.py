"""`/v1/inbox`: a user's own inbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.paths import id_of
from hub.api.responses import json_response
from hub.core import wire
from hub.core.errors import InvalidRequest
from hub.core.marks import selection_of
from hub.core.model import InboxQuery, MarkAction
from hub.core.text import check_category
from hub.core.views import parse_page_token, parse_rfc3339
from hub.http.auth import Guard
from hub.http.bodies import read_json
from hub.http.queries import read_flag, read_int, read_query
from hub.service import Hub

DEFAULT_LIMIT = 25
MAX_LIMIT = 100

_QUERY = frozenset({"status", "category", "archived", "snoozed", "after", "limit"})
_MARK = msgspec.json.Decoder(wire.MarkIn)
_PATCH = msgspec.json.Decoder(wire.ItemPatchIn)


class Inbox:
    """Reading and marking; all of it with the user's own token."""

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            Route("/v1/inbox", self.page, methods=["GET"]),
            Route("/v1/inbox/count", self.count, methods=["GET"]),
            *(
                Route(f"/v1/inbox/{action.value}", self._marking(action), methods=["POST"], name=action.value)
                for action in MarkAction
            ),
            Route("/v1/inbox/{id}", self.show, methods=["GET"]),
            Route("/v1/inbox/{id}", self.patch, methods=["PATCH"]),
        ]

    async def page(self, request: Request) -> Response:
        """List a page, newest first."""
        key = self._guard.require_user(request)
        return json_response(await self._hub.inbox.page(key, inbox_query(request)))

    async def count(self, request: Request) -> Response:
        """Show the badge."""
        key = self._guard.require_user(request)
        read_query(request, ())
        return json_response(await self._hub.inbox.count(key))

    async def show(self, request: Request) -> Response:
        """Show one item."""
        key = self._guard.require_user(request)
        return json_response(await self._hub.inbox.item(key, id_of(request)))

    async def patch(self, request: Request) -> Response:
        """Change one item."""
        key = self._guard.require_user(request)
        patch = await read_json(request, _PATCH)
        return json_response(await self._hub.inbox.patch_item(key, id_of(request), patch))

    def _marking(self, action: MarkAction) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint that applies `action` to many items."""

        async def mark(request: Request) -> Response:
            key = self._guard.require_user(request)
            body = await read_json(request, _MARK)
            selection = selection_of(body.ids, all_=body.all, through=body.through)
            until = None if body.until is None else parse_rfc3339(body.until, "$.until")
            return json_response((await self._hub.inbox.mark(key, action, selection, until)).out)

        return mark


def inbox_query(request: Request) -> InboxQuery:
    """Read what a listing asks for.

    Raises:
        InvalidRequest: naming the parameter at fault.

    """
    values = read_query(request, _QUERY)
    status = values.get("status", "all")
    if status not in {"unread", "read", "unseen", "all"}:
        raise InvalidRequest("must be unread, read, unseen or all", pointer="status")
    category = values.get("category")
    after = values.get("after")
    return InboxQuery(
        unread={"unread": True, "read": False}.get(status),
        unseen=True if status == "unseen" else None,
        category=None if category is None else check_category(category, "category"),
        archived=read_flag(values, "archived"),
        snoozed=read_flag(values, "snoozed"),
        after=None if after is None else parse_page_token(after),
        limit=read_int(values, "limit", DEFAULT_LIMIT, at_least=1, at_most=MAX_LIMIT),
    )
