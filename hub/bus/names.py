"""What keys and channels are called, and which partition of the users each belongs to.

Users and topics are hashed into `PARTITIONS`; the partition is the name's hash tag, so that in a Redis Cluster
everything of one partition lies in one slot. Without a cluster the names are the same.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from zlib import crc32

from hub.core.model import InboxKey, TopicKey
from hub.core.rates import Rate

PARTITIONS = 256
"""Fixed: nodes that counted differently would not hear each other."""

SLOTS = tuple(crc_hqx(b"p%03d" % partition, 0) % 16384 for partition in range(PARTITIONS))
"""The cluster slot of each partition (CRC16 of the hash tag)."""

_TAGGED = tuple(b"bellwire:{p%03d}:" % partition for partition in range(PARTITIONS))
_INBOX = tuple(tagged + b"inbox:" for tagged in _TAGGED)
_TOPIC = tuple(tagged + b"topic:" for tagged in _TAGGED)
_TAG_AT = slice(11, 14)

DUE_PARTITION = 0
DUE = _TAGGED[DUE_PARTITION] + b"due"
"""The channel that tells workers of something due. It has one partition as its home, as a channel must."""


def channel_of(key: InboxKey | TopicKey) -> tuple[int, bytes]:
    """Return the partition and the channel of one inbox or topic."""
    name = _compound(*key)
    partition = crc32(name) % PARTITIONS
    return partition, (_INBOX if isinstance(key, InboxKey) else _TOPIC)[partition] + name


def probe_channel(partition: int, name: bytes) -> bytes:
    """Name the channel by which one connection talks to itself."""
    return _TAGGED[partition] + b"probe:" + name


def partition_in(channel: bytes) -> int:
    """Read the partition out of a name made here."""
    return int(channel[_TAG_AT])


def presence_key(key: InboxKey) -> tuple[int, bytes]:
    """Return the partition of a user, and the name of the hash with their signs of life."""
    name = _compound(*key)
    partition = crc32(name) % PARTITIONS
    return partition, _TAGGED[partition] + b"presence:user:" + name


def presence_marker(partition: int, name: bytes) -> bytes:
    """Name a marker (`born`, `beat`) of a partition's presence."""
    return _TAGGED[partition] + b"presence:" + name


def rate_keys(name: str, rates: Sequence[Rate]) -> tuple[int, list[bytes]]:
    """Return the partition of a rate limit, and the names of the lists with its calls, one for each rate."""
    partition = crc32(name.encode()) % PARTITIONS
    return partition, [_TAGGED[partition] + f"rate:{rate.calls}/{rate.period}:{name}".encode() for rate in rates]


def _compound(tenant: str, name: str) -> bytes:
    """Join a tenant and what is named in it into a name that no other pair gives, whatever characters they hold."""
    return f"{len(tenant)}:{tenant}{name}".encode(errors="surrogatepass")
