"""Ports of 127.0.0.1 for servers that are told theirs, and keep it while they are restarted."""

from __future__ import annotations

import functools
import itertools
import socket
from collections.abc import Iterator

_BEGIN, _END = 20_000, 32_000
"""Below the ports from which systems take one for each outgoing connection: it could have a stopped server's."""
_SHARE = 500
"""Ports for each test process."""


def free_port() -> int:
    """Return a port that nobody uses, and that no other test process is given."""
    _, ports = _share()
    for port in itertools.islice(ports, _SHARE):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


@functools.cache
def _share() -> tuple[socket.socket, Iterator[int]]:
    """Take the first share that is nobody's; it is ours while we hold the UDP port of its first number."""
    for first in range(_BEGIN, _END, _SHARE):
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
        else:
            return claim, itertools.cycle(range(first, first + _SHARE))
    raise RuntimeError(f"all ports between {_BEGIN} and {_END} are taken by other test runs")
