"""The command line as a newcomer uses it: real processes, one SQLite file."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import jwt
import pytest

from tests.support.process import BellwireProcess

BELLWIRE = str(Path(sys.executable).with_name("bellwire"))


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")}
    return subprocess.run(
        [BELLWIRE, *arguments],
        env={**inherited, "COLUMNS": "200", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def hub(data: Path) -> Iterator[BellwireProcess]:
    with BellwireProcess("serve", env={"BELLWIRE_DATA_DIR": str(data)}) as process:
        yield process


def test_the_first_minute(hub: BellwireProcess, data: Path) -> None:
    env = {"BELLWIRE_DATA_DIR": str(data), "BELLWIRE_PORT": str(hub.port)}
    with BellwireListener("ada", env) as listener:
        listener.wait_for_output("listening as ada")
        sent = run("send", "ada", "--title", "[bold]Hello[/] \x1b[31mAda", "--body", "Welcome", **env)
        assert sent.returncode == 0, sent.stderr
        assert "published" in sent.stdout
        listener.wait_for_output("Welcome")
        # What people wrote is text: neither our markup nor escape codes.
        assert "[bold]Hello[/]" in listener.output
        assert "\x1b[31mAda" not in listener.output


class BellwireListener(BellwireProcess):
    """`bellwire listen`: ready at once, tells more as it comes."""

    def __init__(self, user: str, env: dict[str, str]) -> None:
        super().__init__("listen", "--user", user, env=env)

    def start(self) -> None:
        try:
            super().start()  # waits for a worker's words, which a listener never says
        except RuntimeError:
            raise AssertionError(self.output) from None

    def wait_for_output(self, text: str, *, since: int = 0) -> None:
        super().wait_for_output("listening as" if text == "worker_started" else text, since=since)


def test_generated_credentials_are_the_owners_and_not_in_the_log(hub: BellwireProcess, data: Path) -> None:
    for name in ("api-key", "jwt-secret"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
        assert (data / name).read_text().strip() not in hub.output
    assert f"$(cat {data}/api-key)" in hub.output


def test_the_curl_of_the_log_line_publishes(hub: BellwireProcess) -> None:
    hub.wait_for_output("listening")
    line = next(line for line in hub.output.splitlines() if '"listening"' in line)
    command = httpx2.Response(200, text=line).json()["publish"]
    answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    assert re.search(r'"id":"[0-9a-f-]{36}","recipients":1', answer.stdout)


def test_credentials_survive_a_restart(hub: BellwireProcess, data: Path) -> None:
    before = (data / "api-key").read_text()
    hub.stop()
    hub.start()
    assert (data / "api-key").read_text() == before


def test_a_token_is_for_its_user_and_expires(data: Path) -> None:
    printed = run("token", "--user", "ada", "--ttl", "60", BELLWIRE_DATA_DIR=str(data)).stdout.strip()
    claims = jwt.decode(printed, (data / "jwt-secret").read_text().strip(), algorithms=["HS256"])
    assert claims["sub"] == "ada"
    assert claims["exp"] - claims["iat"] == 60


def test_a_second_process_on_the_in_process_bus_is_refused(hub: BellwireProcess, data: Path) -> None:
    second = run("serve", "--port", "0", BELLWIRE_DATA_DIR=str(data))
    assert second.returncode == 2
    assert "BELLWIRE_REDIS_URL" in second.stderr or "another process" in second.stderr.lower()
    assert "Traceback" not in second.stderr
    assert httpx2.get(f"{hub.url}/readyz", trust_env=False).is_success


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run("serve", "--port", port, BELLWIRE_DATA_DIR=str(tmp_path))
    assert refused.returncode == 2
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"BELLWIRE_ENV": "production"}, "BELLWIRE_API_KEY and BELLWIRE_JWT_SECRET must be set"),
        ({"BELLWIRE_REDIS_URL": "redis://127.0.0.1:1"}, "BELLWIRE_API_KEY and BELLWIRE_JWT_SECRET must be set"),
        ({"BELLWIRE_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "must be set"),
        ({"BELLWIRE_ENV": "production", "BELLWIRE_API_KEY": "k"}, "BELLWIRE_JWT_SECRET must be set"),
        ({"BELLWIRE_JWT_SECRET": "short"}, "at least 32 bytes"),
        ({"BELLWIRE_DATABASE_URL": "mysql://x"}, "must begin with postgresql:// or sqlite:///"),
        ({"BELLWIRE_PORT": "many"}, "BELLWIRE_PORT"),
        ({"BELLWIRE_RETENTION": "for ever"}, "BELLWIRE_RETENTION"),
        ({"BELLWIRE_EMAIL_PROVIDER": "pigeon"}, "pigeon"),
    ],
)
def test_a_wrong_setup_stops_the_start_with_a_clear_error(env: dict[str, str], message: str, tmp_path: Path) -> None:
    refused = run("serve", "--port", "0", **{"BELLWIRE_DATA_DIR": str(tmp_path), **env})
    assert refused.returncode == 2, refused.stderr
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_secret_is_not_echoed_by_the_error_about_it(tmp_path: Path) -> None:
    refused = run("serve", BELLWIRE_DATA_DIR=str(tmp_path), BELLWIRE_JWT_SECRET="hunter2")
    assert "hunter2" not in refused.stderr + refused.stdout


def test_a_worker_alone_needs_a_bus(tmp_path: Path) -> None:
    refused = run("worker", BELLWIRE_DATA_DIR=str(tmp_path))
    assert refused.returncode == 2
    assert "BELLWIRE_REDIS_URL" in refused.stderr


def test_a_node_refuses_a_database_without_its_schema(empty_postgres_url: str, flushed_redis_url: str) -> None:
    env = {
        "BELLWIRE_DATABASE_URL": empty_postgres_url,
        "BELLWIRE_REDIS_URL": flushed_redis_url,
        "BELLWIRE_API_KEY": "k",
        "BELLWIRE_JWT_SECRET": "s" * 32,
    }
    refused = run("serve", "--port", "0", **env)
    assert refused.returncode == 2
    assert "bellwire migrate" in refused.stderr
    assert run("migrate", **env).returncode == 0
    well = run("doctor", **env)
    assert well.returncode == 0, well.stdout + well.stderr
    assert "schema up to date" in well.stdout


def test_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    ill = run("doctor", BELLWIRE_DATA_DIR=str(tmp_path), BELLWIRE_ENV="production")
    assert ill.returncode == 1
    assert "BELLWIRE_API_KEY" in ill.stdout
    well = run("doctor", BELLWIRE_DATA_DIR=str(tmp_path))
    assert well.returncode == 0, well.stdout


def test_sending_without_a_hub_is_told(tmp_path: Path) -> None:
    refused = run("send", "ada", "--title", "t", "--url", "http://127.0.0.1:1", BELLWIRE_DATA_DIR=str(tmp_path))
    assert refused.returncode == 2
    assert "no hub answers" in refused.stderr


def test_a_refused_notification_is_told_in_the_hubs_words(hub: BellwireProcess, data: Path) -> None:
    env = {"BELLWIRE_DATA_DIR": str(data), "BELLWIRE_PORT": str(hub.port)}
    refused = run("send", "ada", "--title", "t", "--action-url", "javascript:alert(1)", **env)
    assert refused.returncode == 1
    assert "$.action_url" in refused.stderr
