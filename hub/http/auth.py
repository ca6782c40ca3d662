"""Who is calling: API keys for publishers, JWTs for users, both as `Authorization: Bearer …`."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from hub.core.errors import Forbidden, Unauthenticated
from hub.core.model import InboxKey
from hub.ports import Authenticator, Clock, Identity


class Guard:
    """Lets requests in, and tells those at the wrong door where the right one is."""

    def __init__(self, authenticator: Authenticator, clock: Clock) -> None:
        self._authenticator = authenticator
        self._clock = clock

    def require_publisher(self, request: HTTPConnection) -> str:
        """Return the tenant whose API key the request carries.

        Raises:
            Unauthenticated: no credentials, or wrong ones.
            Forbidden: a user's token, which cannot make this call.

        """
        token = bearer(request)
        try:
            return self._authenticator.publisher(token)
        except Unauthenticated:
            if not _looks_like_jwt(token):
                raise
        self._user(token)
        raise Forbidden("this call needs an API key; a user's token cannot make it")

    def require_user(self, request: HTTPConnection) -> InboxKey:
        """Return whose token the request carries; raises as `identity` does."""
        return self.identity(request).key

    def identity(self, request: HTTPConnection) -> Identity:
        """Return whose token the request carries, and until when it is good.

        Raises:
            Unauthenticated: no credentials, or wrong ones.
            Forbidden: an API key, which is nobody's inbox.

        """
        token = bearer(request)
        if _looks_like_jwt(token):
            return self._authenticator.user(token, self._clock.now())
        try:
            self._authenticator.publisher(token)
        except Unauthenticated:
            raise Unauthenticated("this call needs a user's token (a JWT)") from None
        raise Forbidden("this call needs a user's token (a JWT); an API key has no inbox")

    def require_publisher_or_self(self, request: HTTPConnection, user: str) -> InboxKey:
        """Return the key of `user`, for the tenant's publisher and for that very user.

        Raises:
            Unauthenticated: no credentials, or wrong ones.
            Forbidden: another user's token.

        """
        token = bearer(request)
        try:
            return InboxKey(self._authenticator.publisher(token), user)
        except Unauthenticated:
            if not _looks_like_jwt(token):
                raise
        key = self._user(token)
        if key.user != user:
            raise Forbidden("this is another user's; a user's token reaches only what is their own")
        return key

    def _user(self, token: str) -> InboxKey:
        return self._authenticator.user(token, self._clock.now()).key


def bearer(request: HTTPConnection) -> str:
    """Return the token of the one `Authorization: Bearer …` header (RFC 6750 section 2.1).

    Raises:
        Unauthenticated: there is none, more than one, or of another scheme.

    """
    headers = request.headers.getlist("authorization")
    if len(headers) != 1:
        raise Unauthenticated("send exactly one header Authorization: Bearer <API key or user's token>")
    scheme, _, token = headers[0].partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("send Authorization: Bearer <API key or user's token>")
    return token


def _looks_like_jwt(token: str) -> bool:
    """Whether it has a JWT's three parts; only used to choose which error helps."""
    return token.count(".") == 2  # noqa: PLR2004 - header.payload.signature
