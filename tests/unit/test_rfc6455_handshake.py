"""The opening handshake of a WebSocket by the letter of RFC 6455."""

from __future__ import annotations

import pytest

from hub.gateway.rfc6455 import HandshakeRefused, accept, response_head

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST = [
    (b"host", b"server.example.com"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
]


def request(*changes: tuple[bytes, bytes | None]) -> list[tuple[bytes, bytes]]:
    """The RFC's request with some headers replaced (or repeated, or left out)."""
    kept = [pair for pair in REQUEST if pair[0] not in {name for name, _ in changes}]
    return kept + [(name, value) for name, value in changes if value is not None]


@pytest.mark.parametrize(
    "headers",
    [
        REQUEST,
        [(name.title(), value) for name, value in REQUEST],
        request((b"upgrade", b"WebSocket")),
        request((b"upgrade", b"h2c, websocket")),
        request((b"upgrade", b"h2c"), (b"upgrade", b"websocket")),
        request((b"connection", b"keep-alive, Upgrade")),
        request((b"connection", b"keep-alive"), (b"connection", b"\tUPGRADE ,")),
        request((b"sec-websocket-key", b" " + KEY + b"\t")),
        request((b"sec-websocket-version", b" 13 ")),
        request((b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits")),
        request((b"sec-websocket-protocol", b"chat"), (b"sec-websocket-protocol", b"superchat")),
    ],
)
def test_handshakes_that_are_accepted(headers: list[tuple[bytes, bytes]]) -> None:
    assert accept(headers, "GET", "1.1") == ACCEPT


REFUSED: dict[str, tuple[list[tuple[bytes, bytes]], int]] = {
    "no host": (request((b"host", None)), 400),
    "two hosts": (request((b"host", b"a"), (b"host", b"a")), 400),
    "no connection": (request((b"connection", None)), 400),
    "connection of another kind": (request((b"connection", b"keep-alive, upgraded")), 400),
    "no upgrade": (request((b"upgrade", None)), 400),
    "another upgrade": (request((b"upgrade", b"h2c")), 400),
    "an upgrade with a version": (request((b"upgrade", b"websocket/13")), 400),
    "no version": (request((b"sec-websocket-version", None)), 400),
    "two versions": (request((b"sec-websocket-version", b"13"), (b"sec-websocket-version", b"13")), 400),
    "a draft's version": (request((b"sec-websocket-version", b"8")), 426),
    "two versions in one": (request((b"sec-websocket-version", b"13, 8")), 426),
    "a version in other digits": (request((b"sec-websocket-version", b"013")), 426),
    "another version, and no key": (request((b"sec-websocket-version", b"14"), (b"sec-websocket-key", None)), 426),
    "no key": (request((b"sec-websocket-key", None)), 400),
    "two keys": (request((b"sec-websocket-key", KEY), (b"sec-websocket-key", KEY)), 400),
    "an empty key": (request((b"sec-websocket-key", b"")), 400),
    "a short key": (request((b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAA")), 400),
    "a long key": (request((b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAAA=")), 400),
    "a key without its padding": (request((b"sec-websocket-key", KEY[:-2])), 400),
    "a key in the other alphabet": (request((b"sec-websocket-key", b"-_" + KEY[2:])), 400),
    "a key with a line break": (request((b"sec-websocket-key", KEY + b"\n")), 400),
    "a key beyond ASCII": (request((b"sec-websocket-key", b"\xff" + KEY[1:])), 400),
}


@pytest.mark.parametrize(("headers", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_handshakes_that_are_refused(headers: list[tuple[bytes, bytes]], status: int) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        accept(headers, "GET", "1.1")
    assert caught.value.status == status
    assert caught.value.reason
    assert ((b"sec-websocket-version", b"13") in caught.value.headers) is (status == 426)
    assert ((b"upgrade", b"websocket") in caught.value.headers) is (status == 426)


@pytest.mark.parametrize("method", ["POST", "HEAD", "CONNECT", "get", ""])
def test_only_get(method: str) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        accept(REQUEST, method, "1.1")
    assert (caught.value.status, caught.value.headers) == (405, ((b"allow", b"GET"),))


@pytest.mark.parametrize("version", ["1.0", "0.9", "2", "3", ""])
def test_only_http_1_1(version: str) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        accept(REQUEST, "GET", version)
    assert caught.value.status == 505


def test_the_head_of_a_response() -> None:
    assert response_head(ACCEPT, [(b"X-Node", b"a 1")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Node: a 1\r\n\r\n"
    )


@pytest.mark.parametrize(
    "header", [(b"", b"a"), (b"a b", b"c"), (b"a:", b"b"), (b"a\r\nb", b"c"), (b"a", b"b\r\nc: d"), (b"a", b"b\x00")]
)
def test_no_header_breaks_out_of_its_line(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="not a header"):
        response_head(ACCEPT, [header])
