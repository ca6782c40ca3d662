from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.http.origins import origin_allowed

APP = "https://app.example.com"


def allowed(
    origin: str | None,
    host: str | None = "bell.example.com",
    *,
    scheme: str = "https",
    listed: Collection[str] = (),
    public_url: str | None = None,
) -> bool:
    return origin_allowed(origin, scheme=scheme, host=host, allowed=listed, public_url=public_url)


def test_what_is_no_browser_sends_no_origin() -> None:
    assert allowed(None)
    assert allowed(None, None)
    assert allowed(None, listed=[APP])


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("https://bell.example.com", "bell.example.com", "https"),
        ("https://bell.example.com", "bell.example.com", "wss"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "http"),
        ("http://[::1]:8000", "[0:0:0:0:0:0:0:1]:8000", "http"),
        ("HTTPS://Bell.Example.COM", "bell.example.com", "https"),
        ("https://bell.example.com:443", "bell.example.com", "https"),
        ("https://bell.example.com", "bell.example.com:443", "https"),
        ("http://bell.example.com", "bell.example.com:80", "http"),
        ("https://bell.example.com", "bell.example.com", "http"),  # a proxy took the TLS off
    ],
)
def test_a_page_of_the_hub_itself_is_allowed(origin: str, host: str, scheme: str) -> None:
    assert allowed(origin, host, scheme=scheme)


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("https://evil.example", "bell.example.com", "https"),
        ("https://bell.example.com.evil.example", "bell.example.com", "https"),
        ("https://evil-bell.example.com", "bell.example.com", "https"),
        ("https://bell.example.com:8443", "bell.example.com", "https"),
        ("http://bell.example.com", "bell.example.com", "https"),  # anybody on the way could have written that page
        ("http://bell.example.com", "bell.example.com:443", "http"),
        ("https://bell.example.com", "bell.example.com:80", "http"),
        ("ftp://bell.example.com", "bell.example.com", "http"),
        ("https://bell.example.com", None, "https"),
        ("https://bell.example.com", "", "https"),
        ("https://bell.example.com", "bell.example.com, evil.example", "https"),
        ("https://bell.example.com", "evil@bell.example.com", "https"),
    ],
)
def test_another_page_is_not(origin: str, host: str | None, scheme: str) -> None:
    assert not allowed(origin, host, scheme=scheme)


@pytest.mark.parametrize(
    ("origin", "listed", "expected"),
    [
        (APP, [APP], True),
        (APP, ["https://other.example", APP + "/"], True),
        (APP + ":443", [APP], True),
        ("https://APP.example.com", [APP], True),
        ("capacitor://localhost", ["capacitor://localhost"], True),
        ("http://app.example.com", [APP], False),
        (APP + ":444", [APP], False),
        ("https://example.com", [APP], False),
        ("https://x.app.example.com", [APP], False),
        (APP, ["app.example.com"], False),
        (APP, [APP + "/path"], False),
        (APP, ["https://*.example.com"], False),
        (APP, [""], False),
        ("null", ["null"], False),
    ],
)
def test_the_list_is_exact(origin: str, listed: list[str], *, expected: bool) -> None:
    assert allowed(origin, listed=listed) is expected


def test_a_star_means_every_page_as_in_cors() -> None:
    assert allowed("https://anything.example", listed=["*"])
    assert allowed("null", listed=["*"])
    assert not allowed("not an origin", listed=["*"])


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [
        ("https://bell.example.com", True),
        ("https://bell.example.com/", True),
        ("https://bell.example.com:443/bell?x=https://evil.example#y", True),
        ("https://other.example/bell.example.com", False),
        ("https://user@bell.example.com", False),
        ("bell.example.com", False),
        ("", False),
    ],
)
def test_the_public_address_counts_whatever_a_proxy_made_of_the_host(public_url: str, *, expected: bool) -> None:
    assert allowed("https://bell.example.com", "10.0.0.7:8000", scheme="http", public_url=public_url) is expected


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "*",
        "https://",
        "https://bell.example.com/",
        "https://bell.example.com?",
        "https://bell.example.com:",
        "https://bell.example.com:99999",
        "https://bell.example.com:٤٤٣",
        "https://user@bell.example.com",
        "https://bell.example.com https://evil.example",
        "https://bell.example.com\n",
        " https://bell.example.com",
        "https:\\\\bell.example.com",
        "https://bell.example.com\x00",
        "https://ｂell.example.com",
        "https://[::1",
        "https://[::g]",
        "https://[:::::]",
        "https://[::1%25eth0]",
        "://bell.example.com",
        "bell.example.com",
    ],
)
def test_rubbish_is_refused(origin: str) -> None:
    assert not allowed(origin, listed=[origin, "https://app.example.com"])
    assert not allowed(origin, host=origin)


@given(origin=st.text(), host=st.none() | st.text(), listed=st.lists(st.text()), public_url=st.none() | st.text())
def test_nothing_raises(origin: str, host: str | None, listed: list[str], public_url: str | None) -> None:
    assert allowed(origin, host, listed=listed, public_url=public_url) in {True, False}
