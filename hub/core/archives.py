"""What an archive looks like: names of files, lines of JSON, and how old is old."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote
from uuid import UUID

import msgspec

from hub.core.errors import ConfigurationError
from hub.core.model import Digests, Lines

_AGE = re.compile(r"([0-9]{1,5})(m|h|d|w)", re.ASCII)
_UNIT = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_LAST_ID = (1 << 128) - 1
_LONGEST_NAME = 200
"""Characters; file systems take 255 bytes."""


def parse_age(text: str, name: str) -> int:
    """Read an age such as `90d` into milliseconds; `name` is the option's.

    Raises:
        ConfigurationError: it is none, or nothing would be kept at all.

    """
    match = _AGE.fullmatch(text.strip())
    age = 0 if match is None else int(match[1]) * _UNIT[match[2]]
    if not age:
        raise ConfigurationError(f"{name} must be an age such as 90d, 12w or 36h; it is {text!r}")
    return age


def made_before(moment: int) -> UUID:
    """Return the first id that could have been made at a moment (milliseconds): all smaller ones are older."""
    return UUID(int=min(max(moment, 0) << 80, _LAST_ID))


def made_at(identifier: UUID) -> int:
    """Return when an id was made, in milliseconds."""
    return identifier.int >> 80


def folder_of(tenant: str) -> str:
    """Name a tenant's folder: no separator, no hidden or special name, and different for different tenants."""
    name = quote(tenant, safe="").replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 33]}-{hashlib.blake2b(tenant.encode(), digest_size=16).hexdigest()}"


def file_of(name: str, number: int) -> str:
    """Name a file; a second of the same name gets a number."""
    return f"{name}.jsonl.gz" if number == 1 else f"{name}-{number}.jsonl.gz"


def line(kind: str, row: Mapping[str, object]) -> bytes:
    """Write a row as one line of JSON: every column under its own name, after the `kind` of row that it is."""
    return msgspec.json.encode({"kind": kind, **row}) + b"\n"


def digests(lines: Lines) -> Digests:
    """Return what identifies these very rows."""
    return {of: _digest(rows) for of, rows in lines.items()}


def _digest(rows: Sequence[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(row)
    return digest.digest()
