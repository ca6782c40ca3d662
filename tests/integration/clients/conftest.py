"""One hub that runs, for all tests of the Python clients in a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.asgi_servers import SERVERS, ServedHub
from tests.support.clients import DRIVERS


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    """A hub for users and topics that no other test knows."""
    with ServedHub(SERVERS[0], tmp_path_factory.mktemp("hub")) as hub:
        yield hub
    assert "Traceback" not in hub.output


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """Each driver in turn."""
    name: str = request.param
    return name
