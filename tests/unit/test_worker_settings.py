"""What the settings say of lanes, limits and retries, and what is told about those that make no sense."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fallback.registry import ProviderRegistry
from fallback.worker import _rates
from hub.core.errors import ConfigurationError
from hub.core.model import Channel
from hub.core.rates import Rate
from hub.settings import Settings
from tests.support.scripted import ScriptedProvider

REGISTRY = ProviderRegistry({Channel.EMAIL: [ScriptedProvider()]})


def test_they_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWIRE_CONCURRENCY", '{"push": 32}')
    monkeypatch.setenv("BELLWIRE_MAX_ATTEMPTS", '{"email": 4, "sms": 1}')
    monkeypatch.setenv("BELLWIRE_RATE_LIMITS", '{"scripted": "30/minute, 10000/day"}')
    settings = Settings()
    assert settings.concurrency == {Channel.PUSH: 32}
    assert settings.max_attempts == {Channel.EMAIL: 4, Channel.SMS: 1}
    assert _rates(settings, REGISTRY) == {"scripted": (Rate(30, 60_000), Rate(10_000, 86_400_000))}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("concurrency", {"pigeon": 8}, "should be 'push'"),
        ("concurrency", {"push": 0}, "greater than or equal to 1"),
        ("concurrency", {"push": 100_000}, "less than or equal to 1000"),
        ("max_attempts", {"email": 0}, "greater than or equal to 1"),
        ("rate_limits", {"smtp": "fast"}, "looks like 100/second"),
        ("alert_every", 1, "greater than or equal to 10"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings.model_validate({name: value})


def test_a_limit_of_a_provider_that_is_not_in_use_is_most_likely_a_slip() -> None:
    with pytest.raises(ConfigurationError, match=r"names 'sendgird', which is not in use; in use are: scripted"):
        _rates(Settings.model_validate({"rate_limits": {"sendgird": "1/second"}}), REGISTRY)
