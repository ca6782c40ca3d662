"""What every command begins with: its settings, the hub's address, the credentials, an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from hub.core.errors import ConfigurationError
from hub.settings import Settings

T = TypeVar("T")


def settings_of(**overrides: object) -> Settings:
    """Read the settings from the environment, and what was said on the command line over them.

    Raises:
        ConfigurationError: naming every variable that is wrong.

    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from hub.logs import configure_logging

    try:
        settings = Settings.model_validate(
            Settings().model_dump() | {name: value for name, value in overrides.items() if value is not None}
        )
    except ValidationError as error:
        # Inputs are left out: they could be secrets.
        problems = "; ".join(
            f"BELLWIRE_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(problems) from None
    except SettingsError as error:  # says which setting is not JSON, and not what is in it
        raise ConfigurationError(f"{error}; it has to be JSON") from None
    configure_logging(settings)
    return settings


def run(main: Coroutine[object, object, T]) -> T:
    """Run on uvloop where it is installed (not on Windows)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def address_of(settings: Settings, url: str | None) -> str:
    """Return the hub's address without a slash at its end; by default that of a hub on this machine."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return (url or f"http://{host}:{settings.port}").rstrip("/")


def api_key_of(settings: Settings) -> str:
    """Return the publisher's key: the one that is set, or the generated one."""
    from hub.credentials import load_credentials

    return load_credentials(settings).api_key
