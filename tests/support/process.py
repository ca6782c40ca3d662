"""The project's own commands as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.support.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 90.0
"""Seconds that a process has to start or to stop before a test gives up; it never waits this long when all is well."""

_LOOK_AGAIN = 0.02
"""Seconds between two looks at `/readyz`; a process that dies is noticed at once."""


class BellwireProcess:
    """One `bellwire …` process; its methods block (call them in a thread where an event loop must go on).

    With `serve` it listens on `port` of 127.0.0.1, the same after every `start`. The environment is this one's
    without its `BELLWIRE_*` variables, plus `env`.
    """

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None, port: int | None = None) -> None:
        self._serves = arguments[:1] == ("serve",)
        self.port = (port or free_port()) if self._serves else 0
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")}
        self._env = {**inherited, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._command = [str(Path(sys.executable).with_name("bellwire")), *arguments]
        if self._serves:
            self._command += ["--port", str(self.port)]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[str] = []
        self._heard = threading.Condition()
        self._reading = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """All that it has printed, over all its starts."""
        with self._heard:
            return "".join(self._lines)

    @property
    def pid(self) -> int:
        """The process's number while it runs."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it; returns once `/readyz` says that it is ready (`worker`: once it says that it has started).

        Raises:
            RuntimeError: it ended, or was not ready in time; the message has what it printed.

        """
        before = len(self.output)
        self._process = subprocess.Popen(
            self._command,
            cwd=REPOSITORY,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reading = True
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if self._serves:
            self._await_readiness(self._process)
        else:
            self.wait_for_output("worker_started", since=before)

    def wait_for_output(self, text: str, *, since: int = 0) -> None:
        """Wait until it has printed `text`, at or after character `since` of its output.

        Raises:
            RuntimeError: it ended without, or did not in time.

        """
        with self._heard:
            heard = self._heard.wait_for(
                lambda: text in "".join(self._lines)[since:] or not self._reading, timeout=PATIENCE
            )
            if not heard or text not in "".join(self._lines)[since:]:
                raise RuntimeError(f"{self._command} did not print {text!r}:\n{''.join(self._lines)}")

    def stop(self) -> int:
        """Ask it to end as an operator would (SIGTERM), and return its exit status; 0 if it is not running."""
        return self._end(subprocess.Popen.terminate)

    def kill(self) -> int:
        """End it with SIGKILL, in the middle of whatever it does."""
        return self._end(subprocess.Popen.kill)

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP): connections stay open, nothing goes on."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._heard:
                self._lines.append(line)
                self._heard.notify_all()
        with self._heard:
            self._reading = False
            self._heard.notify_all()

    def _await_readiness(self, process: subprocess.Popen[str]) -> None:
        looks = int(PATIENCE / _LOOK_AGAIN)
        with httpx2.Client(base_url=self.url, trust_env=False) as client:
            for _ in range(looks):
                if self._is_ready(client):
                    return
                try:
                    status = process.wait(_LOOK_AGAIN)
                except subprocess.TimeoutExpired:
                    continue
                self._end(subprocess.Popen.kill)
                raise RuntimeError(f"{self._command} ended with {status}:\n{self.output}")
        self._end(subprocess.Popen.kill)
        raise RuntimeError(f"{self._command} was not ready in {PATIENCE} s:\n{self.output}")

    def _is_ready(self, client: httpx2.Client) -> bool:
        try:
            return client.get("/readyz").is_success
        except httpx2.TransportError:
            return False

    def _end(self, how: Callable[[subprocess.Popen[str]], None]) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        how(process)
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"{self._command} did not stop in {PATIENCE} s:\n{self.output}") from None
        finally:
            if self._reader is not None:
                self._reader.join()
            assert process.stdout is not None
            process.stdout.close()
        return status
