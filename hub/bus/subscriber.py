"""The receiving half of the Redis bus: a link to each server, and every channel at the one responsible for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from hub.bus.address import Address, Kind, Server
from hub.bus.connection import REDIS_ERRORS
from hub.bus.link import BackOff, Callbacks, Link, Watchfulness
from hub.bus.names import PARTITIONS, partition_in
from hub.bus.outage import Outage
from hub.bus.subscriptions import Entry, Target, Waiter
from hub.bus.topology import Topology

_log = structlog.get_logger(__name__)

Wish = tuple[int, bytes, Target]
"""Partition, channel, and whose it is."""


class Subscriber:
    """Keeps the wanted channels subscribed, wherever the servers move them.

    What it does is asked for on the event loop and done over the links; one task watches the topology.
    """

    def __init__(
        self,
        address: Address,
        topology: Topology,
        callbacks: Callbacks,
        watch: Watchfulness,
        *,
        linger: float,
        on_moved: Callable[[], None],
    ) -> None:
        """`linger` (seconds): a channel wanted no more is kept for once to twice as long.

        `on_moved` is called after partitions have found another server.
        """
        self._address = address
        self._topology = topology
        self._callbacks = callbacks
        self._watch = watch
        self._linger = linger
        self._on_moved = on_moved
        self._outage = Outage("topology", str(address))
        self._trouble = asyncio.Event()
        nowhere = self._link(None)
        self._links: dict[Server | None, Link] = {None: nowhere}
        self._homes = [nowhere] * PARTITIONS
        self._task: asyncio.Task[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    async def start(self, wait: float) -> None:
        """Begin to listen, and to watch for servers; waits at most `wait` seconds to learn of the first."""
        try:
            async with asyncio.timeout(wait):
                await self._topology.refresh()
        except REDIS_ERRORS as error:
            self._outage.failed(error)
        self._rearrange()
        self._task = asyncio.create_task(self._watch_topology(), name="bellwire-bus-topology")

    async def close(self) -> None:
        """Hang up, and let everybody go who waits. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._sweeping is not None:
            self._sweeping.cancel()
        for link in self._links.values():
            await link.stop()
            link.subscriptions.release_all()
        if self._stopping:
            await asyncio.wait(self._stopping)

    @property
    def listening(self) -> bool:
        """Whether any server is being listened to; one shard that is away is no reason to send users elsewhere."""
        return any(link.listening for link in self._links.values())

    async def subscribe(self, wishes: Sequence[Wish], wait: float) -> None:
        """Want channels and wait for the confirmations, at most `wait` seconds."""
        waiter = Waiter()
        for partition, channel, target in wishes:
            self._homes[partition].subscriptions.add(channel, target, waiter)
        if waiter.left:
            await asyncio.wait((waiter.done,), timeout=wait)
            if not waiter.done.done():
                for partition, channel, _ in wishes:
                    self._homes[partition].subscriptions.give_up((channel,))

    def unsubscribe(self, channels: Iterable[tuple[int, bytes]]) -> None:
        """Hear these no more from now on; the servers are told later, unless they are wanted again by then."""
        for partition, channel in channels:
            self._homes[partition].subscriptions.remove(channel)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self._linger, self._sweep)

    def _sweep(self) -> None:
        more = [link.subscriptions.sweep() for link in self._links.values()]
        again = any(more)
        self._sweeping = asyncio.get_running_loop().call_later(self._linger, self._sweep) if again else None

    async def _watch_topology(self) -> None:
        """Look every so often, and soon after a link is in trouble, whether the servers have changed their parts."""
        pace = BackOff()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(0 if None in self._links else self._watch.probe_every) as quiet:
                    await self._trouble.wait()
            if quiet.expired() and None not in self._links:
                pace.reset()
            else:
                await asyncio.sleep(pace.next())
            self._trouble.clear()
            try:
                changed = await self._topology.refresh()
            except REDIS_ERRORS as error:
                self._outage.failed(error)
            except Exception:  # noqa: BLE001 - or servers that move would never be followed again
                _log.exception("bus_topology_failed")
            else:
                self._outage.worked()
                if changed or None in self._links:
                    self._rearrange()
                for link in self._links.values():
                    link.subscriptions.retry()

    def _rearrange(self) -> None:
        """Give every partition's channels to the link of its owner, and end links without any."""
        owners = self._topology.owners
        links = {owner: self._links.get(owner) or self._link(owner) for owner in dict.fromkeys(owners)}
        moving: dict[Link, set[int]] = {}
        for partition, owner in enumerate(owners):
            if self._homes[partition] is not links[owner]:
                moving.setdefault(self._homes[partition], set()).add(partition)
        arriving: dict[Link, dict[bytes, Entry]] = {}
        for link, partitions in moving.items():
            for channel, entry in link.hand_over(partitions).items():
                arriving.setdefault(links[owners[partition_in(channel)]], {})[channel] = entry
        self._homes = [links[owner] for owner in owners]
        for owner, link in links.items():
            link.partitions = frozenset(partition for partition, other in enumerate(owners) if other == owner)
            link.subscriptions.adopt(arriving.get(link, {}))
            if owner not in self._links:
                link.start()
        for owner in self._links.keys() - links.keys():
            stopping = asyncio.create_task(self._links[owner].stop())
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)
        self._links = links
        if moving:
            self._on_moved()

    def _link(self, server: Server | None) -> Link:
        return Link(
            server,
            self._address.login,
            self._callbacks,
            self._watch,
            sharded=self._address.kind is Kind.CLUSTER,
            on_trouble=self._trouble.set,
        )
