"""What every provider owes the dispatcher, shown against a fake of its service on 127.0.0.1."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from fallback.providers.base import Fault, Ok, Permanent, Transient
from fallback.render import Message, Renderer
from hub.core.mailbox import DevMailbox
from hub.core.model import Channel, Priority
from hub.core.plan import Endpoint
from tests.support.clock import START
from tests.support.deliveries import DELIVERY, NOTIFICATION, make_content
from tests.support.http_fake import Reply
from tests.support.providers import (
    ADA,
    PHONE,
    PUSH,
    SEND,
    Bench,
    FcmBench,
    SendGridBench,
    SmtpBench,
    bench,
    console,
    unreachable,
)
from tests.support.schema import violations

PROVIDERS = ["smtp", "sendgrid", "fcm"]


@pytest.fixture(params=PROVIDERS)
async def at_bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with bench(request.param) as made:
        yield made


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpBench]:
    async with bench("smtp") as made:
        yield cast("SmtpBench", made)


@pytest.fixture
async def sendgrid() -> AsyncIterator[SendGridBench]:
    async with bench("sendgrid") as made:
        yield cast("SendGridBench", made)


@pytest.fixture
async def fcm() -> AsyncIterator[FcmBench]:
    async with bench("fcm") as made:
        yield cast("FcmBench", made)


@pytest.fixture(autouse=True)
def all_logs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    # The fake mail server's own log; not by `caplog.at_level`, which would raise its handler's level as well.
    monkeypatch.setattr(logging.getLogger("mail.log"), "level", logging.WARNING)
    with caplog.at_level(logging.DEBUG):
        yield caplog


@pytest.fixture(autouse=True)
def nothing_but_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which anything, in any thread, asks for another host (SDKs have ideas of their own)."""
    asked: list[object] = []
    resolve = socket.getaddrinfo

    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in {"127.0.0.1", b"127.0.0.1"}:
            asked.append(host)
            raise OSError(f"the test may not reach {host!r}")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", guarded)
    yield
    assert asked == []


def message(title: str = "Your order has shipped", url: str | None = None) -> Message:
    content = make_content(title=title, body="It will arrive on Friday.", action_url=url)
    return Renderer("Acme").render(content, Channel.EMAIL)


# The contract


async def test_accepted(at_bench: Bench) -> None:
    outcome = await at_bench.provider.send(message(), at_bench.endpoint, idempotency_key=DELIVERY)
    assert isinstance(outcome, Ok)
    assert outcome.provider_message_id
    assert at_bench.received() == [str(DELIVERY)]


async def test_every_attempt_carries_the_same_key(at_bench: Bench) -> None:
    for _ in range(2):
        await at_bench.provider.send(message(), at_bench.endpoint, idempotency_key=DELIVERY)
    assert at_bench.received() == [str(DELIVERY)] * 2


async def test_later(at_bench: Bench) -> None:
    at_bench.later()
    outcome = await at_bench.provider.send(message(), at_bench.endpoint, idempotency_key=DELIVERY)
    assert isinstance(outcome, Transient)
    assert outcome.retry_after == at_bench.retry_after
    assert outcome.detail
    assert not outcome.maybe_sent


async def test_never(at_bench: Bench) -> None:
    at_bench.never()
    outcome = await at_bench.provider.send(message(), at_bench.endpoint, idempotency_key=DELIVERY)
    assert isinstance(outcome, Permanent)
    assert not outcome.endpoint_gone
    assert outcome.detail
    assert outcome.fault is Fault.ENDPOINT


async def test_who_refuses_us_is_at_fault_and_not_the_endpoint(at_bench: Bench) -> None:
    at_bench.rejects_us()
    outcome = await at_bench.provider.send(message(), at_bench.endpoint, idempotency_key=DELIVERY)
    assert isinstance(outcome, Permanent)
    assert outcome.fault is Fault.PROVIDER
    assert outcome.detail


@pytest.mark.parametrize("name", ["smtp", "fcm"])
async def test_gone(name: str) -> None:
    async with bench(name) as made:
        made.gone()
        outcome = await made.provider.send(message(), made.endpoint, idempotency_key=DELIVERY)
    assert isinstance(outcome, Permanent)
    assert outcome.endpoint_gone


