"""Running batches of commands at the servers responsible for them, over redis-py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import AskError, ClusterDownError, ReadOnlyError, RedisError, ResponseError, TryAgainError

from hub.bus.address import Address, Server
from hub.bus.connection import Command
from hub.bus.outage import Outage
from hub.bus.topology import learn, topology_of

_MOVED = (AskError, ClusterDownError, ReadOnlyError, TryAgainError)
"""Replies of a server that is not, or not now, responsible. (`MovedError` is an `AskError`.)"""


class Unit(NamedTuple):
    """Commands of one partition that belong together, and how many users they are about."""

    partition: int
    commands: Sequence[Command]
    users: int


class Commands:
    """Asks servers in pipelines. What could not be asked is answered with None, never with an exception."""

    def __init__(self, address: Address, part: str, *, timeout: float, batch: int) -> None:
        """`part` names the user of this in the log; `timeout` (seconds) bounds a pipeline of `batch` users."""
        self._address = address
        self._part = part
        self._timeout = timeout
        self._batch = batch
        self._topology = topology_of(address, timeout=timeout)
        self._looking = Outage(part, str(address))
        self._outdated = not any(self._topology.owners)
        self._clients: dict[Server, Redis] = {}
        self._outages: dict[Server, Outage] = {}
        self._failed_at: dict[int, int] = {}

    def failed_at(self, partition: int) -> int | None:
        """Tell when (by the `now` given) a partition was last not to be asked."""
        return self._failed_at.get(partition)

    async def run(self, units: Sequence[Unit], now: int, *, before: Sequence[Command] = ()) -> list[list[Any] | None]:
        """Return each unit's replies, with an exception for each error reply; None for a unit not run.

        `before` is sent ahead of every pipeline. A unit whose partition has moved is run once more where it is now.
        """
        answers: list[list[Any] | None] = [None] * len(units)
        if self._outdated:
            await self._look()
        todo = await self._round(units, range(len(units)), answers, before)
        if todo and await self._look():
            await self._round(units, todo, answers, before)
        for unit, answer in zip(units, answers, strict=True):
            if answer is None:
                self._distrust(unit.partition, now)
        return answers

    def try_again(self) -> None:
        """Forget earlier failures."""
        for outage in (self._looking, *self._outages.values()):
            outage.worked()

    async def close(self) -> None:
        """Hang up. Idempotent."""
        while self._clients:
            await self._clients.popitem()[1].aclose()

    async def _round(
        self, units: Sequence[Unit], todo: Iterable[int], answers: list[list[Any] | None], before: Sequence[Command]
    ) -> list[int]:
        """Run some units side by side at their servers; return those that another server is to be asked for."""
        shares: dict[Server, list[int]] = {}
        for number in todo:
            owner = self._topology.owners[units[number].partition]
            if owner is not None:
                shares.setdefault(owner, []).append(number)

        async def run_share(server: Server, share: list[int]) -> None:
            for numbers in self._batches(units, share):
                commands = [*before, *(command for number in numbers for command in units[number].commands)]
                replies = await self._ask(server, commands)
                if replies is None:
                    return
                position = len(before)
                for number in numbers:
                    end = position + len(units[number].commands)
                    answers[number] = replies[position:end]
                    position = end

        await asyncio.gather(*(run_share(server, share) for server, share in shares.items()))
        moved = [number for number in todo if any(isinstance(reply, _MOVED) for reply in answers[number] or ())]
        for number in moved:
            answers[number] = None
        self._outdated = self._outdated or bool(moved)
        return moved

    def _batches(self, units: Sequence[Unit], share: Sequence[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        users = 0
        for number in share:
            if batch and users + units[number].users > self._batch:
                yield batch
                batch, users = [], 0
            batch.append(number)
            users += units[number].users
        yield batch

    async def _ask(self, server: Server, commands: Sequence[Command]) -> list[Any] | None:
        outage = self._outages.setdefault(server, Outage(self._part, str(server)))
        if outage.holding_off:
            return None
        client = self._clients.get(server)
        if client is None:
            client = self._clients[server] = Redis.from_pool(self._address.pool(server))
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            async with asyncio.timeout(self._timeout):
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            outage.failed(error)
            self._outdated = True
            return None
        if all(isinstance(reply, ResponseError) and not isinstance(reply, _MOVED) for reply in replies):
            outage.failed(replies[0])  # it answers, but will not do anything for us
            return None
        outage.worked()
        return replies

    async def _look(self) -> bool:
        """Ask who is responsible for what; False if nobody could say, lately or now."""
        if not await learn(self._topology, self._looking, self._timeout):
            return False
        self._outdated = not any(self._topology.owners)
        gone = self._clients.keys() - set(self._topology.owners)
        for server in gone:
            self._outages.pop(server, None)
            await self._clients.pop(server).aclose()
        return True

    def _distrust(self, partition: int, now: int) -> None:
        """Note that a partition's server was away: for a while all that it says is in doubt."""
        server = self._topology.owners[partition]
        if self._failed_at.get(partition) != now:
            self._failed_at.update((other, now) for other, owner in enumerate(self._topology.owners) if owner == server)
