from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, ClassVar, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fallback.providers.base import Provider, Surroundings
from fallback.providers.console import ConsoleProvider
from fallback.providers.fcm import FcmProvider
from fallback.providers.sendgrid import SendGridProvider
from fallback.providers.smtp import SmtpProvider, SmtpServer
from hub.core.mailbox import DevMailbox
from hub.core.plan import Endpoint
from tests.support.clock import ManualClock
from tests.support.deliveries import make_device
from tests.support.http_fake import HttpFake, Reply, closed_port
from tests.support.smtp_fake import SmtpFake

ADA = Endpoint("a…@example.com", "email", "ada@example.com")
PHONE = Endpoint(str(make_device(1).id), "fcm_token", "the-secret-device-token", make_device(1).id)
MAIL_FROM = "Acme <notifications@acme.example>"


class Bench(Protocol):
    """A provider with the fake of its service, in terms that hold for all of them."""

    provider: Provider
    endpoint: ClassVar[Endpoint]
    secrets: list[str]
    """What must show up in no outcome and no log."""
    retry_after: ClassVar[int | None]
    """Milliseconds that the fake asks for when it answers `later`."""
    knows_gone: ClassVar[bool]

    def later(self) -> None:
        """Answer: try again later."""

    def never(self) -> None:
        """Answer: not like this, with the endpoint's address in the words."""

    def gone(self) -> None:
        """Answer: there is no such endpoint any more."""

    def rejects_us(self) -> None:
        """Answer: not from you, whatever it is (credentials)."""

    def silence(self) -> None:
        """Accept the connection and answer nothing."""

    def received(self) -> list[str]:
        """Return the delivery ids that came along with each accepted or refused message."""
        ...


class SmtpBench:
    endpoint: ClassVar[Endpoint] = ADA
    retry_after: ClassVar[int | None] = None
    knows_gone: ClassVar[bool] = True

    def __init__(self, fake: SmtpFake, timeout: float) -> None:
        self.fake = fake
        self.secrets = [ADA.address]
        server = SmtpServer(host="127.0.0.1", port=fake.port, start_tls=False)
        self.provider: Provider = SmtpProvider(server, MAIL_FROM, ManualClock(), timeout)

    def later(self) -> None:
        self.fake.rcpt_reply = "450 4.2.1 <ADA@example.com>: mailbox busy"

    def never(self) -> None:
        self.fake.rcpt_reply = "550 5.2.1 <ada@example.com>: mailbox disabled"

    def gone(self) -> None:
        self.fake.rcpt_reply = "550 5.1.1 <ada@example.com>: no such user"

    def rejects_us(self) -> None:
        self.fake.mail_reply = "530 5.7.0 Authentication required"

    def silence(self) -> None:
        self.fake.silent = True

    def received(self) -> list[str]:
        return [str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in self.fake.mails]


SEND = "/v3/mail/send"


class SendGridBench:
    endpoint: ClassVar[Endpoint] = ADA
    retry_after: ClassVar[int | None] = 7_000
    knows_gone: ClassVar[bool] = False

    def __init__(self, fake: HttpFake, timeout: float, url: str | None = None) -> None:
        self.fake = fake
        self.secrets = [ADA.address, "SG.secret-key"]
        self.provider: Provider = SendGridProvider("SG.secret-key", MAIL_FROM, ManualClock(), url or fake.url, timeout)
        fake.replies[SEND] = Reply(202, b"", {"X-Message-Id": "sg-1"})

    def later(self) -> None:
        self._refuse(429, "too many requests", {"Retry-After": "7"})

    def never(self) -> None:
        self._refuse(400, "ada@example.com does not contain a valid address.")

    def gone(self) -> None:
        raise AssertionError("SendGrid tells of gone addresses by its webhook only")

    def rejects_us(self) -> None:
        self._refuse(401, "The provided authorization grant is invalid, expired, or revoked")

    def silence(self) -> None:
        self.fake.silent.add(SEND)

    def received(self) -> list[str]:
        bodies = [json.loads(request.body) for request in self.fake.received(SEND)]
        return [body["personalizations"][0]["custom_args"]["delivery"] for body in bodies]

    def _refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        errors = {"errors": [{"message": message, "field": None, "help": None}]}
        self.fake.replies[SEND] = Reply(status, json.dumps(errors).encode(), headers or {})


