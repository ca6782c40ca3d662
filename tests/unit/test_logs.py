"""What logs never hold, in either format."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from hub.logs import configure_logging
from hub.settings import Settings

SECRET = "the-token-of-somebody"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def _fail(token: str) -> None:
    raise RuntimeError(f"failed on {len(token)} characters")


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("name", ["hub.anything", "uvicorn.error"])
def test_a_traceback_shows_no_locals(
    name: str,
    log_format: Literal["console", "json"],
    terminal: bool,  # noqa: FBT001 - a parameter of the test
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure_logging(Settings(log_format=log_format, log_level="debug"))
    try:
        _fail(SECRET)
    except RuntimeError as error:
        if name.startswith("hub"):
            structlog.get_logger(name).exception("request_failed", exc_info=error)
        else:
            logging.getLogger(name).exception("Exception in ASGI application", exc_info=error)
    logged = capsys.readouterr().err
    assert "failed on" in logged
    assert SECRET not in logged
