"""Alembic's entry: runs the revisions on the connection that `hub.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from hub.store.partitions import included
from hub.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, include_name=included, transactional_ddl=False)
context.run_migrations()
