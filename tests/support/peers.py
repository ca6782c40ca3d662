"""Peers that connect and say nothing more: `python -m tests.support.peers HOST PORT COUNT`, until standard input ends.

Half of them come by WebSocket and half by SSE. It prints one line once all are live. They read nothing after that,
and the system alone answers for them.
"""

from __future__ import annotations

import os
import socket
import sys

from tests.support.cluster import token

_UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def peer(host: str, port: int, number: int) -> socket.socket:
    """Connect one; returns once the server has said `ready`."""
    path, upgrade = ("/v1/ws", _UPGRADE) if number % 2 else ("/v1/sse", "")
    connected = socket.create_connection((host, port))
    authorization = f"Authorization: Bearer {token(f'peer-{number}')}\r\n"
    connected.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{upgrade}{authorization}\r\n".encode())
    heard = b""
    while b'"ready"' not in heard:
        data = connected.recv(65_536)
        assert data, heard
        heard += data
    return connected


if __name__ == "__main__":
    peers = [peer(sys.argv[1], int(sys.argv[2]), number) for number in range(int(sys.argv[3]))]
    print("live", flush=True)
    os.read(0, 1)
