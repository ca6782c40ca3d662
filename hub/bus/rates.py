"""Rate limits shared by all processes, in Redis (or Valkey): the same bookkeeping as `hub.core.rates.Window`.

A list per rate holds the times of its last calls, the latest first. It expires once it says nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from hub.bus.address import read_url
from hub.bus.commands import Commands, Unit
from hub.bus.connection import Command
from hub.bus.memory import MemoryRateLimiter
from hub.bus.names import rate_keys
from hub.core.rates import Leave, Rate

_TAKE = """
local now, calls, patience = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local at = now
for i, key in ipairs(KEYS) do
  local count, period = tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
  local last, too_late = redis.call('LINDEX', key, 0), redis.call('LINDEX', key, count - calls)
  if last then at = math.max(at, tonumber(last)) end
  if too_late then at = math.max(at, tonumber(too_late) + period) end
end
if at > now + patience then return {0, at} end
local time = string.format('%.0f', at)
for i, key in ipairs(KEYS) do
  local count, period = tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
  for _ = 1, calls do redis.call('LPUSH', key, time) end
  redis.call('LTRIM', key, 0, count - 1)
  redis.call('PEXPIRE', key, at - now + period)
end
return {calls, at}
"""
"""KEYS: a list for each rate. ARGV: now, calls, patience; for each rate count and period."""

_SHA = sha1(_TAKE.encode(), usedforsecurity=False).hexdigest()


class RedisRateLimiter:
    """Implements `RateLimiter`. While Redis is away every process keeps the whole limit by itself.

    Then all of them together may call that many times as often: notifications rather wait for no Redis, and a provider
    that has enough says so (`Retry-After`).
    """

    def __init__(self, url: str, *, timeout: float = 2.0) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: the URL is not one of Redis.

        """
        self._commands = Commands(read_url(url), "rate limits", timeout=timeout, batch=1)
        self._alone = MemoryRateLimiter()

    async def take(self, name: str, rates: Sequence[Rate], now: int, calls: int, patience: int) -> Leave:
        """Give leave for calls; see the port."""
        partition, keys = rate_keys(name, rates)
        numbers = [number for rate in rates for number in rate]
        command: Command = ("EVALSHA", _SHA, len(keys), *keys, now, calls, patience, *numbers)
        unit = Unit(partition, (("SCRIPT", "LOAD", _TAKE), command), 1)
        [answer] = await self._commands.run([unit], now)
        leave = None if answer is None else _leave(answer[-1])
        if leave is None:
            return await self._alone.take(name, rates, now, calls, patience)
        if leave.calls:  # known to this process too, so that it does not begin anew where Redis goes away
            await self._alone.take(name, rates, now, calls, patience)
        return leave

    async def close(self) -> None:
        """Hang up."""
        await self._commands.close()


def _leave(reply: Any) -> Leave | None:
    match reply:
        case [int(calls), int(at)]:
            return Leave(calls, at)
    return None
