"""Nchan, the pub/sub module of nginx: Debian's packages `nginx` and `libnginx-mod-nchan`."""

from __future__ import annotations

import asyncio
import http.client
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.gateway.peers.missing import Missing
from tests.benchmarks.gateway.processes import running
from tests.benchmarks.gateway.swarm import sse_request, websocket_request
from tests.support.ports import free_port

PUBLISH = "/publish?channel=all"

_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_HOW = "apt-get install nginx libnginx-mod-nchan (and keep Debian's own service stopped)"
_CONFIGURATION = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 19900; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 512M;
  nchan_message_buffer_length 50;
  nchan_message_timeout 60s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{ nchan_publisher; nchan_channel_id $arg_channel; }}
    location = /subscribe {{
      nchan_subscriber websocket eventsource;
      nchan_channel_id $arg_channel;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nchan:
    """A running server; `pid` is the master, its workers are below it."""

    pid: int
    port: int

    async def subscribed(self, clients: int) -> None:
        """Return once the channel for all has so many subscribers."""
        while await asyncio.to_thread(self._subscribers) < clients:  # noqa: ASYNC110 - nchan does not tell by itself
            await asyncio.sleep(0.05)

    def _subscribers(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", PUBLISH)
            found = re.search(rb"active subscribers: (\d+)", connection.getresponse().read())
        finally:
            connection.close()
        return int(found[1]) if found else 0


def version() -> str:
    """Say which it is.

    Raises:
        Missing: it is not installed.

    """
    if shutil.which("nginx") is None or not _MODULE.exists():
        raise Missing("nginx with nchan", _HOW)
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.strip()
    package = subprocess.run(
        ["dpkg-query", "-W", "-f=${Version}", "libnginx-mod-nchan"], capture_output=True, text=True, check=False
    )
    return f"{package.stdout or 'unknown'} in {nginx.rpartition(': ')[2]}"


@contextmanager
def nchan(cores: Collection[int], folder: Path) -> Iterator[Nchan]:
    """Run a master and one worker."""
    port = free_port()
    home = folder / f"nchan-{port}"
    home.mkdir()
    configuration = home / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(module=_MODULE, folder=home, port=port))
    command = ["nginx", "-p", str(home), "-e", str(home / "nginx-error.log"), "-c", str(configuration)]
    with running(command, log=home / "nginx.log", ready=lambda: _listens(port), cores=cores) as pid:
        yield Nchan(pid, port)


def websocket(channel: str = "all") -> bytes:
    return websocket_request(f"/subscribe?channel={channel}")


def events(channel: str = "all") -> bytes:
    return sse_request(f"/subscribe?channel={channel}")


def _listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        connection.getresponse()
        connection.close()
        return True
    return False
