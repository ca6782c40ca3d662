from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from fallback.providers.base import Surroundings, import_extra
from fallback.providers.smtp import SmtpServer
from fallback.registry import GROUP, ProviderRegistry
from hub.core.errors import ConfigurationError
from hub.core.mailbox import DevMailbox
from hub.core.model import Channel
from hub.settings import Settings
from tests.support.clock import ManualClock
from tests.support.providers import service_account

PRODUCTION = "production"


def chosen(*found: EntryPoint, **settings: object) -> dict[str, str]:
    surroundings = Surroundings(DevMailbox(), ManualClock())
    registry = ProviderRegistry.from_settings(Settings.model_validate(settings), surroundings, found or None)
    return {channel.value: name for channel, name in registry.names().items()}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EMAIL_PROVIDER", "PUSH_PROVIDER", "SMTP_URL", "SENDGRID_API_KEY", "FCM_CREDENTIALS", "ENV"):
        monkeypatch.delenv(f"BELLWIRE_{name}", raising=False)


def test_development_has_the_console_for_everything() -> None:
    assert chosen() == {channel.value: "console" for channel in Channel}


def test_production_has_only_what_is_set_up() -> None:
    assert chosen(env=PRODUCTION) == {}
    assert chosen(env=PRODUCTION, smtp_url="smtp://mail.example.com") == {"email": "smtp"}
    assert chosen(env=PRODUCTION, sendgrid_api_key="SG.x") == {"email": "sendgrid"}


def test_smtp_comes_before_sendgrid_unless_one_is_named() -> None:
    both = {"smtp_url": "smtp://mail.example.com", "sendgrid_api_key": "SG.x"}
    assert chosen(**both)["email"] == "smtp"
    assert chosen(**both, email_provider="sendgrid")["email"] == "sendgrid"
    assert chosen(**both, email_provider="console")["email"] == "console"


def test_several_that_are_named_are_tried_in_this_order() -> None:
    both = {"smtp_url": "smtp://mail.example.com", "sendgrid_api_key": "SG.x"}
    assert chosen(**both, email_provider="sendgrid,smtp")["email"] == "sendgrid, smtp"
    assert chosen(**both, email_provider=" smtp , sendgrid ")["email"] == "smtp, sendgrid"


async def test_fcm_is_chosen_with_credentials(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(json.dumps(service_account("http://127.0.0.1:9/token")), encoding="utf-8")
    settings = Settings.model_validate({"env": PRODUCTION, "fcm_credentials": path})
    registry = ProviderRegistry.from_settings(settings, Surroundings(DevMailbox(), ManualClock()))
    assert registry.names() == {Channel.PUSH: "fcm"}
    assert not registry.of(Channel.EMAIL)
    await registry.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"email_provider": "pigeon"}, "BELLWIRE_EMAIL_PROVIDER names 'pigeon'"),
        ({"email_provider": "fcm"}, "does not send email"),
        ({"email_provider": "console,fcm"}, "does not send email"),
        ({"email_provider": "console,"}, "BELLWIRE_EMAIL_PROVIDER names ''"),
        ({"email_provider": "console, console"}, "names 'console' more than once"),
        ({"push_provider": "smtp"}, "does not send push"),
        ({"email_provider": "smtp"}, "needs BELLWIRE_SMTP_URL"),
        ({"email_provider": "sendgrid"}, "needs BELLWIRE_SENDGRID_API_KEY"),
        ({"push_provider": "fcm"}, "needs BELLWIRE_FCM_CREDENTIALS"),
        ({"smtp_url": "http://mail.example.com"}, "must be smtp://"),
        ({"smtp_url": "smtp://user:hunter2@:25"}, "must be smtp://"),
        ({"smtp_url": "smtp://u:hunter2@mail:port"}, "not a URL"),
        ({"smtp_url": "smtp://u:hunter2@mail?starttls=maybe"}, "starttls must be"),
        ({"smtp_url": "smtp://mail", "mail_from": "nobody"}, "BELLWIRE_MAIL_FROM"),
        ({"smtp_url": "smtp://mail", "mail_from": "A <a@b\r\nBcc: c@d>"}, "BELLWIRE_MAIL_FROM"),
        ({"fcm_credentials": "/nonexistent.json"}, "cannot be read"),
    ],
)
def test_wrong_settings_are_told_without_secrets(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        chosen(**settings)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"type": "service_account", "private_key": "SECRET"}'])
def test_credentials_that_are_none_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "account.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="BELLWIRE_FCM_CREDENTIALS") as caught:
        chosen(fcm_credentials=str(path))
    assert "SECRET" not in str(caught.value)


def test_a_missing_extra_says_how_to_install_it() -> None:
    with pytest.raises(ConfigurationError, match=r"pip install bellwire\[carrier-pigeon\]"):
        import_extra("carrier_pigeon", "carrier-pigeon")


def test_a_new_provider_needs_only_its_entry_point() -> None:
    found = EntryPoint("scripted", "tests.support.scripted:ScriptedProvider", GROUP)
    assert chosen(found, env=PRODUCTION) == {channel.value: "scripted" for channel in Channel}


def test_sdks_are_not_imported_unless_their_provider_is_chosen() -> None:
    code = (
        "import sys, fallback.worker; from fallback.registry import *; from hub.core.mailbox import DevMailbox\n"
        "ProviderRegistry.from_settings(Settings(), Surroundings(DevMailbox(), None))\n"
        "print(sorted({'firebase_admin', 'sendgrid', 'google.auth', 'requests'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("url", "start_tls"),
    [
        ("smtp://mail.example.com", None),
        ("smtp://user:password@mail.example.com:587", True),
        ("smtp://user:password@127.0.0.1:2525", None),
        ("smtp://user:password@mail.example.com?starttls=never", False),
        ("smtp://mail.example.com?starttls=always", True),
        ("smtps://user:password@mail.example.com", False),
    ],
)
def test_a_password_does_not_travel_in_the_clear_unless_one_says_so(url: str, start_tls: bool | None) -> None:  # noqa: FBT001 - a parameter
    assert SmtpServer.parse(url).start_tls is start_tls
