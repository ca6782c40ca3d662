"""Fixtures for every layer; see `tests/support/services.py` for what they promise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.services import (
    EMPTIED,
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

# A busy machine is slow, not broken: nothing here is about how long an example takes.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

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

UNIT = Path(__file__).parent / "unit"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Say how many processes `-n auto` means: two, or none but this one where that is quicker or two would meet."""
    only_unit = all(Path(argument.partition("::")[0]).resolve().is_relative_to(UNIT) for argument in config.args)
    return 0 if only_unit or any(os.environ.get(variable) for variable in EMPTIED) else 2
