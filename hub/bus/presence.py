"""Presence shared by all nodes, in Redis (or Valkey).

A hash per user (`c<connection>` → `<time>:<attention>`, `left` → time) that expires by itself. Users are hashed into
partitions (in a cluster, each is one slot), and each partition has two markers:

* `born`: since when its state can be trusted. Whoever finds it missing makes it (a flush, a fresh server); a
  report makes it anew when nobody had reported for `PRESENCE_TTL` (an outage: connections lived on, entries faded).
* `beat`: when any node last reported.

A report is one for every partition, also for those it has no entries of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha1
from typing import Any, NamedTuple

import structlog

from hub.bus.address import read_url
from hub.bus.commands import Commands, Unit
from hub.bus.connection import Command
from hub.bus.names import PARTITIONS, presence_key, presence_marker
from hub.bus.signs import KEEP_MS, Sign, Signs, state_at
from hub.core.model import Attention, InboxKey
from hub.ports import PRESENCE_TTL, PresenceEntry, PresenceState

_log = structlog.get_logger(__name__)

BATCH = 200
"""Users per call and per pipeline: a script blocks the server for as long as it takes."""

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


_SHA = sha1(_REFRESH.encode(), usedforsecurity=False).hexdigest()

TOUCH_AFTER = 5_000
"""Milliseconds after which a report of news is also one for the partitions that it has no news of."""


class RedisPresence:
    """Implements `Presence`. What Redis does not answer within `timeout` seconds is UNKNOWN, never an error.

    For an hour without any user to stay distinguishable from an outage, nodes call `refresh` also with no entries.
    """

    def __init__(self, url: str, *, timeout: float = 2.0) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: the URL is not one of Redis.

        """
        self._commands = Commands(read_url(url), "presence", timeout=timeout, batch=BATCH)
        self._touched_at: int | None = None
        self._warned = False

    async def refresh(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record signs of life; while Redis is away they are lost, and the next ones will do."""
        touch = not entries or self._touched_at is None or now - self._touched_at >= TOUCH_AFTER
        partitions: dict[int, list[_Users]] = {partition: [] for partition in range(PARTITIONS if touch else 0)}
        for user in _by_user(entries):
            partitions.setdefault(user.partition, []).append(user)
        shares = [
            (partition, users[start : start + BATCH])
            for partition, users in partitions.items()
            for start in range(0, max(len(users), 1), BATCH)
        ]
        units = [Unit(partition, (_report(partition, share, now),), max(len(share), 1)) for partition, share in shares]
        answers = await self._commands.run(units, now, before=(("SCRIPT", "LOAD", _REFRESH),))
        if any(isinstance(reply, Exception) for answer in answers for reply in answer or ()):
            self._warn()
        if touch:
            self._touched_at = None if None in answers else now

    async def leave(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record that connections ended; what is lost while Redis is away fades by itself."""
        units = [
            Unit(
                user.partition,
                (
                    ("HDEL", user.name, *map(_field, user.entries)),
                    ("HSET", user.name, "left", now),
                    ("PEXPIRE", user.name, KEEP_MS),
                ),
                1,
            )
            for user in _by_user(entries)
        ]
        await self._commands.run(units, now)

    async def read(self, keys: Sequence[InboxKey], now: int) -> Mapping[InboxKey, PresenceState]:
        """Read users' presence."""
        units = []
        for key in keys:
            partition, name = presence_key(key)
            born = presence_marker(partition, b"born")
            units.append(Unit(partition, (("SET", born, now, "NX"), ("GET", born), ("HGETALL", name)), 1))
        answers = await self._commands.run(units, now)
        return {
            key: self._judge(unit.partition, answer, now)
            for key, unit, answer in zip(keys, units, answers, strict=True)
        }

    async def close(self) -> None:
        """Hang up."""
        await self._commands.close()

    def _judge(self, partition: int, answer: Sequence[Any] | None, now: int) -> PresenceState:
        if answer is None:
            return _UNKNOWN
        _, born, fields = answer
        failed_at = self._commands.failed_at(partition)
        try:
            since = int(born) if failed_at is None else max(int(born), failed_at)
            return state_at(_signs(fields), now, since)
        except (TypeError, ValueError, AttributeError):  # somebody else's data under our keys
            self._warn()
            return _UNKNOWN

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("presence_foreign_data")


_UNKNOWN = PresenceState(Attention.UNKNOWN, 0, None)


class _Users(NamedTuple):
    """What there is to say of one user."""

    partition: int
    name: bytes
    entries: list[PresenceEntry]


def _report(partition: int, users: Sequence[_Users], now: int) -> Command:
    """Return the call of the script for some users of a partition."""
    names = [user.name for user in users]
    keys = (presence_marker(partition, b"born"), presence_marker(partition, b"beat"), *names)
    args: list[bytes | str | int] = [now, PRESENCE_TTL, KEEP_MS]
    for user in users:
        args.append(len(user.entries))
        for entry in user.entries:
            args += (_field(entry), f"{now}:{entry.attention.value}")
    return ("EVALSHA", _SHA, len(keys), *keys, *args)


def _field(entry: PresenceEntry) -> str:
    return f"c{entry.connection}"


def _by_user(entries: Sequence[PresenceEntry]) -> Collection[_Users]:
    users: dict[InboxKey, _Users] = {}
    for entry in entries:
        user = users.get(entry.key)
        if user is None:
            user = users[entry.key] = _Users(*presence_key(entry.key), [])
        user.entries.append(entry)
    return users.values()


def _signs(fields: Mapping[bytes, bytes]) -> Signs:
    signs = Signs()
    for name, value in fields.items():
        if name == b"left":
            signs.left_at = int(value)
            continue
        at, _, attention = value.decode().partition(":")
        signs.connections[name.decode()] = Sign(int(at), Attention(attention))
    return signs