@pytest.mark.parametrize("name", PROVIDERS)
async def test_silence_is_transient(name: str) -> None:
    async with bench(name, seconds=0.2) as made:
        made.silence()
        outcome = await made.provider.send(message(), made.endpoint, idempotency_key=DELIVERY)
    assert isinstance(outcome, Transient)
    assert outcome.detail.endswith("did not answer in time.")
    assert outcome.fault is Fault.PROVIDER
    assert outcome.maybe_sent == (name != "smtp")  # whose fake is silent before the mail has gone over


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_refused_connection_is_transient(name: str) -> None:
    async with unreachable(name) as provider:
        endpoint = PHONE if name == "fcm" else ADA
        outcome = await provider.send(message(), endpoint, idempotency_key=DELIVERY)
    assert isinstance(outcome, Transient)
    assert "could not be reached" in outcome.detail
    assert (outcome.fault, outcome.maybe_sent) == (Fault.PROVIDER, False)
    assert "127.0.0.1" not in outcome.detail


@pytest.mark.parametrize("answer", ["", "later", "never", "gone", "rejects_us"])
async def test_no_secret_in_outcomes_and_logs(
    at_bench: Bench, answer: str, all_logs: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    if answer == "gone" and not at_bench.knows_gone:
        answer = "never"
    if answer:
        getattr(at_bench, answer)()
    outcome = await at_bench.provider.send(message(), at_bench.endpoint, idempotency_key=DELIVERY)
    told = (repr(outcome) + all_logs.text + "".join(capfd.readouterr())).lower()
    assert [secret for secret in at_bench.secrets if secret.lower() in told] == []


async def test_closing_twice_is_fine(at_bench: Bench) -> None:
    await at_bench.provider.close()
    await at_bench.provider.close()


# Console


async def test_console_fills_the_development_mailbox(capfd: pytest.CaptureFixture[str]) -> None:
    mailbox = DevMailbox()
    provider = console(mailbox)
    outcome = await provider.send(message(), ADA, idempotency_key=DELIVERY)
    await provider.send(message(), PHONE, idempotency_key=DELIVERY)
    await provider.close()
    assert isinstance(outcome, Ok)
    mail, push = mailbox.messages()
    assert (mail.channel, mail.to, mail.subject) == ("email", ADA.address, "Your order has shipped")
    assert mail.sent_at == START
    assert mail.html is not None
    assert (push.channel, push.to) == ("push", f"device {PHONE.name}")
    logged = "".join(capfd.readouterr())
    assert ADA.address not in logged
    assert "shipped" not in logged


# SMTP


async def test_the_mail_is_well_formed(smtp: SmtpBench) -> None:
    await smtp.provider.send(message("Größe 42 ☕", "https://example.com/1"), ADA, idempotency_key=DELIVERY)
    (mail,) = smtp.fake.mails
    assert smtp.fake.recipients == [ADA.address]
    assert mail["From"] == "Acme <notifications@acme.example>"
    assert mail["To"] == ADA.address
    assert mail["Subject"] == "Größe 42 ☕"
    assert mail["Message-ID"] == f"<{DELIVERY}@acme.example>"
    assert mail["Date"].datetime.timestamp() * 1000 == START
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    text, html = cast("list[EmailMessage]", list(mail.iter_parts()))
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert "https://example.com/1" in text.get_content()
    assert 'href="https://example.com/1"' in html.get_content()


async def test_a_title_cannot_smuggle_headers_or_commands(smtp: SmtpBench) -> None:
    title = "Hi\r\nBcc: eve@example.com\r\n.\r\nRCPT TO:<eve@example.com>"
    await smtp.provider.send(message(title), ADA, idempotency_key=DELIVERY)
    (mail,) = smtp.fake.mails
    assert smtp.fake.recipients == [ADA.address]
    assert mail["Bcc"] is None
    assert str(mail["Subject"]).startswith("Hi Bcc: eve@example.com")


@pytest.mark.parametrize(
    "address", ["ada@example.com\r\nRCPT TO:<eve@example.com>", "ada", "", "a@b@c", "<ada@example.com>", "a b@c.d"]
)
async def test_an_address_that_is_none_is_permanent(smtp: SmtpBench, address: str) -> None:
    outcome = await smtp.provider.send(message(), Endpoint("x", "email", address), idempotency_key=DELIVERY)
    assert isinstance(outcome, Permanent)
    assert smtp.fake.mails == []


async def test_a_reply_to_the_mail_itself_counts_too(smtp: SmtpBench) -> None:
    smtp.fake.data_reply = "452 4.3.1 system full"
    assert isinstance(await smtp.provider.send(message(), ADA, idempotency_key=DELIVERY), Transient)
    smtp.fake.data_reply = "554 5.7.1 looks like spam"
    assert isinstance(await smtp.provider.send(message(), ADA, idempotency_key=DELIVERY), Permanent)


@pytest.mark.parametrize(
    ("replies", "outcome", "fault"),
    [
        ({"rcpt_reply": "450 4.2.2 mailbox full"}, Transient, Fault.ENDPOINT),
        ({"rcpt_reply": "451 4.7.1 greylisted, come back"}, Transient, Fault.ENDPOINT),
        ({"rcpt_reply": "421 4.3.2 closing down"}, Transient, Fault.PROVIDER),
        ({"mail_reply": "452 4.3.1 no space left"}, Transient, Fault.PROVIDER),
        ({"data_reply": "451 4.3.0 try again"}, Transient, Fault.PROVIDER),
        ({"rcpt_reply": "550 5.7.1 relaying denied"}, Permanent, Fault.MATCH),
        ({"rcpt_reply": "553 5.1.3 what address is that"}, Permanent, Fault.ENDPOINT),
        ({"data_reply": "554 5.7.1 looks like spam"}, Permanent, Fault.ENDPOINT),
        ({"mail_reply": "550 5.7.1 this sender may not"}, Permanent, Fault.PROVIDER),
    ],
)
async def test_replies_are_about_us_or_about_the_recipient(
    smtp: SmtpBench, replies: dict[str, str], outcome: type, fault: Fault
) -> None:
    for name, reply in replies.items():
        setattr(smtp.fake, name, reply)
    answer = await smtp.provider.send(message(), ADA, idempotency_key=DELIVERY)
    assert isinstance(answer, Transient | Permanent)
    assert (type(answer), answer.fault) == (outcome, fault)
    assert isinstance(answer, Permanent) or not answer.maybe_sent


async def test_a_mail_that_has_gone_over_without_an_answer_may_have_been_sent() -> None:
    async with bench("smtp", seconds=0.2) as made:
        cast("SmtpBench", made).fake.silent_at_data = True
        silence = await made.provider.send(message(), ADA, idempotency_key=DELIVERY)
    async with bench("smtp", seconds=5) as made:
        cast("SmtpBench", made).fake.hangs_up_at_data = True
        broken_off = await made.provider.send(message(), ADA, idempotency_key=DELIVERY)
    for outcome in (silence, broken_off):
        assert isinstance(outcome, Transient)
        assert outcome.maybe_sent


async def test_once_accepted_a_mail_is_sent_whatever_happens_at_quit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fallback.providers.smtp.QUIT_TIMEOUT", 0.05)
    async with bench("smtp", seconds=5) as made:
        cast("SmtpBench", made).fake.silent_at_quit = True
        assert isinstance(await made.provider.send(message(), ADA, idempotency_key=DELIVERY), Ok)


# SendGrid


def specification() -> dict[str, Any]:
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("BELLWIRE_TEST_SPECS", root.parent / "shared" / "specs"))
    path = folder / "sendgrid-mail-send.json"
    if not path.exists():
        pytest.skip(f"SendGrid's API document is not at {path}; BELLWIRE_TEST_SPECS says where it is")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


