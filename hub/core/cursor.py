"""The cursor: an opaque string that a client hands back to resume where it was.

It names an inbox's incarnation (epoch), the inbox version that the client holds, and the position in the tenant's
shared log up to which it has everything of its topics. Clients must not look inside.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple, Self

from hub.core.errors import InvalidRequest

_PATTERN = re.compile(r"([0-9a-f]{12})\.([0-9]{1,18})\.([0-9]{1,18})", re.ASCII)


class Cursor(NamedTuple):
    """A place in one user's history of changes."""

    epoch: str
    version: int
    position: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor that `str()` wrote.

        Raises:
            InvalidRequest: the text was not written by this class.

        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise InvalidRequest("the cursor is not one that this server gave out", pointer="cursor")
        return cls(match[1], int(match[2]), int(match[3]))

    def __str__(self) -> str:
        """Write the cursor as clients carry it."""
        return f"{self.epoch}.{self.version}.{self.position}"


def epoch_of(cluster: str, head: str) -> str:
    """Derive the cursor's epoch from the database's identity and the head row's random epoch.

    A database restored from a backup, a failover to another timeline, or a user erased and made again
    changes it, and every older cursor then leads to a `resync` instead of to a silent gap.
    """
    return hashlib.blake2b(f"{len(cluster)}:{cluster}{head}".encode(), digest_size=6).hexdigest()
