"""`/metrics`, for Prometheus."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.responses import SAFE_HEADERS
from hub.core.errors import Forbidden
from hub.http.auth import Guard
from hub.http.local import is_local
from hub.keyring import DEFAULT_TENANT
from hub.settings import Settings


def node_registry() -> CollectorRegistry:
    """Make a registry with what there is to say of the process. Each node has its own: there is no global one."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("bellwire_build", "The version that runs.", registry=registry).info({"version": version("bellwire")})
    return registry


class Metrics:
    """The node's metrics, which are the operator's: they tell of all tenants together.

    The API key of the tenant `default` opens them, as the only one that every installation has; in development also
    a request from this very machine; with `BELLWIRE_METRICS_PUBLIC=1` any request.
    """

    def __init__(self, registry: CollectorRegistry, guard: Guard, settings: Settings) -> None:
        self._registry = registry
        self._guard = guard
        self._public = settings.metrics_public is True
        self._local = settings.metrics_public is None and settings.development

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [Route("/metrics", self.scrape, methods=["GET"])]

    async def scrape(self, request: Request) -> Response:
        """Answer in the text format, or in OpenMetrics' where it is asked for."""
        if not self._public and not (self._local and is_local(request.scope)):
            self._require_operator(request)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        headers = {**SAFE_HEADERS, "Cache-Control": "no-store", "Content-Type": content_type}
        return Response(encode(self._registry), headers=headers)

    def _require_operator(self, request: Request) -> None:
        if self._guard.require_publisher(request) != DEFAULT_TENANT:
            raise Forbidden(f"the metrics are of all tenants; they need the API key of the tenant `{DEFAULT_TENANT}`")