async def test_the_request_fits_the_api_document(sendgrid: SendGridBench) -> None:
    document = specification()
    schema = document["paths"]["/v3/mail/send"]["post"]["requestBody"]
    schema = document["components"]["requestBodies"][schema["$ref"].rpartition("/")[2]]
    await sendgrid.provider.send(message(url="https://example.com/1"), ADA, idempotency_key=DELIVERY)
    body = json.loads(sendgrid.fake.received(SEND)[0].body)
    assert violations(body, schema["content"]["application/json"]["schema"], document) == []


async def test_the_request_says_it_all(sendgrid: SendGridBench) -> None:
    outcome = await sendgrid.provider.send(message(), ADA, idempotency_key=DELIVERY)
    assert outcome == Ok("sg-1")
    (request,) = sendgrid.fake.received(SEND)
    assert request.headers["authorization"] == "Bearer SG.secret-key"
    body = json.loads(request.body)
    assert body["personalizations"] == [{"to": [{"email": ADA.address}], "custom_args": {"delivery": str(DELIVERY)}}]
    assert body["from"] == {"email": "notifications@acme.example", "name": "Acme"}
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_sendgrid_may_recover(sendgrid: SendGridBench, status: int) -> None:
    sendgrid.fake.replies[SEND] = Reply(status, b"<html>not json</html>")
    outcome = await sendgrid.provider.send(message(), ADA, idempotency_key=DELIVERY)
    assert outcome == Transient(f"SendGrid answered {status}: no explanation")


