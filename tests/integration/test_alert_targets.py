from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from fallback.alert_targets import Apprise, NotTaken, Webhook, message_id, payload, read_secret, signed, targets, text
from hub.core.errors import ConfigurationError
from hub.core.model import FailureKind
from hub.settings import Settings
from tests.support.clock import START
from tests.support.http_fake import HttpFake, Reply, closed_port
from tests.unit.test_alerter import alert

# Its own imports of what Python is about to drop; they have a replacement there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = "/hooks/bellwire"


def test_signatures_are_those_of_standard_webhooks() -> None:
    """The example of the specification's own libraries."""
    headers = signed(read_secret(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


async def test_a_webhook_gets_it_all_signed() -> None:
    with HttpFake().running() as fake:
        fake.replies[HOOK] = Reply(204, b"")
        webhook = Webhook(fake.url + HOOK, SECRET)
        await webhook.tell(alert(count=3), START)
        await webhook.close()
    [request] = fake.received(HOOK)
    headers = signed(read_secret(SECRET), message_id(alert()), START // 1000, request.body)
    assert {name: request.headers[name] for name in headers} == headers
    body = json.loads(request.body)
    assert (body["type"], body["timestamp"]) == ("deliveries.failed", "2027-01-15T08:00:00.000Z")
    data = body["data"]
    assert (data["tenant"], data["channel"], data["provider"], data["kind"], data["count"]) == (
        "default",
        "email",
        "smtp",
        "refused",
        3,
    )
    assert data["latest"]["user"] == "ada"
    assert data["latest"]["notification"] == "00000000-0000-0000-0000-000000000002"
    assert data["latest"]["reason"] == "no such mailbox"


@pytest.mark.parametrize("status", [302, 400, 500])
async def test_whatever_is_no_2xx_is_a_failure_and_no_redirect_is_followed(status: int) -> None:
    with HttpFake().running() as fake:
        fake.replies[HOOK] = Reply(status, b"", {"Location": f"{fake.url}/elsewhere"})
        webhook = Webhook(fake.url + HOOK, SECRET)
        with pytest.raises(NotTaken, match=str(status)):
            await webhook.tell(alert(), START)
        await webhook.close()
    assert fake.received("/elsewhere") == []


async def test_nobody_there_is_a_failure() -> None:
    with closed_port() as port:
        webhook = Webhook(f"http://127.0.0.1:{port}{HOOK}", SECRET)
        with pytest.raises(Exception, match=r".*"):
            await webhook.tell(alert(), START)
        await webhook.close()


def test_a_repeated_message_has_the_same_id_and_another_one_has_not() -> None:
    ids = [message_id(each) for each in (alert(1), alert(1, count=9, tries=4), alert(2), alert(1, tenant="acme"))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_an_example_that_is_gone_is_told_as_that() -> None:
    gone = replace(alert(), latest=None)
    assert "erased" in text(gone)
    assert payload(gone, START)["data"]["latest"] is None


def test_people_read_what_happened() -> None:
    group = alert().group._replace(kind=FailureKind.EXHAUSTED)
    assert text(replace(alert(count=1_200), group=group)).splitlines() == [
        "Given up after all attempts. Since 2027-01-15T08:00:00.000Z: 1,200.",
        f"Last: notification {UUID(int=2)} to user ada, delivery {UUID(int=1)}",
        "Reason: no such mailbox",
    ]


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_has_its_words(kind: FailureKind) -> None:
    assert text(replace(alert(), group=alert().group._replace(kind=kind)))


async def test_apprise_tells_through_its_urls(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), HttpFake().running() as fake:
        fake.replies["/slack"] = Reply(200)
        told = Apprise(fake.url.replace("http://", "json://") + "/slack")
        await told.tell(alert(), START)
        await told.close()
    [request] = fake.received("/slack")
    body: dict[str, Any] = json.loads(request.body)
    assert body["title"] == "Bellwire: 1 delivery failed (email by smtp, tenant default)"
    assert "notification 00000000-0000-0000-0000-000000000002 to user ada" in body["message"]
    assert "Reason: no such mailbox" in body["message"]
    assert body["type"] == "failure"


async def test_apprise_that_reaches_nobody_is_a_failure() -> None:
    with HttpFake().running() as fake:
        fake.replies["/slack"] = Reply(500)
        told = Apprise(fake.url.replace("http://", "json://") + "/slack")
        with pytest.raises(NotTaken):
            await told.tell(alert(), START)
        await told.close()


def made(**settings: object) -> list[str]:
    return [target.name for target in targets(Settings.model_validate(settings))]


def test_targets_are_those_that_the_settings_name() -> None:
    assert made() == []
    assert made(alert_webhook="https://example.com/hook", alert_secret=SECRET, alert_urls="json://localhost/x") == [
        "webhook",
        "apprise",
    ]


SHORT = "whsec_" + base64.b64encode(b"hunter2").decode()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alert_webhook": "https://example.com/hunter2"}, "needs BELLWIRE_ALERT_SECRET"),
        ({"alert_webhook": "ftp://example.com/hunter2", "alert_secret": SECRET}, "must be an http"),
        ({"alert_webhook": "https://example.com/", "alert_secret": "hunter2"}, "must be whsec_"),
        ({"alert_webhook": "https://example.com/", "alert_secret": SHORT}, "at least 24 bytes"),
        ({"alert_urls": "hunter2"}, "no Apprise URL"),
        ({"alert_urls": "json://localhost/x pigeon://hunter2"}, "no Apprise URL"),
    ],
)
def test_wrong_settings_are_told_without_secrets(
    settings: dict[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(ConfigurationError) as caught:
        made(**settings)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value) + caplog.text
