"""Folders served over HTTP, each on an origin of its own."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self';"
    " base-uri 'none'; form-action 'none'"
)

STRICT: Mapping[str, str] = {
    "Content-Security-Policy": f"{_POLICY}; require-trusted-types-for 'script'; trusted-types 'none'"
}
"""As strict as a page can be: nothing inline, nothing from elsewhere, no markup made by scripts."""

WITHOUT_TRUSTED_TYPES: Mapping[str, str] = {"Content-Security-Policy": _POLICY}


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, more_headers: Mapping[str, str], **named: Any) -> None:
        self._more_headers = more_headers
        super().__init__(*arguments, **named)

    def end_headers(self) -> None:
        for name, value in self._more_headers.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


@contextmanager
def static_site(folder: Path, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve a folder on a free port; yields the origin."""
    handler = functools.partial(_Handler, directory=str(folder), more_headers=headers or {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
