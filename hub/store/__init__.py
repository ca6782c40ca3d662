"""The store: PostgreSQL or SQLite through SQLAlchemy Core."""
