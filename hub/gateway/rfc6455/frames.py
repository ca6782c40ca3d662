"""Frames from server to client: whole, unmasked, each encoded once for as many connections as it is for."""

from __future__ import annotations

import struct
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
"""The bit of a frame's first byte that says that the message ends with it."""

MAX_CONTROL: Final = 125
"""Bytes of a control frame's payload."""

MAX_REASON: Final = MAX_CONTROL - 2
"""Bytes of a close frame's reason."""

CLOSE_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
"""What may stand in a close frame: the codes defined or registered, and the ranges for libraries and applications."""

_HEAD, _HEAD_16, _HEAD_64 = struct.Struct("!BB"), struct.Struct("!BBH"), struct.Struct("!BBQ")


def text_frame(payload: bytes) -> bytes:
    """Encode a text message; `payload` must be UTF-8, which is not checked."""
    size = len(payload)
    if size < 126:  # noqa: PLR2004 - the three forms of a length, RFC 6455 section 5.2
        head = _HEAD.pack(FIN | TEXT, size)
    elif size < 1 << 16:
        head = _HEAD_16.pack(FIN | TEXT, 126, size)
    else:
        head = _HEAD_64.pack(FIN | TEXT, 127, size)
    return head + payload


def ping_frame(payload: bytes = b"") -> bytes:
    """Encode a ping.

    Raises:
        ValueError: `payload` has more than 125 bytes.

    """
    return _control(PING, payload)


def pong_frame(payload: bytes) -> bytes:
    """Encode the answer to the ping that had this payload.

    Raises:
        ValueError: `payload` has more than 125 bytes.

    """
    return _control(PONG, payload)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Encode a close frame; None means without a code, as the answer to one that had none.

    A reason of more than 123 bytes of UTF-8 is cut after the last character that fits.

    Raises:
        ValueError: `code` must not be sent (1004 to 1006 and 1015 have meanings of their own), or is missing.

    """
    if code is None:
        if reason:
            raise ValueError("a reason needs a code")
        return _control(CLOSE, b"")
    if code not in CLOSE_CODES:
        raise ValueError(f"{code} cannot be sent as a close code")
    text = reason.encode(errors="replace")
    if len(text) > MAX_REASON:
        text = text[:MAX_REASON].decode(errors="ignore").encode()
    return _control(CLOSE, code.to_bytes(2) + text)


def _control(opcode: int, payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL:
        raise ValueError(f"a control frame may have {MAX_CONTROL} bytes")
    return _HEAD.pack(FIN | opcode, len(payload)) + payload
