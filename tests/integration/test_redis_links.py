"""What a receiving connection notices, and how it may be made: deafness, silence, cuts, logins, TLS, moved names."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hub.bus.address import read_url
from hub.bus.names import DUE
from hub.bus.topology import Single
from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from tests.support.listener import PATIENCE
from tests.support.proxy import proxy_to
from tests.support.redis_bus import ADA, BOB, CHANGE, be_patient, flows, link_of, started
from tests.support.valkey import Valkey, valkey_server


@pytest.fixture
def server() -> Iterator[Valkey]:
    with valkey_server() as server:
        yield server


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_a_connection_that_answers_but_delivers_nothing_is_replaced(
    server: Valkey, stack: AsyncExitStack
) -> None:
    proxy = await stack.enter_async_context(proxy_to(server.port, redis=True))
    bus, listener = await started(stack, f"redis://127.0.0.1:{proxy.port}", dead_after=1)
    await bus.subscribe([ADA])
    assert await flows(bus, listener)
    with structlog.testing.capture_logs() as logs:
        proxy.deaf = True
        await listener.next_gap()
    assert ("subscribing", "DeafConnectionError") in {(line.get("part"), line.get("error")) for line in logs}
    proxy.deaf = False
    be_patient(bus)
    assert await flows(bus, listener)


async def test_a_probe_that_cannot_be_sent_proves_nothing(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url, dead_after=0.3)
    await bus.subscribe([ADA])
    tried = asyncio.Event()
    attempts = 0

    async def refuse(messages: object) -> bool:
        nonlocal attempts
        attempts += 1
        if attempts == 20:
            tried.set()
        return False

    link = link_of(bus)
    link._callbacks = replace(link._callbacks, publish=refuse)
    async with asyncio.timeout(PATIENCE):
        await tried.wait()
    assert listener.gaps.empty()
    assert await flows(bus, listener)


async def test_a_server_that_is_stopped_in_its_tracks_is_noticed(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url, dead_after=0.3, timeout=0.3)
    await bus.subscribe([ADA])
    server.freeze()
    try:
        assert not await bus.publish([(ADA, CHANGE)])
        assert not await bus.healthy()
    finally:
        server.thaw()
    await listener.next_gap()
    bus._publisher.try_again()
    assert await flows(bus, listener)


async def test_a_flush_costs_no_wakeup(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url)
    await bus.subscribe([ADA])
    server.ask("FLUSHALL")
    assert await flows(bus, listener)
    assert listener.gaps.empty()


async def test_a_subscriber_that_redis_cuts_off_for_its_backlog_comes_back_with_a_gap(
    server: Valkey, stack: AsyncExitStack
) -> None:
    proxy = await stack.enter_async_context(proxy_to(server.port))
    bus, listener = await started(stack, f"redis://127.0.0.1:{proxy.port}", probe_every=PATIENCE)
    await bus.subscribe([ADA])
    other, _ = await started(stack, server.url)
    server.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 65536 0 0")
    proxy.freeze()
    big = LiveChange(epoch="0123456789ab", version=2, event="item", frame=b"x" * 500_000)
    while not await _cut(server):
        await other.publish([(ADA, big)] * 8)
    proxy.thaw()
    await listener.next_gap()
    while (await listener.next_change())[1] != CHANGE:
        await other.publish([(ADA, CHANGE)])
    assert await bus.healthy()


async def _cut(server: Valkey) -> bool:
    stats = await asyncio.to_thread(server.ask, "INFO", "stats")
    return int(stats["client_output_buffer_limit_disconnections"]) > 0


async def test_a_user_who_comes_back_at_once_causes_no_traffic(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url, linger=PATIENCE)
    await bus.subscribe([ADA])
    await bus.subscribe([BOB])
    before = server.ask("INFO", "commandstats")["cmdstat_subscribe"]["calls"]
    for _ in range(20):
        await bus.unsubscribe([ADA, BOB])
        await bus.subscribe([ADA, BOB])
        assert await flows(bus, listener)
    stats = server.ask("INFO", "commandstats")
    assert stats["cmdstat_subscribe"]["calls"] == before
    assert "cmdstat_unsubscribe" not in stats


async def test_a_user_who_stays_away_is_unsubscribed_and_forgotten(server: Valkey, stack: AsyncExitStack) -> None:
    bus, _ = await started(stack, server.url, linger=0.01)
    await bus.subscribe([ADA])
    link = link_of(bus)
    keys = [InboxKey("default", str(number)) for number in range(1_200)]
    await bus.subscribe(keys)
    await bus.unsubscribe([*keys, ADA])
    async with asyncio.timeout(PATIENCE):
        while len(await asyncio.to_thread(server.ask, "PUBSUB", "CHANNELS")) > 2:
            pass  # two remain: the probe's, and what is due
    assert len(link.subscriptions.entries) == 2


async def test_users_wanted_together_are_asked_for_in_commands_of_some(server: Valkey, stack: AsyncExitStack) -> None:
    bus, _ = await started(stack, server.url, probe_every=PATIENCE)
    await bus.subscribe([ADA])
    before = server.ask("INFO", "commandstats")["cmdstat_subscribe"]["calls"]
    keys = [InboxKey("default", str(number)) for number in range(1_200)]
    await asyncio.gather(*(bus.subscribe(keys[start : start + 100]) for start in range(0, 1_200, 100)))
    assert server.ask("INFO", "commandstats")["cmdstat_subscribe"]["calls"] == before + 3


async def test_it_logs_in_as_a_user_and_says_no_password(server: Valkey, stack: AsyncExitStack) -> None:
    server.ask("ACL", "SETUSER", "ada", "on", ">hunter:2", "+@all", "~*", "&*")
    bus, listener = await started(stack, f"redis://ada:hunter%3A2@127.0.0.1:{server.port}/3")
    await bus.subscribe([ADA])
    assert await flows(bus, listener)
    with structlog.testing.capture_logs() as logs:
        wrong, _ = await started(stack, f"redis://ada:hunter3@127.0.0.1:{server.port}", confirm_within=0.05)
        assert not await wrong.healthy()
        assert not await wrong.publish([(ADA, CHANGE)])
    assert logs
    assert "hunter" not in repr(logs)


async def test_a_unix_socket(stack: AsyncExitStack, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with valkey_server(unixsocket=str(path)):
        bus, listener = await started(stack, f"unix://{path}?db=1")
        await bus.subscribe([ADA])
        assert await flows(bus, listener)


async def test_tls(server: Valkey, stack: AsyncExitStack, tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    proxy = await stack.enter_async_context(proxy_to(server.port, tls=context))
    bus, listener = await started(stack, f"rediss://localhost:{proxy.port}?ssl_ca_certs={certificate}")
    await bus.subscribe([ADA])
    assert await flows(bus, listener)
    stranger, _ = await started(stack, f"rediss://localhost:{proxy.port}", confirm_within=0.05)
    assert not await stranger.healthy()


def _certificate(folder: Path) -> Path:
    """Make a key and a certificate for `localhost`, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "redis.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(encoding))
    return path


