"""Tokens that were revoked: every node knows them all, so that checking a token costs no read of the database.

A revocation is stored first. Then every node hears of it over the bus, on a channel of the whole tenant, whoever is
connected there; what a node did not hear it reads within `RELOAD_INTERVAL`, and at once after a gap in the bus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec
import structlog

from hub.core.errors import StoreUnavailable, Unauthenticated
from hub.core.model import InboxKey, TopicKey
from hub.core.wire import LiveChange, RevokedBefore, SharedChange
from hub.ports import EVERYBODY, Authenticator, Bus, Clock, Identity, Revocations

REVOKED_EVENT = "revoked"
"""Marks what travels over a tenant's channel of the bus."""

RELOAD_INTERVAL = 30.0
"""Seconds after which a revocation that was not heard of has been read, at the latest."""

RELOAD_RETRY = 1.0
"""Seconds until reading is tried again after the database was away."""

OVERLAP = 600_000
"""Milliseconds that a reload looks back beyond the last: a revocation is stamped before it is committed, by a clock
that may differ from ours. Longer than a write with all its repetitions lasts."""

log = structlog.get_logger(__name__)


class RevokedTokens:
    """Implements `BusListener`. One row a user ever revoked is kept in memory: some 200 bytes.

    A token is refused if a revocation of its user, or of its whole tenant, is later than the token's `iat`, or if
    there is one and the token has no `iat`. Most issuers write `iat` in whole seconds, rounded down: a token of the
    very second of the revocation cannot be told from one issued just before, and is refused. So a user who signs in
    again within that second needs another token a second later; an issuer that writes fractions is told apart.
    """

    def __init__(self, store: Revocations, clock: Clock, *, interval: float = RELOAD_INTERVAL) -> None:
        self.on_news: Callable[[InboxKey], object] = _nothing
        """Called with whom a revocation is for (the user may be `EVERYBODY`) when this process learns of it; must
        close the connections that it `covers`. Connections made after that have been checked against it."""
        self._store = store
        self._clock = clock
        self._interval = interval
        self._before: dict[InboxKey, int] = {}
        self._read_until = 0
        self._gap = asyncio.Event()

    def covers(self, key: InboxKey, issued_at: int | None) -> bool:
        """Tell whether a token of this user that was issued then (None: it does not say) is revoked."""
        if not self._before:
            return False
        own = self._before.get(key, 0)
        before = max(own, self._before.get(InboxKey(key.tenant, EVERYBODY), 0))
        return before > 0 and (issued_at is None or issued_at < before)

    def checked(self, identity: Identity) -> Identity:
        """Return what was given.

        Raises:
            Unauthenticated: the token behind it was revoked.

        """
        if self.covers(identity.key, identity.issued_at):
            raise Unauthenticated("the token was revoked; get a new one")
        return identity

    async def revoke(self, key: InboxKey) -> int:
        """Revoke every token issued until now, and return when that is; other processes have yet to be told.

        Raises:
            StoreUnavailable: it may or may not be stored; repeating is safe.

        """
        now = self._clock.now()
        await self._store.revoke(key, now, now)
        self._learn(key, now)
        return now

    async def listen(self, bus: Bus, tenants: Iterable[str]) -> None:
        """Begin to hear of revocations, then read all there are: a process that has not is not ready.

        Raises:
            StoreUnavailable: they cannot be read.

        """
        await bus.subscribe([InboxKey(tenant, EVERYBODY) for tenant in tenants])
        await self.load()

    async def load(self) -> None:
        """Read what was revoked since the last time.

        Raises:
            StoreUnavailable: the database is away; what is known stays in force.

        """
        began = self._clock.now()
        for revocation in await self._store.since(self._read_until - OVERLAP):
            self._learn(*revocation)
        self._read_until = began

    async def keep(self) -> None:
        """Read again at intervals and after gaps in the bus, for as long as the process lives."""
        delay = self._interval
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._gap.wait()
            self._gap.clear()
            delay = self._interval
            try:
                await self.load()
            except StoreUnavailable:
                log.warning("store_away", task="revocations")
                delay = min(delay, RELOAD_RETRY)
            except Exception as error:  # noqa: BLE001 - without this task a revocation could stay unknown for ever
                # Not the message: it may quote values.
                log.error("task_failed", task="revocations", error=type(error).__name__)  # noqa: TRY400 - see above
                delay = min(delay, RELOAD_RETRY)

    # BusListener

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        """Take in what was revoked elsewhere."""
        if change.event != REVOKED_EVENT:
            return
        try:
            revoked = msgspec.json.decode(change.frame or b"", type=RevokedBefore)
        except msgspec.DecodeError:
            log.warning("revocation_not_understood")  # from a node of another version: the next reload has it
            self._gap.set()
            return
        self._learn(InboxKey(key.tenant, revoked.user), revoked.issued_before)

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        """Leave that to the gateway."""

    def on_gap(self) -> None:
        """Read now what may have been missed."""
        self._gap.set()

    def on_due(self, due_at: int) -> None:
        """Leave that to workers."""

    def _learn(self, key: InboxKey, issued_before: int) -> None:
        if issued_before > self._before.get(key, 0):
            self._before[key] = issued_before
            self.on_news(key)


class RevokingAuthenticator:
    """An `Authenticator` that refuses revoked tokens too."""

    def __init__(self, authenticator: Authenticator, revoked: RevokedTokens) -> None:
        self._authenticator = authenticator
        self._revoked = revoked

    def user(self, token: str, now: int) -> Identity:
        """See `ports.Authenticator.user`."""
        return self._revoked.checked(self._authenticator.user(token, now))

    def publisher(self, api_key: str) -> str:
        """See `ports.Authenticator.publisher`."""
        return self._authenticator.publisher(api_key)


def revocation(key: InboxKey, issued_before: int) -> tuple[InboxKey, LiveChange]:
    """Return what tells every node of a revocation."""
    note = msgspec.json.encode(RevokedBefore(key.user, issued_before))
    return InboxKey(key.tenant, EVERYBODY), LiveChange("", 0, REVOKED_EVENT, note)


def _nothing(_: InboxKey) -> None:
    """Close no connection: there are none."""