PUSH = "/v1/projects/acme-test/messages:send"
TOKEN = "/token"


class FcmBench:
    endpoint: ClassVar[Endpoint] = PHONE
    retry_after: ClassVar[int | None] = 7_000
    knows_gone: ClassVar[bool] = True

    def __init__(self, fake: HttpFake, timeout: float, url: str | None = None) -> None:
        self.fake = fake
        self.secrets = [PHONE.address, "ya29.secret-access-token", "PRIVATE KEY"]
        account = service_account(f"{url or fake.url}{TOKEN}")
        self.provider: Provider = FcmProvider(account, ManualClock(), url or fake.url, timeout)
        granted = {"access_token": "ya29.secret-access-token", "expires_in": 3600, "token_type": "Bearer"}
        fake.replies[TOKEN] = Reply(200, json.dumps(granted).encode())
        fake.replies[PUSH] = Reply(200, b'{"name": "projects/acme-test/messages/1"}')

    def later(self) -> None:
        self.refuse(503, "UNAVAILABLE", "UNAVAILABLE", {"Retry-After": "7"})

    def never(self) -> None:
        self.refuse(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")

    def gone(self) -> None:
        self.refuse(404, "NOT_FOUND", "UNREGISTERED")

    def rejects_us(self) -> None:
        self.fake.replies[TOKEN] = Reply(400, b'{"error": "invalid_grant", "error_description": "Invalid JWT"}')

    def silence(self) -> None:
        self.fake.silent.add(PUSH)

    def received(self) -> list[str]:
        return [json.loads(request.body)["message"]["data"]["delivery"] for request in self.fake.received(PUSH)]

    def refuse(self, status: int, code: str, fcm_code: str, headers: dict[str, str] | None = None) -> None:
        """Answer with an error in the shape of FCM's HTTP v1 API."""
        details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": fcm_code}]
        message = f"refused for {PHONE.address}"
        error = {"error": {"code": status, "message": message, "status": code, "details": details}}
        self.fake.replies[PUSH] = Reply(status, json.dumps(error).encode(), headers or {})


@lru_cache(maxsize=1)
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def service_account(token_uri: str) -> dict[str, Any]:
    """Make a service account with a throw-away key."""
    return {
        "type": "service_account",
        "project_id": "acme-test",
        "private_key_id": "1",
        "private_key": _private_key(),
        "client_email": "push@acme-test.iam.example.com",
        "token_uri": token_uri,
    }


@asynccontextmanager
async def bench(name: str, *, seconds: float = 10.0) -> AsyncIterator[Bench]:
    """Open a provider's bench."""
    made: Bench
    if name == "smtp":
        async with SmtpFake().running() as smtp:
            made = SmtpBench(smtp, seconds)
            yield made
            await made.provider.close()
        return
    with HttpFake().running() as fake:
        made = SendGridBench(fake, seconds) if name == "sendgrid" else FcmBench(fake, seconds)
        yield made
        await made.provider.close()


@asynccontextmanager
async def unreachable(name: str) -> AsyncIterator[Provider]:
    """Make a provider whose service refuses connections."""
    with closed_port() as port:
        fake, smtp = HttpFake(), SmtpFake()
        smtp.port = port
        url = f"http://127.0.0.1:{port}"
        made: Bench
        if name == "smtp":
            made = SmtpBench(smtp, 10.0)
        else:
            made = SendGridBench(fake, 10.0, url) if name == "sendgrid" else FcmBench(fake, 10.0, url)
        yield made.provider
        await made.provider.close()
        fake._server.server_close()


def console(mailbox: DevMailbox) -> ConsoleProvider:
    """Make the console provider over a mailbox."""
    return ConsoleProvider(Surroundings(mailbox, ManualClock()))
