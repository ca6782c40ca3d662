"""A client's WebSocket frames, right or wrong in every way."""

from __future__ import annotations

import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x37\xfa\x21\x3d"


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = MASK,
    form: int = 0,
    length: int | None = None,
) -> bytes:
    """Encode a frame; `form` 16 or 64 forces that form of its length, `length` is claimed instead of the true one."""
    length = len(payload) if length is None else length
    masked = 0 if mask is None else 0x80
    first = fin << 7 | reserved << 4 | opcode
    if form == 64 or length >= 1 << 16:
        head = struct.pack("!BBQ", first, masked | 127, length)
    elif form == 16 or length > 125:
        head = struct.pack("!BBH", first, masked | 126, length)
    else:
        head = struct.pack("!BB", first, masked | length)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    return client_frame(CLOSE, struct.pack("!H", code) + reason)
