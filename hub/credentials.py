"""The first publisher key and the secret behind users' tokens: given, or made once in development."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hub.core.errors import ConfigurationError
from hub.core.ids import random_token
from hub.settings import Settings

MIN_SECRET_BYTES = 32
"""An HS256 key shorter than its hash is weak (RFC 7518, 3.2)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What publishers and users of the tenant `default` prove themselves with; never printed by `repr`."""

    api_key: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    api_key_file: Path | None = None
    """Where the key was generated to, if it was."""


def load_credentials(settings: Settings) -> Credentials:
    """Take the credentials from the settings; in development, missing ones are made once and kept (mode 0600).

    Raises:
        ConfigurationError: one is missing outside development, or the secret is too short.

    """
    api_key = settings.api_key.get_secret_value() if settings.api_key else None
    jwt_secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    api_key_file = None
    if not settings.development:
        missing = [
            name for name, value in (("BELLWIRE_API_KEY", api_key), ("BELLWIRE_JWT_SECRET", jwt_secret)) if not value
        ]
        if missing:
            raise ConfigurationError(
                f"{' and '.join(missing)} must be set: secrets are generated only in development (SQLite, in-process "
                "bus, BELLWIRE_ENV=development). `make env` writes a file with fresh ones."
            )
    if not api_key:
        api_key_file = settings.state_dir / "api-key"
        api_key = _kept_secret(api_key_file, "bw_")
    if not jwt_secret:
        jwt_secret = _kept_secret(settings.state_dir / "jwt-secret", "")
    if len(jwt_secret.encode()) < MIN_SECRET_BYTES:
        raise ConfigurationError(f"BELLWIRE_JWT_SECRET must be at least {MIN_SECRET_BYTES} bytes long")
    return Credentials(api_key, jwt_secret, api_key_file)


def _kept_secret(path: Path, prefix: str) -> str:
    """Read the secret in `path`, or make it: readable by its owner only, and written by one process only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
        secret = path.read_text().strip()
        if not secret:
            raise ConfigurationError(f"{path} is empty; delete it to have a new secret made") from None
        return secret
    with os.fdopen(descriptor, "w") as file:
        secret = prefix + random_token()
        file.write(secret + "\n")
    return secret
