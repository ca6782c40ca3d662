"""Which server is responsible for which partition, and learning anew when that changes."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Protocol

from hub.bus.address import Address, Kind, Server
from hub.bus.connection import REDIS_ERRORS, ask_first
from hub.bus.names import PARTITIONS, SLOTS
from hub.bus.outage import Outage

_NOBODY: tuple[Server | None, ...] = (None,) * PARTITIONS


class Topology(Protocol):
    """The servers, as last learnt. `refresh` raises `OSError` while nobody can be asked."""

    @property
    def owners(self) -> Sequence[Server | None]:
        """The server of each partition; None before anything was learnt."""
        ...

    async def refresh(self) -> bool:
        """Learn anew; True if something changed."""
        ...


async def learn(topology: Topology, outage: Outage, within: float) -> bool:
    """Learn anew, in so many seconds; False if nobody could say, now or (by the outage) just before."""
    if outage.holding_off:
        return False
    try:
        async with asyncio.timeout(within):
            await topology.refresh()
    except REDIS_ERRORS as error:
        outage.failed(error)
        return False
    outage.worked()
    return True


def topology_of(address: Address, *, timeout: float) -> Topology:
    """Return what fits an address; `timeout` (seconds) bounds each server that is asked."""
    if address.kind is Kind.SENTINEL:
        return Sentinel(address, timeout)
    if address.kind is Kind.CLUSTER:
        return Cluster(address, timeout)
    return Single(address)


class Single:
    """One server by its name, which may come to stand for another machine (a failover by DNS).

    Believed when two answers in a row share no address with the one before: a name that stands for several machines
    in rotation is none that moved.
    """

    def __init__(self, address: Address) -> None:
        (self._server,) = address.seeds
        self.owners: Sequence[Server | None] = (self._server,) * PARTITIONS
        self._known: frozenset[object] = frozenset()
        self._doubted = False

    async def refresh(self) -> bool:
        """Look the name up again."""
        if not self._server.port or _is_literal(self._server.host):
            return False
        found = await asyncio.get_running_loop().getaddrinfo(
            self._server.host, self._server.port, type=socket.SOCK_STREAM
        )
        addresses = frozenset(answer[4][:2] for answer in found)
        if not self._known or addresses & self._known:
            self._known, self._doubted = addresses, False
            return False
        if not self._doubted:
            self._doubted = True
            return False
        self._known, self._doubted = addresses, False
        self._server = self._server._replace(generation=self._server.generation + 1)
        self.owners = (self._server,) * PARTITIONS
        return True


class Sentinel:
    """The primary that the sentinels name now."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._sentinels = list(address.seeds)
        self._timeout = timeout
        self.owners: Sequence[Server | None] = _NOBODY

    async def refresh(self) -> bool:
        """Ask the sentinels one after the other, first the one that answered last."""
        command = ("SENTINEL", "get-master-addr-by-name", self._address.service)
        sentinel, reply = await ask_first(self._sentinels, self._address.sentinel_login, command, self._timeout)
        self._sentinels.sort(key=lambda other: other != sentinel)
        try:
            host, port = reply
            primary = Server(host.decode(), int(port))
        except (TypeError, ValueError, AttributeError):
            raise ConnectionRefusedError("not a sentinel") from None
        changed = self.owners[0] != primary
        self.owners = (primary,) * PARTITIONS
        return changed


class Cluster:
    """The primary of each partition's slot. A slot that nobody serves stays with whoever had it."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self.owners: Sequence[Server | None] = _NOBODY

    async def refresh(self) -> bool:
        """Ask any server: those known first, at random, so that no stale one is believed for ever."""
        known = list({owner for owner in self.owners if owner is not None})
        random.shuffle(known)
        asked = [*known, *(seed for seed in self._address.seeds if seed not in known)]
        server, reply = await ask_first(asked, self._address.login, ("CLUSTER", "SLOTS"), self._timeout)
        try:
            owners = self._owners_in(reply, server)
        except (TypeError, ValueError, IndexError, AttributeError):
            raise ConnectionRefusedError("not a cluster") from None
        if not any(owners):
            raise ConnectionRefusedError("a cluster without slots")
        changed = owners != self.owners
        self.owners = owners
        return changed

    def _owners_in(self, ranges: list[Any], asked: Server) -> tuple[Server | None, ...]:
        owners = list(self.owners)
        for first, last, (host, port, *_), *_ in ranges:
            # A server that does not know its own address means: the one you asked.
            server = Server(host.decode() if host and host != b"?" else asked.host, port)
            for partition, slot in enumerate(SLOTS):
                if first <= slot <= last:
                    owners[partition] = server
        return tuple(owners)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
