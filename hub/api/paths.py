"""Ids in paths."""

from __future__ import annotations

from urllib.parse import unquote
from uuid import UUID

from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import Scope

from hub.core.errors import NotFound
from hub.core.text import check_id


class EncodedRoute(Route):
    """A route whose parameters may hold any character, percent-encoded: the user `team/7` is `team%2F7`.

    Servers decode `path` before they pass it on, and then a slash inside an id splits it; so this matches
    the path as it was sent, and decodes each parameter by itself.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `Route.matches`."""
        raw: bytes = scope.get("raw_path") or b""
        if b"%" not in raw:
            return super().matches(scope)
        match, child = super().matches({**scope, "path": raw.decode("latin-1")})
        if match is Match.NONE:
            return match, child
        try:
            for name in self.param_convertors:
                child["path_params"][name] = unquote(child["path_params"][name], errors="strict")
        except UnicodeDecodeError:
            return Match.NONE, {}
        return match, child


def user_of(request: Request) -> str:
    """Return the user's id in the path.

    Raises:
        InvalidRequest: it cannot be a user's id.

    """
    return check_id(request.path_params["user"], "user")


def id_of(request: Request, name: str = "id") -> UUID:
    """Return the UUID in the path.

    Raises:
        NotFound: what is there is not a UUID, so nothing can have it as its id.

    """
    try:
        return UUID(request.path_params[name])
    except ValueError:
        raise NotFound("there is nothing with this id") from None