async def test_a_name_that_comes_to_stand_for_another_machine_is_followed(
    stack: AsyncExitStack, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with valkey_server() as other:
        port = server.port
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo

        async def lookup(host: Any, _port: Any, **options: Any) -> Any:
            return await real("127.0.0.1", port, **options)

        monkeypatch.setattr(loop, "getaddrinfo", lookup)
        bus, listener = await started(stack, "redis://redis.test")
        await bus.subscribe([ADA])
        assert await flows(bus, listener)
        port = other.port
        await listener.next_gap()
        assert await flows(bus, listener)
        assert other.ask("PUBSUB", "NUMSUB", DUE) == [DUE, 1]


async def test_a_name_in_rotation_is_not_taken_for_one_that_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["12", "23", "9", "3", "4", "4"])

    async def lookup(*_: Any, **__: Any) -> Any:
        return [(None, None, None, "", (f"10.0.0.{number}", 6379)) for number in next(answers)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    topology = Single(read_url("redis://redis.test"))
    assert [await topology.refresh() for _ in range(6)] == [False] * 5 + [True]


def test_it_runs_on_uvloop_too(server: Valkey) -> None:
    """What `bellwire serve` runs on: its transports are none of asyncio's types."""

    async def hears() -> bool:
        async with AsyncExitStack() as stack:
            bus, listener = await started(stack, server.url)
            await bus.subscribe([ADA])
            return await flows(bus, listener) and listener.gaps.empty()

    run: Callable[[Any], bool] = uvloop.run
    assert run(hears())
