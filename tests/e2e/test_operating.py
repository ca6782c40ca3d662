"""Operating a hub from the command line: real processes, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from hub.cli import app
from tests.e2e.test_commands import run
from tests.support.ports import free_port
from tests.support.process import BellwireProcess

Command = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def hub(data: Path) -> Iterator[BellwireProcess]:
    with BellwireProcess("serve", env={"BELLWIRE_DATA_DIR": str(data)}) as process:
        yield process


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def command(hub: BellwireProcess, data: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line in this process, which is twenty times as fast as one of its own."""
    monkeypatch.setattr("hub.logs.configure_logging", lambda _settings: None)
    monkeypatch.setenv("BELLWIRE_DATA_DIR", str(data))
    monkeypatch.setenv("BELLWIRE_PORT", str(hub.port))
    return lambda *arguments: CliRunner().invoke(app, arguments)


@pytest.fixture
def ask(command: Command) -> Ask:
    """Run a command and read its JSON."""

    def run_and_read(*arguments: str) -> dict[str, Any]:
        done = command(*arguments)
        assert done.exit_code == 0, (done.output, done.exception)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run_and_read


def test_a_pause_survives_a_restart_and_then_everything_can_be_done(
    hub: BellwireProcess, data: Path, ask: Ask, command: Command
) -> None:
    env = {"BELLWIRE_DATA_DIR": str(data), "BELLWIRE_PORT": str(hub.port)}
    paused = run("queue", "pause", "email", **env)
    assert json.loads(paused.stdout)["paused"] is True, paused.stderr
    key = {"Authorization": f"Bearer {(data / 'api-key').read_text().strip()}"}
    body = {"recipients": ["ada", "grace", "linus"], "title": "t", "fallback": [{"channel": "email"}]}
    httpx2.post(f"{hub.url}/v1/notifications", json=body, headers=key, trust_env=False).raise_for_status()
    hub.stop()
    hub.start()

    [email] = [queue for queue in ask("queues")["data"] if queue["channel"] == "email"]
    assert (email["paused"], email["queued"]) == (True, 3)
    waiting = ask("deliveries", "list", "--state", "queued", "--limit", "2")
    assert (len(waiting["data"]), waiting["has_more"]) == (2, True)
    first, second = (delivery["id"] for delivery in waiting["data"])
    assert ask("deliveries", "promote", first)["state"] == "queued"
    assert ask("deliveries", "cancel", second)["state"] == "cancelled"
    assert [entry["event"] for entry in ask("deliveries", "show", second)["trace"]] == ["created", "ended"]
    refused = command("deliveries", "retry", second)
    assert "`cancelled`" in str(refused.exception)
    assert ask("dlq", "list")["data"] == []
    assert ask("dlq", "replay", "--yes", "--dry-run") == {"replayed": 0, "dry_run": True}
    assert command("queue", "empty", "email").exit_code == 1, "nobody said yes"
    assert ask("queue", "empty", "email", "--yes") == {"cancelled": 2}
    assert ask("queue", "resume", "email")["paused"] is False


def test_schedules_from_the_first_to_the_last(ask: Ask, command: Command, tmp_path: Path) -> None:
    body: dict[str, Any] = {
        "name": "Stand-up",
        "cron": "0 9 * * MON-FRI",
        "timezone": "Europe/Berlin",
        "notification": {"recipients": ["ada"], "title": "Stand-up in ten minutes"},
    }
    file, change = tmp_path / "stand-up.json", tmp_path / "change.json"
    file.write_text(json.dumps(body))
    change.write_text('{"timezone": "Asia/Tokyo"}')
    made = ask("schedules", "create", str(file), "--idempotency-key", "stand-up")
    assert ask("schedules", "create", str(file), "--idempotency-key", "stand-up") == made
    schedule = made["id"]
    [listed] = ask("schedules", "list")["data"]
    assert (listed["id"], listed["cron"], listed["state"]) == (schedule, body["cron"], "active")
    assert ask("schedules", "patch", schedule, str(change))["timezone"] == "Asia/Tokyo"
    assert ask("schedules", "pause", schedule)["state"] == "paused"
    assert ask("schedules", "next", schedule)["data"] == []
    assert ask("schedules", "resume", schedule)["state"] == "active"
    assert len(ask("schedules", "next", schedule, "--count", "3")["data"]) == 3
    published = ask("schedules", "run", schedule, "--idempotency-key", "now")
    assert ask("schedules", "run", schedule, "--idempotency-key", "now") == published
    [run_by_hand] = ask("schedules", "show", schedule)["runs"]
    assert (run_by_hand["by_hand"], run_by_hand["notification"]) == (True, published["id"])
    [first] = ask("schedules", "preview", "--cron", "0 9 * * MON-FRI", "--count", "1")["data"]
    assert first["at"].endswith("T09:00:00.000Z")
    never = command("schedules", "preview", "--cron", "0 0 30 2 *")
    assert "$.cron" in str(never.exception)
    assert command("schedules", "delete", schedule).exit_code == 1, "nobody said yes"
    assert ask("schedules", "delete", schedule, "--yes") == {"deleted": True}
    assert ask("schedules", "list")["data"] == []
    assert "no such schedule" in str(command("schedules", "show", schedule).exception)


def test_without_a_hub_it_is_told(tmp_path: Path) -> None:
    refused = run("queues", "--url", "http://127.0.0.1:1", BELLWIRE_DATA_DIR=str(tmp_path))
    assert refused.returncode == 2
    assert "no hub answers" in refused.stderr


def test_a_worker_alone_shows_its_metrics(postgres_url: str, flushed_redis_url: str, tmp_path: Path) -> None:
    port = free_port()
    env = {
        "BELLWIRE_DATABASE_URL": postgres_url,
        "BELLWIRE_REDIS_URL": flushed_redis_url,
        "BELLWIRE_API_KEY": "bw_the-operators-own-key-0123456789",
        "BELLWIRE_JWT_SECRET": "a-secret-of-at-least-32-bytes-here",
        "BELLWIRE_DATA_DIR": str(tmp_path),
        "BELLWIRE_METRICS_PORT": str(port),
    }
    url = f"http://127.0.0.1:{port}"
    with BellwireProcess("worker", env=env) as worker:
        worker.wait_for_output("metrics_at")
        transport = httpx2.HTTPTransport(retries=5)
        with httpx2.Client(base_url=url, transport=transport, trust_env=False) as client:
            assert client.get("/healthz").json() == {"status": "ok"}
            assert client.get("/metrics").status_code == 401
            shown = client.get("/metrics", headers={"Authorization": f"Bearer {env['BELLWIRE_API_KEY']}"})
        assert "bellwire_lease_expiries_total 0.0" in shown.text
        assert worker.stop() == 0
