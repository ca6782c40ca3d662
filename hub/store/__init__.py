"""The store: PostgreSQL or SQLite through SQLAlchemy Core."""

from hub.store import tables_schedules as _tables_schedules  # noqa: F401 - whoever asks the metadata finds its tables