@pytest.mark.parametrize(
    ("status", "fault"),
    [(400, Fault.ENDPOINT), (413, Fault.ENDPOINT), *((status, Fault.PROVIDER) for status in (401, 402, 403, 404, 405))],
)
async def test_sendgrid_refuses_for_good(sendgrid: SendGridBench, status: int, fault: Fault) -> None:
    sendgrid.fake.replies[SEND] = Reply(status, b'{"errors": []}')
    outcome = await sendgrid.provider.send(message(), ADA, idempotency_key=DELIVERY)
    assert outcome == Permanent(f"SendGrid answered {status}: no explanation", fault=fault)


# FCM


async def test_the_push_says_it_all(fcm: FcmBench) -> None:
    outcome = await fcm.provider.send(message(url="https://example.com/1"), PHONE, idempotency_key=DELIVERY)
    assert outcome == Ok("projects/acme-test/messages/1")
    (request,) = fcm.fake.received(PUSH)
    assert request.headers["authorization"] == "Bearer ya29.secret-access-token"
    push = json.loads(request.body)["message"]
    assert push["token"] == PHONE.address
    assert push["notification"] == {"title": "Your order has shipped", "body": "It will arrive on Friday."}
    assert push["data"] == {
        "notification": str(NOTIFICATION),
        "delivery": str(DELIVERY),
        "category": "order.shipped",
        "url": "https://example.com/1",
    }
    assert push["android"] == {"priority": "normal", "notification": {"tag": str(NOTIFICATION)}}
    assert push["apns"]["headers"]["apns-collapse-id"] == str(NOTIFICATION)
    assert push["webpush"]["fcm_options"] == {"link": "https://example.com/1"}


async def test_urgent_pushes_say_so(fcm: FcmBench) -> None:
    content = make_content(priority=Priority.CRITICAL)
    await fcm.provider.send(Renderer().render(content, Channel.PUSH), PHONE, idempotency_key=DELIVERY)
    push = json.loads(fcm.fake.received(PUSH)[0].body)["message"]
    assert (push["android"]["priority"], push["apns"]["headers"]["apns-priority"]) == ("high", "10")


@pytest.mark.parametrize(
    ("status", "code", "fcm_code"),
    [
        (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        (500, "INTERNAL", "INTERNAL"),
        (503, "UNAVAILABLE", "UNAVAILABLE"),
    ],
)
async def test_fcm_may_recover_and_the_sdk_does_not_retry_by_itself(
    fcm: FcmBench, status: int, code: str, fcm_code: str
) -> None:
    fcm.refuse(status, code, fcm_code)
    outcome = await fcm.provider.send(message(), PHONE, idempotency_key=DELIVERY)
    assert isinstance(outcome, Transient)
    assert len(fcm.fake.received(PUSH)) == 1


@pytest.mark.parametrize(
    ("status", "code", "fcm_code", "fault"),
    [
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", Fault.ENDPOINT),
        (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", Fault.ENDPOINT),
        (403, "PERMISSION_DENIED", "UNSPECIFIED_ERROR", Fault.PROVIDER),
        (401, "UNAUTHENTICATED", "UNSPECIFIED_ERROR", Fault.PROVIDER),
        (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", Fault.MATCH),
        (404, "NOT_FOUND", "UNSPECIFIED_ERROR", Fault.ENDPOINT),
    ],
)
async def test_fcm_refuses_for_good_but_the_device_stays(
    fcm: FcmBench, status: int, code: str, fcm_code: str, fault: Fault
) -> None:
    fcm.refuse(status, code, fcm_code)
    outcome = await fcm.provider.send(message(), PHONE, idempotency_key=DELIVERY)
    assert isinstance(outcome, Permanent)
    assert not outcome.endpoint_gone
    assert outcome.fault is fault


async def test_refused_credentials_are_permanent(fcm: FcmBench) -> None:
    fcm.rejects_us()
    outcome = await fcm.provider.send(message(), PHONE, idempotency_key=DELIVERY)
    assert outcome == Permanent("Google refused the service account's credentials.", fault=Fault.PROVIDER)


async def test_a_device_of_another_kind_is_not_sent_to(fcm: FcmBench) -> None:
    other = Endpoint("x", "installation", "secret", UUID(int=1))
    outcome = await fcm.provider.send(message(), other, idempotency_key=DELIVERY)
    assert isinstance(outcome, Permanent)
    assert outcome.fault is Fault.MATCH  # another provider may know the kind
    assert fcm.fake.requests == []
