"""The files of `static/`, as they are, and the pages made of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from hub.api.responses import SAFE_HEADERS
from hub.core.errors import ConfigurationError

_PACKAGE = Path(__file__).resolve().parent.parent

# Named here because the machine's own table (the registry on Windows) may call JavaScript text/plain,
# and then no browser runs it under nosniff.
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}

_CACHE = "no-cache"
"""Names carry no version, so browsers ask each time, and get a 304 without a body as long as the file is the same."""

_POLICY: Final[Mapping[str, str]] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "worker-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


def static_directory() -> Path:
    """Return where the files are: beside the package in a wheel, at the top of a checkout.

    Raises:
        ConfigurationError: neither is there.

    """
    for directory in (_PACKAGE / "_static", _PACKAGE.parent / "static"):
        if directory.is_dir():
            return directory
    raise ConfigurationError("the web files are missing: install the wheel, or run from a whole checkout")


def content_security_policy(changes: Mapping[str, str] | None = None) -> str:
    """Write a page's policy: nothing but files and connections of this origin, no inline script or style."""
    return "; ".join(f"{name} {value}" for name, value in {**_POLICY, **(changes or {})}.items())


class Assets(StaticFiles):
    """`/static/…`. A path that `visible` refuses for a request is not there."""

    def __init__(self, directory: Path, visible: Callable[[str, Scope], bool] = lambda _path, _scope: True) -> None:
        super().__init__(directory=directory)
        self._visible = visible

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See `StaticFiles.get_response`; hidden files (`.name`) are not served."""
        if any(part.startswith(".") for part in Path(path).parts) or not self._visible(path, scope):
            raise HTTPException(404)
        return await super().get_response(path, scope)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Send a file, or 304 if the browser has it."""
        media_type = _MEDIA_TYPES.get(Path(full_path).suffix.lower(), "application/octet-stream")
        headers = {**SAFE_HEADERS, "Cache-Control": _CACHE}
        if media_type == "text/html":
            headers["Content-Security-Policy"] = content_security_policy()
        response = FileResponse(full_path, status_code, headers, media_type, stat_result=stat_result)
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


def page(path: Path, policy: str) -> Response:
    """Send an HTML page under its policy."""
    headers = {**SAFE_HEADERS, "Cache-Control": _CACHE, "Content-Security-Policy": policy}
    return FileResponse(path, headers=headers, media_type="text/html")
