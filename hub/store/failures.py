"""What a driver's error means for the caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

import sqlalchemy as sa

from hub.core.errors import ConfigurationError, DataError, StoreUnavailable


class Failure(Enum):
    """Kinds of failures of a transaction."""

    CONFLICT = auto()
    """A deadlock or serialization failure: rolled back whole, run it again."""
    DISCONNECTED = auto()
    """The connection is lost or refused."""
    EXHAUSTED = auto()
    """No answer in time, locked for too long, no space: trying again at once does not help."""
    DATA = auto()
    """A value was refused."""
    SETUP = auto()
    """No such database, or not let in."""
    BUG = auto()
    """Ours."""


class Conflict(StoreUnavailable):
    """Others got in the way; nothing is stored."""


class Disconnected(StoreUnavailable):
    """The connection was lost before COMMIT; nothing is stored."""


class CommitUnknown(StoreUnavailable):
    """The connection was lost during COMMIT: it may be stored."""


_CONFLICTS = {"40001", "40P01"}
_SHUTDOWNS = {"57P01", "57P02", "57P03", "25006", "53300", "25P03"}
"""The server goes, comes or is no longer the primary; it has no connection left for us, or would not wait for us."""
_EXHAUSTED_CLASSES = {"53", "54", "55", "57", "58"}


def classify(error: BaseException) -> Failure:
    """Tell what kind of failure an error of the driver or of SQLAlchemy is."""
    if isinstance(error, sa.exc.DBAPIError):
        if error.connection_invalidated:
            return Failure.DISCONNECTED
        return _classify_driver(error)
    if isinstance(error, sa.exc.TimeoutError | TimeoutError):
        return Failure.EXHAUSTED
    if isinstance(error, UnicodeEncodeError | OverflowError):
        return Failure.DATA
    state = getattr(error, "sqlstate", None)  # asyncpg's own, while connecting
    if isinstance(state, str):
        return _classify_state(state)
    return Failure.DISCONNECTED if isinstance(error, OSError) else Failure.BUG


def _classify_driver(error: sa.exc.DBAPIError) -> Failure:
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return _classify_state(state)
    cause = error.orig.__cause__ if error.orig is not None else None
    if isinstance(error, sa.exc.IntegrityError | sa.exc.DataError) or isinstance(cause, ValueError):
        return Failure.DATA  # a ValueError: asyncpg could not encode an argument
    if isinstance(error, sa.exc.OperationalError) and "no such" not in str(error.orig):
        return Failure.EXHAUSTED  # SQLite: locked, disk full, I/O error
    return Failure.BUG


def _classify_state(state: str) -> Failure:
    """Classify by SQLSTATE (PostgreSQL's manual, appendix A)."""
    if state in _CONFLICTS:
        return Failure.CONFLICT
    if state in _SHUTDOWNS or state.startswith("08"):
        return Failure.DISCONNECTED
    if state.startswith(("22", "23")):
        return Failure.DATA
    if state.startswith(("28", "3D")):
        return Failure.SETUP
    return Failure.EXHAUSTED if state[:2] in _EXHAUSTED_CLASSES else Failure.BUG


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the driver into those of `hub.core.errors`; what is a bug of ours passes through as it is."""
    try:
        yield
    except Exception as error:
        match classify(error):
            case Failure.DATA:
                raise DataError("the database refused a value") from error
            case Failure.CONFLICT:
                raise Conflict("others were changing the same rows") from error
            case Failure.DISCONNECTED:
                raise Disconnected("the database cannot be reached") from error
            case Failure.EXHAUSTED:
                raise StoreUnavailable("the database is locked or out of resources") from error
            case Failure.SETUP:
                raise ConfigurationError(f"the database does not let us in: {error}") from error
            case Failure.BUG:
                raise
