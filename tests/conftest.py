"""Fixtures for every layer; see `tests/support/services.py` for what they promise."""

from __future__ import annotations

import pytest

from tests.support.services import (
    database_url,
    empty_postgres_url,
    flushed_redis_cluster_url,
    flushed_redis_url,
    postgres_server_url,
    postgres_template,
    postgres_url,
    redis_cluster_url,
    redis_url,
    sqlite_template,
    sqlite_url,
)

# What these assert is as telling as in a test.
pytest.register_assert_rewrite("tests.support.fleet", "tests.support.scenarios", "tests.support.socket_machine")

__all__ = [
    "database_url",
    "empty_postgres_url",
    "flushed_redis_cluster_url",
    "flushed_redis_url",
    "postgres_server_url",
    "postgres_template",
    "postgres_url",
    "redis_cluster_url",
    "redis_url",
    "sqlite_template",
    "sqlite_url",
]
