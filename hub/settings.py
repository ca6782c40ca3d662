"""Settings: environment variables `BELLWIRE_*`, all optional in development."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hub.core.archives import parse_age
from hub.core.errors import ConfigurationError
from hub.core.model import Channel
from hub.core.rates import parse_rates

_REDIS_SCHEMES = (
    "redis://",
    "rediss://",
    "unix://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
)


class Settings(BaseSettings):
    """How a process is set up. Unset database and Redis mean SQLite in a file and the in-process bus."""

    model_config = SettingsConfigDict(env_prefix="BELLWIRE_", extra="ignore", frozen=True, env_ignore_empty=True)

    env: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data_dir: Path = Path("bellwire-data")
    """Where the SQLite file and the generated development credentials live."""
    database_url: str | None = None
    """`postgresql://…` or `sqlite:///path`; unset: `<data_dir>/bellwire.db`."""
    redis_url: str | None = None
    """`redis://…`, `redis+sentinel://…`, `redis+cluster://…` (docs/redis.md); unset: the in-process bus (one process
    only)."""
    forwarded_allow_ips: str = "127.0.0.1"
    """Proxies whose `X-Forwarded-*` headers are believed: addresses with commas between them, or `*`."""
    allowed_origins: str = ""
    """Web apps on other origins whose pages may load the bell and call this hub: `https://app.example.com`, with
    commas between several, or `*`. (CORS and live connections; pages of this hub's own origin need nothing.)"""
    public_url: str | None = None
    """Where users reach this hub, for links in e-mail; unset: relative links are left out."""

    api_key: SecretStr | None = None
    """The first publisher key, of the tenant `default`."""
    jwt_secret: SecretStr | None = None
    """The HS256 secret that users' tokens are signed with, of the tenant `default`; at least 32 bytes."""
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    tenants: dict[str, TenantCredentials] = Field(default_factory=dict)
    """More tenants: JSON of `{"acme": {"api_key": …, "jwt_secret": …, "kid": …}}`."""

    demo: bool | None = None
    """The demo page: unset means on loopback in development only; true means for everybody who can connect."""
    metrics_public: bool | None = None
    """Who may read `/metrics` without the API key: unset means this very machine, in development only; true means
    everybody who can connect; false means nobody."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Where `bellwire worker` shows `/metrics` and `/healthz`, at `host`; unset: nowhere. A node has them at `port`."""
    worker: bool = True
    """Run the fallback worker inside `serve`."""

    connections: int = Field(default=20_000, ge=1)
    """Live connections that this node takes; mind the limit of open files."""
    per_user_connections: int = Field(default=100, ge=1)
    """Live connections of one user on this node."""
    max_strangers: int = Field(default=1_000, ge=1)
    """Sockets that have not said who they are yet."""
    strangers_per_address: int = Field(default=200, ge=1)
    """How many of those may come from one address."""
    outbox_bytes: int = Field(default=256 * 1024, ge=4096)
    """Bytes that may wait for a slow client; beyond them it is cut off, and resumes from the inbox."""
    admission_rate: float = Field(default=500, ge=0)
    """Live connections accepted per second; the others are told to come back (503). 0: all that come."""
    admission_burst: int = Field(default=1_000, ge=1)
    """Live connections accepted at once after a quiet while."""
    drain_timeout: float = Field(default=10, ge=0)
    """Seconds that live clients have to leave when the node stops."""

    retention: str | None = None
    """How long notifications are kept, such as `180d`: the worker deletes what is older, and writes no archive.
    Unset: for ever, or until `bellwire archive`."""

    lease_seconds: float = Field(default=30, ge=1, le=3600)
    """How long a worker's claim outlives it: what a vanished worker held is sent by another after that."""

    concurrency: dict[Channel, Annotated[int, Field(ge=1, le=1000)]] = Field(default_factory=dict)
    """How many deliveries a worker has under way at once, of each priority of a channel: JSON of `{"push": 32}`. Where
    a channel says nothing: 8."""
    max_attempts: dict[Channel, Annotated[int, Field(ge=1, le=20)]] = Field(default_factory=dict)
    """After how many attempts a delivery fails: JSON of `{"email": 4}`. Where a channel says nothing: email 5, chat 4,
    push, webpush and sms 3."""
    rate_limits: dict[str, str] = Field(default_factory=dict)
    """What providers may be asked for by all workers together: JSON of `{"sendgrid": "100/second", "smtp": "30/minute,
    10000/day"}`."""

    alert_webhook: SecretStr | None = None
    """Where failed deliveries are told of: a URL that takes POSTs signed by Standard Webhooks."""
    alert_secret: SecretStr | None = None
    """What they are signed with: `whsec_` and 24 to 64 bytes in base64."""
    alert_urls: SecretStr | None = None
    """The same by Apprise: its URLs, with spaces or commas between them."""
    alert_every: int = Field(default=900, ge=10, le=86_400)
    """Seconds that a group of failures is quiet after it has been told of."""
    schedules_per_tenant: int = Field(default=10_000, ge=0)
    """Schedules that a tenant may have, those that have ended aside."""

    email_provider: str | None = None
    """`smtp`, `sendgrid` or `console`; of several (`sendgrid,smtp`) the next takes over where one fails. Unset: what is
    configured, else `console` in development."""
    push_provider: str | None = None
    sms_provider: str | None = None
    chat_provider: str | None = None
    mail_from: str = "Bellwire <notifications@localhost>"
    smtp_url: SecretStr | None = None
    """`smtp://user:password@host:port`, `smtps://…`; `?starttls=always|never` (always, where a password would travel;
    else where offered)."""
    sendgrid_api_key: SecretStr | None = None
    sendgrid_host: str | None = None
    fcm_credentials: Path | None = None
    """A service account's JSON file."""
    fcm_endpoint: str | None = None
    """Overrides FCM's address, for tests and proxies."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto`: console on a terminal, JSON lines elsewhere."""

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("postgresql://", "postgres://", "sqlite:///")):
            raise ValueError("must begin with postgresql:// or sqlite:///")
        return url

    @field_validator("retention")
    @classmethod
    def _age(cls, age: str | None) -> str | None:
        if age is not None:
            try:
                parse_age(age, "it")
            except ConfigurationError as error:
                raise ValueError(str(error)) from None
        return age

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(_REDIS_SCHEMES):
            raise ValueError("must begin with one of " + ", ".join(_REDIS_SCHEMES))
        return url

    @field_validator("rate_limits")
    @classmethod
    def _readable_rates(cls, limits: dict[str, str]) -> dict[str, str]:
        for text in limits.values():
            parse_rates(text)
        return limits

    @property
    def origins(self) -> tuple[str, ...]:
        """`allowed_origins`, one by one."""
        listed = (origin.strip().rstrip("/") for origin in self.allowed_origins.split(","))
        return tuple(origin for origin in listed if origin)

    @property
    def retention_ms(self) -> int | None:
        """`retention` in milliseconds."""
        return None if self.retention is None else parse_age(self.retention, "BELLWIRE_RETENTION")

    @property
    def development(self) -> bool:
        """Whether generated credentials and the demo page are acceptable: one machine, nothing shared."""
        return self.env == "development" and self.redis_url is None and not self.postgres

    @property
    def postgres(self) -> bool:
        """Whether the database is PostgreSQL."""
        return self.database_url is not None and self.database_url.startswith("postgres")

    @property
    def state_dir(self) -> Path:
        """Where generated credentials are kept: beside the SQLite file."""
        if self.database_url is not None and self.database_url.startswith("sqlite:///"):
            return Path(self.database_url.removeprefix("sqlite:///")).parent
        return self.data_dir

    @property
    def resolved_database_url(self) -> str:
        """The database's address, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'bellwire.db'}"


class TenantCredentials(BaseModel):
    """A further tenant's keys; `kid` is what its users' tokens carry in their header (default: the tenant's name)."""

    api_key: SecretStr
    jwt_secret: SecretStr
    kid: str | None = None


Settings.model_rebuild()
