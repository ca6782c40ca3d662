"""Two network namespaces with a cable between them that can be pulled: the only way to vanish without a FIN or RST.

Linux, root and iproute2 are needed; nothing outside the two namespaces is touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.process import BellwireProcess

SERVER, CLIENT = "10.231.7.1", "10.231.7.2"


class Cable:
    """The two ends, as names of namespaces."""

    def __init__(self) -> None:
        self.server, self.client = f"bellwire-{os.getpid()}s", f"bellwire-{os.getpid()}c"

    def plug(self) -> None:
        for space in (self.server, self.client):
            _ip("netns", "add", space)
        _ip("-n", self.server, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", self.client)
        for space, address in ((self.server, SERVER), (self.client, CLIENT)):
            _ip("-n", space, "address", "add", f"{address}/24", "dev", "wire")
            _ip("-n", space, "link", "set", "wire", "up")

    def pull(self) -> None:
        """Let nothing through any more; neither side is told."""
        _ip("-n", self.client, "link", "set", "wire", "down")

    def remove(self) -> None:
        for space in (self.server, self.client):
            subprocess.run(("ip", "netns", "delete", space), capture_output=True, check=False)


@contextmanager
def cable() -> Iterator[Cable]:
    """Have a cable for the length of a block; skips the test where the system allows none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("pulling a cable needs root and iproute2 (apt-get install iproute2)")
    made = Cable()
    try:
        try:
            made.plug()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this system makes no network namespaces: {error.stderr.strip()}")
        yield made
    finally:
        made.remove()


class ServerBehindCable(BellwireProcess):
    """`bellwire serve` at the server's end; ready when it says that it listens."""

    def __init__(self, ends: Cable, env: dict[str, str]) -> None:
        super().__init__("serve", env={**env, "BELLWIRE_HOST": SERVER})
        self._command = ["ip", "netns", "exec", ends.server, *self._command]  # replaces itself by the command

    def _await_readiness(self, process: subprocess.Popen[str]) -> None:
        self.wait_for_output("listening")

    @property
    def sockets(self) -> int:
        """How many sockets the process has."""
        found = 0
        for descriptor in (Path("/proc") / str(self.pid) / "fd").iterdir():
            try:
                found += str(descriptor.readlink()).startswith("socket:")
            except FileNotFoundError:  # closed meanwhile
                continue
        return found


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), capture_output=True, text=True, check=True)
