"""The sending half of the Redis bus."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

from hub.bus.address import Address, Kind, Server
from hub.bus.connection import pack
from hub.bus.outage import Outage
from hub.bus.sender import Job, Message, Sender
from hub.bus.topology import Topology, learn


class Publisher:
    """Sends each message to the server responsible for its partition. Never raises."""

    def __init__(self, address: Address, topology: Topology, *, timeout: float) -> None:
        self._address = address
        self._topology = topology
        self._timeout = timeout
        self._verb = b"SPUBLISH" if address.kind is Kind.CLUSTER else b"PUBLISH"
        self._senders: dict[Server, Sender] = {}
        self._looking = Outage("topology", str(address))
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def publish(self, messages: Sequence[tuple[int, bytes, bytes]]) -> bool:
        """Send `(partition, channel, payload)`; False if Redis did not take them all."""
        if not messages or self._closed:
            return not messages
        if not any(self._topology.owners) and not await self._look():
            return False
        verb = self._verb
        job = Job(len(messages), asyncio.get_running_loop().create_future())
        self._route(
            [
                Message(job, partition, pack((verb, channel, payload)), len(payload))
                for partition, channel, payload in messages
            ]
        )
        return await job.done

    async def answers(self) -> bool:
        """Tell whether any of the servers answers now."""
        if self._closed or (not any(self._topology.owners) and not await self._look()):
            return False
        servers = {owner for owner in self._topology.owners if owner is not None}
        return any(await asyncio.gather(*(self._sender(server).answers() for server in servers)))

    def try_again(self) -> None:
        """Forget earlier failures: servers have been heard from since."""
        for sender in self._senders.values():
            sender.outage.worked()

    def rearrange(self) -> None:
        """Hang up on servers that are responsible for nothing any more."""
        for server in self._senders.keys() - set(self._topology.owners):
            self._start(self._senders.pop(server).close())

    async def close(self) -> None:
        """Give up what is still queued, and whatever is asked for from now on. Idempotent."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        while self._senders:
            await self._senders.popitem()[1].close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _route(self, messages: Sequence[Message]) -> None:
        shares: dict[Server, list[Message]] = {}
        for message in messages:
            owner = self._topology.owners[message.partition]
            if owner is None or self._closed:
                message.job.sent(ok=False)
            else:
                shares.setdefault(owner, []).append(message)
        for server, share in shares.items():
            self._sender(server).send(share)

    def _sender(self, server: Server) -> Sender:
        sender = self._senders.get(server)
        if sender is None:
            sender = self._senders[server] = Sender(
                server, self._address.login, timeout=self._timeout, on_moved=self._moved
            )
        return sender

    def _moved(self, messages: list[Message]) -> None:
        self._start(self._look_and_route(messages))

    async def _look_and_route(self, messages: list[Message]) -> None:
        try:
            await self._look()
        finally:
            self._route(messages)

    async def _look(self) -> bool:
        """Ask who is responsible for what; False if nobody could say, lately or now."""
        return await learn(self._topology, self._looking, self._timeout)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
