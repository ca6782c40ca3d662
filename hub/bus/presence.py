"""Presence shared by all nodes, in Redis (or Valkey).

A hash per user (`c<connection>` → `<time>:<attention>`, `left` → time) that expires by itself, and two markers:

* `born`: since when the shared state can be trusted. Whoever finds it missing makes it (a flush, a fresh server); a
  report makes it anew when nobody had reported for `PRESENCE_TTL` (an outage: connections lived on, entries faded).
* `beat`: when any node last reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from hub.bus.connect import PREFIX, compound, connection_pool, where
from hub.bus.outage import Outage
from hub.bus.signs import KEEP_MS, Sign, Signs, state_at
from hub.core.model import Attention, InboxKey
from hub.ports import PRESENCE_TTL, PresenceEntry, PresenceState

_USER = f"{PREFIX}presence:user:".encode()
_BORN = f"{PREFIX}presence:born"
_BEAT = f"{PREFIX}presence:beat"

BATCH = 200
"""Users per call: a script blocks the server for as long as it takes."""

_REFRESH = """
local now, ttl = tonumber(ARGV[1]), tonumber(ARGV[2])
local beat = tonumber(redis.call('GET', KEYS[2]) or '0')
if now - beat >= ttl then redis.call('SET', KEYS[1], ARGV[1]) end
if now > beat then redis.call('SET', KEYS[2], ARGV[1]) end
local arg = 4
for user = 3, #KEYS do
  for _ = 1, tonumber(ARGV[arg]) do
    redis.call('HSET', KEYS[user], ARGV[arg + 1], ARGV[arg + 2])
    arg = arg + 2
  end
  arg = arg + 1
  local all = redis.call('HGETALL', KEYS[user])
  for i = 1, #all, 2 do
    local at = string.match(all[i + 1], '^(%d+):')
    if at and now - tonumber(at) >= ttl then redis.call('HDEL', KEYS[user], all[i]) end
  end
  redis.call('PEXPIRE', KEYS[user], ARGV[3])
end
"""
"""KEYS: born, beat, users' hashes. ARGV: now, PRESENCE_TTL, KEEP_MS; for each hash how many pairs, then these.

Signs that have faded are dropped here, so that nodes which died leave nothing behind for a user who is still there.
"""


class RedisPresence:
    """Implements `Presence`. What Redis does not answer within `timeout` seconds is UNKNOWN, never an error.

    For an hour without any user to stay distinguishable from an outage, nodes call `refresh` also with no entries.
    """

    def __init__(self, url: str, *, timeout: float = 2.0) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: the URL is not one of Redis.

        """
        pool = connection_pool(url)
        self._client = Redis.from_pool(pool)
        self._timeout = timeout
        self._outage = Outage("presence", where(pool))
        self._failed_at: int | None = None
        self._refresh = self._client.register_script(_REFRESH)

    async def refresh(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record signs of life; while Redis is away they are lost, and the next ones will do."""
        users = _by_user(entries)
        for start in range(0, max(len(users), 1), BATCH):
            keys: list[str | bytes] = [_BORN, _BEAT]
            args: list[int | str] = [now, PRESENCE_TTL, KEEP_MS]
            for key, theirs in users[start : start + BATCH]:
                keys.append(_hash_of(key))
                args.append(len(theirs))
                for entry in theirs:
                    args += (_field(entry), f"{now}:{entry.attention.value}")
            await self._ask(partial(self._refresh, keys=keys, args=args), now)

    async def leave(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record that connections ended; what is lost while Redis is away fades by itself."""
        users = _by_user(entries)
        for start in range(0, len(users), BATCH):
            pipeline = self._client.pipeline(transaction=False)
            for key, theirs in users[start : start + BATCH]:
                name = _hash_of(key)
                pipeline.hdel(name, *map(_field, theirs))
                pipeline.hset(name, "left", str(now))
                pipeline.pexpire(name, KEEP_MS)
            await self._ask(pipeline.execute, now)

    async def read(self, keys: Sequence[InboxKey], now: int) -> Mapping[InboxKey, PresenceState]:
        """Read users' presence."""
        states: dict[InboxKey, PresenceState] = {}
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            pipeline = self._client.pipeline(transaction=False)
            pipeline.set(_BORN, now, nx=True)
            pipeline.get(_BORN)
            for key in batch:
                pipeline.hgetall(_hash_of(key))
            answer = await self._ask(pipeline.execute, now)
            try:
                states.update(self._judge(batch, answer, now))
            except (TypeError, ValueError) as error:  # somebody else's data under our keys
                self._outage.failed(error)
                states.update(dict.fromkeys(batch, _UNKNOWN))
        return states

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    def _judge(self, keys: Sequence[InboxKey], answer: list[Any] | None, now: int) -> dict[InboxKey, PresenceState]:
        if answer is None:
            return dict.fromkeys(keys, _UNKNOWN)
        _, born, *hashes = answer
        since = int(born) if self._failed_at is None else max(int(born), self._failed_at)
        return {key: state_at(_signs(fields), now, since) for key, fields in zip(keys, hashes, strict=True)}

    async def _ask(self, command: Callable[[], Awaitable[Any]], now: int) -> Any:
        """Return the answer, or None if there is none; that casts doubt on what is read in the next minute."""
        if not self._outage.holding_off:
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await command()
            except (RedisError, OSError) as error:
                self._outage.failed(error)
            else:
                self._outage.worked()
                return answer
        self._failed_at = now
        return None


_UNKNOWN = PresenceState(Attention.UNKNOWN, 0, None)


def _hash_of(key: InboxKey) -> bytes:
    return _USER + compound(*key)


def _field(entry: PresenceEntry) -> str:
    return f"c{entry.connection}"


def _by_user(entries: Sequence[PresenceEntry]) -> list[tuple[InboxKey, list[PresenceEntry]]]:
    users: dict[InboxKey, list[PresenceEntry]] = {}
    for entry in entries:
        users.setdefault(entry.key, []).append(entry)
    return list(users.items())


def _signs(fields: Mapping[bytes, bytes]) -> Signs:
    signs = Signs()
    for name, value in fields.items():
        if name == b"left":
            signs.left_at = int(value)
            continue
        at, _, attention = value.decode().partition(":")
        signs.connections[name.decode()] = Sign(int(at), Attention(attention))
    return signs
