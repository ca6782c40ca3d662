"""The `sendgrid` provider: e-mail by Twilio SendGrid's v3 API, through its official (blocking) client."""

from __future__ import annotations

import http.client
import json
import logging
import urllib.error
from email.headerregistry import Address
from typing import Any, ClassVar, Self
from uuid import UUID

from fallback.providers.base import (
    CALL_TIMEOUT,
    Fault,
    Ok,
    Outcome,
    Permanent,
    Surroundings,
    Threads,
    Transient,
    detail,
    import_extra,
)
from fallback.providers.smtp import sender
from fallback.render import Message
from hub.core.errors import ConfigurationError
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.core.retry import parse_retry_after
from hub.ports import Clock
from hub.settings import Settings

DEFAULT_HOST = "https://api.sendgrid.com"

_TRY_LATER = frozenset({408, 425, 429})
_REFUSES_US = frozenset({401, 402, 403, 404, 405})
"""The key, the account, an unverified sender, or an address that is not SendGrid's: the same for every mail."""


class SendGridProvider:
    """Posts to `/v3/mail/send`. 408, 425, 429 and 5xx are transient, other refusals permanent.

    401 to 405 are about us, not about the mail: the next provider is tried.
    """

    name: ClassVar[str] = "sendgrid"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.EMAIL})
    preference: ClassVar[int] = 20

    def __init__(
        self, api_key: str, mail_from: str, clock: Clock, host: str | None = None, timeout: float = CALL_TIMEOUT
    ) -> None:
        sdk = import_extra("sendgrid", "sendgrid")
        self._http_error: type[Exception] = import_extra("python_http_client.exceptions", "sendgrid").HTTPError
        # At level DEBUG the client logs every request whole, with the API key and the address.
        logging.getLogger("python_http_client").setLevel(logging.INFO)
        self._client = sdk.SendGridAPIClient(api_key, host=(host or DEFAULT_HOST).rstrip("/"))
        self._client.client.timeout = timeout
        self._from = sender(mail_from)
        self._clock = clock
        self._threads = Threads("sendgrid")

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        """Tell whether there is an API key."""
        return settings.sendgrid_api_key is not None

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        """Make the provider from `BELLWIRE_SENDGRID_API_KEY`, `…_HOST` and `BELLWIRE_MAIL_FROM`."""
        if settings.sendgrid_api_key is None:
            raise ConfigurationError("the provider sendgrid needs BELLWIRE_SENDGRID_API_KEY")
        key = settings.sendgrid_api_key.get_secret_value()
        return cls(key, settings.mail_from, surroundings.clock, settings.sendgrid_host)

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        """Send one mail.

        SendGrid knows no idempotency key; the delivery's id goes along as a custom argument, which its event
        webhook repeats.
        """
        body = compose(self._from, message, endpoint.address, idempotency_key)
        try:
            response = await self._threads.run(lambda: self._client.send(body))
        except self._http_error as error:
            return self._refused(error, endpoint)
        except (OSError, http.client.HTTPException) as error:
            return _unanswered(error)
        return Ok(response.headers.get("X-Message-Id"))

    async def close(self) -> None:
        """Take no more calls."""
        self._threads.close()

    def _refused(self, error: Any, endpoint: Endpoint) -> Transient | Permanent:
        status = int(error.status_code)
        words = detail(f"SendGrid answered {status}: {_first_message(error.body)}", endpoint)
        if status in _TRY_LATER or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return Transient(words, parse_retry_after(error.headers.get("Retry-After"), self._clock.now()))
        return Permanent(words, fault=Fault.PROVIDER if status in _REFUSES_US else Fault.ENDPOINT)


def _unanswered(error: Exception) -> Transient:
    """Judge a call without a reply. `URLError` wraps what fails before the request is out; the rest came later."""
    sent = not isinstance(error, urllib.error.URLError)
    cause = error if sent else getattr(error, "reason", None)
    if isinstance(cause, TimeoutError):
        return Transient("SendGrid did not answer in time.", maybe_sent=sent)
    words = "broke the connection off" if sent else "could not be reached"
    return Transient(f"SendGrid {words} ({type(error).__name__}).", maybe_sent=sent)


def compose(mail_from: Address, message: Message, to: str, delivery: UUID) -> dict[str, Any]:
    """Write the request's body. The text part comes first: SendGrid wants the order of multipart/alternative."""
    content = [{"type": "text/plain", "value": message.text}]
    if message.html is not None:
        content.append({"type": "text/html", "value": message.html})
    origin = {"email": mail_from.addr_spec}
    if mail_from.display_name:
        origin["name"] = mail_from.display_name
    return {
        "personalizations": [{"to": [{"email": to}], "custom_args": {"delivery": str(delivery)}}],
        "from": origin,
        "subject": message.subject,
        "content": content,
        "headers": {"Auto-Submitted": "auto-generated"},
    }


def _first_message(body: bytes) -> str:
    """Read the first message of an error body; of one that is not SendGrid's nothing is repeated."""
    try:
        return str(json.loads(body)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return "no explanation"
