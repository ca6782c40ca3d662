"""Months, as ids that begin with their time are partitioned by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple, Self
from uuid import UUID

from hub.core.archives import made_before

_MONTHS = 12


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: int) -> Self:
        """Return the month of a moment (milliseconds)."""
        time = datetime.fromtimestamp(moment / 1000, UTC)
        return cls(time.year, time.month)

    def later(self, months: int) -> Month:
        """Return the month so many months later."""
        years, month = divmod(self.month - 1 + months, _MONTHS)
        return Month(self.year + years, month + 1)

    @property
    def first_id(self) -> UUID:
        """The first id that could be made in it: a lower bound of its partition, an upper one of that before."""
        return made_before(int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp() * 1000))

    def __str__(self) -> str:
        """Write it as partitions are named."""
        return f"{self.year:04}{self.month:02}"
