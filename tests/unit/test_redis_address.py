"""What a Redis URL says, and that a wrong one is refused without being repeated."""

from __future__ import annotations

import ssl

import pytest

from hub.bus.address import Kind, Server, read_url
from hub.bus.presence import RedisPresence
from hub.bus.redis import RedisBus
from hub.core.errors import ConfigurationError
from hub.settings import Settings


@pytest.mark.parametrize(
    ("url", "kind", "seeds", "service"),
    [
        ("redis://", Kind.SINGLE, [("localhost", 6379)], ""),
        ("redis://a:7000/3", Kind.SINGLE, [("a", 7000)], ""),
        ("redis://[::1]:7000", Kind.SINGLE, [("::1", 7000)], ""),
        ("unix:///run/redis.sock?db=3", Kind.SINGLE, [("/run/redis.sock", 0)], ""),
        ("redis+sentinel://a,b:7000/bells", Kind.SENTINEL, [("a", 26379), ("b", 7000)], "bells"),
        ("redis+sentinel://u:p@a/bells/3", Kind.SENTINEL, [("a", 26379)], "bells"),
        ("redis+cluster://a,[::1]:7000", Kind.CLUSTER, [("a", 6379), ("::1", 7000)], ""),
        ("redis+cluster://u:p@a:1,b:2/0", Kind.CLUSTER, [("a", 1), ("b", 2)], ""),
    ],
)
def test_where_the_servers_are(url: str, kind: Kind, seeds: list[tuple[str, int]], service: str) -> None:
    address = read_url(url)
    assert (address.kind, address.service) == (kind, service)
    assert address.seeds == tuple(Server(*seed) for seed in seeds)
    assert Settings(redis_url=url).redis_url == url


@pytest.mark.parametrize("where", ["redis://%sa/3", "redis+sentinel://%sa,b/bells/3", "unix://%s/run/redis.sock?db=3"])
def test_the_login_is_the_servers(where: str) -> None:
    address = read_url(where % "ada:hunter%3A2@")
    assert (address.login.username, address.login.password, address.login.db) == ("ada", "hunter:2", 3)
    assert address.sentinel_login.password is None
    for said in (str(address), repr(address), repr(address.login), str(address.seeds[0])):
        assert "hunter" not in said


def test_sentinels_have_a_login_of_their_own() -> None:
    address = read_url("redis+sentinel://:hunter2@a/bells?sentinel_username=watch&sentinel_password=dog")
    assert (address.sentinel_login.username, address.sentinel_login.password) == ("watch", "dog")
    assert (address.login.username, address.login.password) == (None, "hunter2")


@pytest.mark.parametrize("scheme", ["rediss://a", "rediss+sentinel://a/bells", "rediss+cluster://a"])
def test_two_s_mean_tls_with_names_checked(scheme: str) -> None:
    tls = read_url(scheme).login.tls
    assert tls is not None
    assert tls.check_hostname
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert read_url(scheme.replace("rediss", "redis")).login.tls is None


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@localhost",
        "redis://:hunter2@localhost:port/0",
        "redis://localhost?hunter2=1",
        "rediss://localhost?ssl_ca_certs=/no/such/hunter2",
        "hunter2",
        "",
        "redis+sentinel://:hunter2@a,b",
        "redis+sentinel://:hunter2@a,b/",
        "redis+sentinel://:hunter2@a,b/bells/first",
        "redis+sentinel://:hunter2@a:port/bells",
        "redis+cluster://:hunter2@a/1",
        "redis+cluster://:hunter2@a/bells",
        "redis+cluster://:hunter2@",
        "redis+ring://:hunter2@a",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(url: str) -> None:
    for adapter in (RedisBus, RedisPresence):
        with pytest.raises(ConfigurationError) as caught:
            adapter(url)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["http://a", "redis+ring://a", "localhost:6379"])
def test_settings_refuse_another_scheme(url: str) -> None:
    with pytest.raises(ValueError, match=r"redis\+cluster://"):
        Settings(redis_url=url)
