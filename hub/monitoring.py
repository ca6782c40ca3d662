"""`/metrics` and `/healthz` of a process that serves nothing else: a worker of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api.metrics import Metrics
from hub.api.problems import exception_handlers
from hub.api.responses import json_response
from hub.app import Parts
from hub.core import wire
from hub.credentials import load_credentials
from hub.http.auth import Guard
from hub.keyring import Keyring
from hub.serving import refuse_taken_port
from hub.settings import Settings

log = structlog.get_logger(__name__)


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the process that it is a part of."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def monitored(parts: Parts) -> AsyncIterator[None]:
    """Serve the process's metrics for as long as the block lasts, if the settings name a port for them.

    Who may read them is the same as on a node (see `hub.api.metrics`).

    Raises:
        ConfigurationError: the port is taken, or the credentials are missing.

    """
    settings = parts.settings
    if settings.metrics_port is None:
        yield
        return
    own = settings.model_copy(update={"port": settings.metrics_port})
    refuse_taken_port(own)
    server = _QuietServer(
        uvicorn.Config(
            _app(parts, own),
            host=settings.host,
            port=settings.metrics_port,
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve(), name="metrics")
    try:
        log.info("metrics_at", host=settings.host, port=settings.metrics_port)
        yield
    finally:
        server.should_exit = True
        await serving


def _app(parts: Parts, settings: Settings) -> Starlette:
    credentials = load_credentials(settings)
    keyring = Keyring.from_settings(settings, credentials.api_key, credentials.jwt_secret)
    metrics = Metrics(parts.metrics, Guard(keyring, parts.hub.clock), settings)
    routes = [*metrics.routes(), Route("/healthz", _alive, methods=["GET"])]
    return Starlette(routes=routes, exception_handlers=exception_handlers)


async def _alive(_: Request) -> Response:
    return json_response(wire.HealthOut(status="ok"))
