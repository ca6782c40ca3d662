from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest

from fallback.alert_targets import Apprise, NotTaken, Webhook, read_secret, signed, targets
from fallback.notices import Notice, notice_of_failures, notice_of_outage
from hub.core.errors import ConfigurationError
from hub.settings import Settings
from tests.support.clock import START
from tests.support.http_fake import HttpFake, Reply, closed_port
from tests.unit.test_alerter import alert, outage

# Its own imports of what Python is about to drop; they have a replacement there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = "/hooks/bellwire"


def notice(*, count: int = 1) -> Notice:
    return notice_of_failures(alert(count=count))


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
        await webhook.tell(notice(count=3), START)
        await webhook.close()
    [request] = fake.received(HOOK)
    headers = signed(read_secret(SECRET), notice().id, START // 1000, request.body)
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
            await webhook.tell(notice(), START)
        await webhook.close()
    assert fake.received("/elsewhere") == []


async def test_nobody_there_is_a_failure() -> None:
    with closed_port() as port:
        webhook = Webhook(f"http://127.0.0.1:{port}{HOOK}", SECRET)
        with pytest.raises(Exception, match=r".*"):
            await webhook.tell(notice(), START)
        await webhook.close()


async def test_apprise_tells_through_its_urls(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), HttpFake().running() as fake:
        fake.replies["/slack"] = Reply(200)
        told = Apprise(fake.url.replace("http://", "json://") + "/slack")
        await told.tell(notice(), START)
        await told.close()
    [request] = fake.received("/slack")
    body: dict[str, Any] = json.loads(request.body)
    assert body["title"] == "Bellwire: 1 delivery failed (email by smtp, tenant default)"
    assert "notification 00000000-0000-0000-0000-000000000002 to user ada" in body["message"]
    assert "Reason: no such mailbox" in body["message"]
    assert body["type"] == "failure"


@pytest.mark.parametrize(("ended_at", "kind"), [(None, "failure"), (START, "success")])
async def test_apprise_shows_good_news_as_such(ended_at: int | None, kind: str) -> None:
    with HttpFake().running() as fake:
        fake.replies["/slack"] = Reply(200)
        told = Apprise(fake.url.replace("http://", "json://") + "/slack")
        await told.tell(notice_of_outage(outage(ended_at)), START)
        await told.close()
    [request] = fake.received("/slack")
    assert json.loads(request.body)["type"] == kind


async def test_apprise_that_reaches_nobody_is_a_failure() -> None:
    with HttpFake().running() as fake:
        fake.replies["/slack"] = Reply(500)
        told = Apprise(fake.url.replace("http://", "json://") + "/slack")
        with pytest.raises(NotTaken):
            await told.tell(notice(), START)
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
