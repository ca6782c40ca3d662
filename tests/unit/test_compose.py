"""What docker-compose.yml and the files it leans on promise, without Docker."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from hub.cli import app
from hub.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if str(service["image"]).startswith("bellwire:")}
GENERATED = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "BELLWIRE_API_KEY", "BELLWIRE_JWT_SECRET"}

VARIABLE = re.compile(r"\$?\$\{(?P<name>\w+)(?::(?P<operator>[-?+])(?P<word>[^}]*))?\}")
SECRET = re.compile(r"PASSWORD|SECRET|API_KEY|SMTP_URL|TENANTS|CREDENTIALS")


def texts(node: object) -> Iterator[str]:
    """Every string of a document."""
    match node:
        case str():
            yield node
        case dict():
            for value in node.values():
                yield from texts(value)
        case list():
            for value in node:
                yield from texts(value)


def variables() -> Iterator[re.Match[str]]:
    for text in texts(COMPOSE):
        yield from VARIABLE.finditer(text)


def interpolated(text: str) -> str:
    """The text as Compose reads it with nothing set."""
    return VARIABLE.sub(lambda found: found["word"] if found["operator"] == "-" else "", text)


def test_no_secret_has_a_default() -> None:
    seen = {found["name"]: (found["operator"], found["word"]) for found in variables() if SECRET.search(found["name"])}
    assert {name for name, (operator, _) in seen.items() if operator == "?"} == GENERATED
    assert all(operator == "?" or (operator, word) == ("-", "") for operator, word in seen.values())
    assert all("make env" in word for operator, word in seen.values() if operator == "?")


def test_no_secret_is_written_out() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if SECRET.search(name):
                assert VARIABLE.fullmatch(value), name
    for text in texts(COMPOSE):
        for password in re.findall(r"://[^:/]*:([^@/]*)@", text):
            assert VARIABLE.fullmatch(password), text


@pytest.mark.parametrize("name", OURS)
def test_commands_are_those_of_the_command_line(name: str) -> None:
    program, command, *arguments = OURS[name]["command"].split()
    assert program == "bellwire"
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group, as it has commands
    commands[command].make_context(command, arguments)


def test_the_shape_is_two_nodes_a_worker_and_a_migration() -> None:
    commands = sorted(service["command"] for service in OURS.values())
    node = "bellwire serve --no-worker"
    assert commands == ["bellwire migrate", node, node, "bellwire worker"]


def test_settings_that_are_passed_exist() -> None:
    known = {f"BELLWIRE_{field.upper()}" for field in Settings.model_fields}
    for name, service in OURS.items():
        assert set(service["environment"]) <= known, name
        assert service["environment"]["BELLWIRE_ENV"] == "production"


def test_settings_left_empty_are_as_good_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OURS["hub1"]["environment"].items():
        monkeypatch.setenv(name, interpolated(value))
    settings = Settings()
    assert settings.demo is None
    assert settings.tenants == {}
    assert settings.mail_from == Settings.model_fields["mail_from"].default
    assert not settings.development


def test_only_nginx_publishes_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["nginx"]
    assert [interpolated(port) for port in published["nginx"]] == ["127.0.0.1:8080:8080"]
    assert not any("network_mode" in service for service in SERVICES.values())


def test_nginx_cannot_reach_the_data() -> None:
    assert SERVICES["nginx"]["networks"] == ["edge"]
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["data"]
    assert SERVICES["worker"]["networks"] == ["data"]


def test_everything_waits_for_what_it_needs() -> None:
    for name in ("hub1", "hub2", "worker"):
        assert {needed: how["condition"] for needed, how in OURS[name]["depends_on"].items()} == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "redis": "service_healthy",
        }
    for name in ("postgres", "redis", "nginx"):
        assert SERVICES[name]["healthcheck"]["test"]


def test_nginx_knows_every_node_and_logs_no_query() -> None:
    text = re.sub(r"#.*", "", (ROOT / "deploy/nginx.conf").read_text())
    nodes = {name for name, service in OURS.items() if "serve" in service["command"]}
    assert set(re.findall(r"server (\w+):8000 resolve", text)) == nodes
    for leaking in ("$request ", "$request'", '$request"', "$request_uri", "$args", "$query_string", "$http_referer"):
        assert leaking not in text


class TestMakeEnv:
    """deploy/make-env.sh."""

    @staticmethod
    def run(file: Path) -> str:
        done = subprocess.run(["sh", ROOT / "deploy/make-env.sh", file], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    @staticmethod
    def read(file: Path) -> dict[str, str]:
        lines = (line for line in file.read_text().splitlines() if not line.startswith("#"))
        return dict(line.split("=", 1) for line in lines)

    def test_it_makes_fresh_secrets_that_only_the_owner_reads(self, tmp_path: Path) -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        said = self.run(one)
        self.run(other)
        secrets = self.read(one)
        assert set(secrets) == GENERATED
        assert len(set(secrets.values()) | set(self.read(other).values())) == 2 * len(GENERATED)
        for name, secret in secrets.items():
            assert re.fullmatch(r"(bw_)?[0-9a-f]{64}", secret), name
            assert secret not in said
        assert stat.S_IMODE(one.stat().st_mode) == 0o600

    def test_it_never_overwrites(self, tmp_path: Path) -> None:
        file = tmp_path / "env"
        self.run(file)
        before = file.read_bytes()
        said = self.run(file)
        assert file.read_bytes() == before
        assert said.count("left as it is") == len(GENERATED)

    def test_it_adds_what_is_missing_or_empty(self, tmp_path: Path) -> None:
        file = tmp_path / "env"
        file.write_text("BELLWIRE_LISTEN=127.0.0.1:9\nREDIS_PASSWORD=\nBELLWIRE_API_KEY=mine")
        file.chmod(0o644)
        self.run(file)
        settings = self.read(file)
        assert set(settings) == GENERATED | {"BELLWIRE_LISTEN"}
        assert settings["BELLWIRE_API_KEY"] == "mine"
        assert len(settings["REDIS_PASSWORD"]) == 64
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
