"""The `smtp` provider: e-mail by any mail server (RFC 5321), one connection a message."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate, parseaddr
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import aiosmtplib

from fallback.providers.base import CALL_TIMEOUT, Fault, Ok, Outcome, Permanent, Surroundings, Transient, detail
from fallback.render import Message
from hub.core.errors import ConfigurationError
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.ports import Clock
from hub.settings import Settings

QUIT_TIMEOUT = 2.0
"""Seconds for taking leave of the server; by then the mail is on its way."""

_FIRST_PERMANENT = 500
_NO_SUCH_MAILBOX = "5.1.1"
"""RFC 3463: the address does not exist."""
_POLICY = "5.7."
"""RFC 3463: this server does not carry this mail, for whatever rules it has (no relaying, not from us)."""
_SERVICE_CLOSES = 421
"""RFC 5321: may answer any command."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where and how to hand mail over. `start_tls`: always, never, or (None) where the server offers it."""

    host: str
    port: int
    use_tls: bool = False
    start_tls: bool | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `smtp[s]://user:password@host:port?starttls=always|never`.

        Raises:
            ConfigurationError: what is wrong, without repeating the URL (it may hold a password).

        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError("BELLWIRE_SMTP_URL is not a URL") from None
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ConfigurationError("BELLWIRE_SMTP_URL must be smtp://host:port or smtps://host:port")
        # A password does not leave the machine in the clear unless the operator says so.
        usual = "always" if parts.password and not _is_loopback(parts.hostname) else "offered"
        choice = parse_qs(parts.query, keep_blank_values=True).pop("starttls", [usual])[-1]
        if choice not in {"always", "never", "offered"}:
            raise ConfigurationError("BELLWIRE_SMTP_URL: starttls must be always or never")
        secure = parts.scheme == "smtps"
        return cls(
            host=parts.hostname,
            port=port or (465 if secure else 25),
            use_tls=secure,
            start_tls=False if secure else {"always": True, "never": False, "offered": None}[choice],
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


class SmtpProvider:
    """Hands mail to one server. 4xx replies and a lost server are transient, 5xx replies permanent."""

    name: ClassVar[str] = "smtp"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.EMAIL})
    preference: ClassVar[int] = 10

    def __init__(self, server: SmtpServer, mail_from: str, clock: Clock, timeout: float = CALL_TIMEOUT) -> None:
        self._server = server
        self._from = sender(mail_from)
        self._clock = clock
        self._timeout = timeout

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        """Tell whether there is a mail server."""
        return settings.smtp_url is not None

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        """Make the provider from `BELLWIRE_SMTP_URL` and `BELLWIRE_MAIL_FROM`."""
        if settings.smtp_url is None:
            raise ConfigurationError("the provider smtp needs BELLWIRE_SMTP_URL")
        return cls(SmtpServer.parse(settings.smtp_url.get_secret_value()), settings.mail_from, surroundings.clock)

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        """Send one mail. Its Message-ID comes from the delivery: a repeated send is the same mail to readers."""
        try:
            mail = self._compose(message, endpoint.address, idempotency_key)
        except (ValueError, IndexError, HeaderParseError):
            # IndexError: the standard library's answer to some malformed addresses.
            return Permanent("The address cannot be written into a mail.")
        client = self._client()
        try:
            await self._hand_over(client, mail, endpoint.address)
        except (aiosmtplib.SMTPException, OSError) as error:
            return _judge(error, endpoint, handed_over=client.handed_over)
        return Ok(str(mail["Message-ID"]))

    async def close(self) -> None:
        """Release nothing: connections live as long as one send."""

    def _compose(self, message: Message, to: str, delivery: UUID) -> EmailMessage:
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["From"] = self._from
        mail["To"] = Address(addr_spec=to)
        mail["Subject"] = message.subject
        mail["Date"] = formatdate(self._clock.now() / 1000)
        mail["Message-ID"] = f"<{delivery}@{self._from.domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: keeps out-of-office replies away
        mail.set_content(message.text)
        if message.html is not None:
            mail.add_alternative(message.html, subtype="html")
        return mail

    def _client(self) -> _Client:
        server = self._server
        return _Client(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            timeout=self._timeout,
        )

    async def _hand_over(self, client: _Client, mail: EmailMessage, to: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await client.connect()
                await client.send_message(mail, sender=self._from.addr_spec, recipients=[to])
            # After the server has accepted the mail nothing may turn the send into a failure: it would be repeated.
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=QUIT_TIMEOUT)
        finally:
            client.close()


class _Client(aiosmtplib.SMTP):
    """A client that knows whether the mail itself has begun to go over: from then on it may have been taken."""

    handed_over = False

    async def data(self, *args: Any, **kwargs: Any) -> aiosmtplib.SMTPResponse:
        """Hand the mail over."""
        self.handed_over = True
        return await super().data(*args, **kwargs)


def sender(mail_from: str) -> Address:
    """Read `BELLWIRE_MAIL_FROM`: `Name <address>` or an address.

    Raises:
        ConfigurationError: it is neither.

    """
    name, address = parseaddr(mail_from)
    try:
        origin = Address(display_name=name, addr_spec=address)
    except (ValueError, IndexError, HeaderParseError):
        origin = Address()
    if not (origin.username and origin.domain and mail_from.isprintable()):
        raise ConfigurationError("BELLWIRE_MAIL_FROM must be an address or Name <address>")
    return origin


def _judge(error: Exception, endpoint: Endpoint, *, handed_over: bool) -> Transient | Permanent:
    """Judge a reply by its first digit (RFC 5321, 4.2.1); what is no reply may work later."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]  # there was only one
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _judge_reply(error, endpoint)
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        # STARTTLS, or a way to log in: the same for every mail.
        return Permanent(detail(f"The mail server cannot do this: {error.message}", endpoint), fault=Fault.PROVIDER)
    if isinstance(error, TimeoutError):
        return Transient("The mail server did not answer in time.", maybe_sent=handed_over)
    words = "broke the connection off" if handed_over else "could not be reached"
    return Transient(f"The mail server {words} ({type(error).__name__}).", maybe_sent=handed_over)


def _judge_reply(reply: aiosmtplib.SMTPResponseException, endpoint: Endpoint) -> Transient | Permanent:
    """Tell by the command that was answered whether it is about us, or about the recipient or the mail."""
    words = detail(f"The mail server answered {reply.code}: {reply.message}", endpoint)
    to_recipient = isinstance(reply, aiosmtplib.SMTPRecipientRefused)
    if reply.code < _FIRST_PERMANENT:
        about_recipient = to_recipient and reply.code != _SERVICE_CLOSES
        return Transient(words, fault=Fault.ENDPOINT if about_recipient else Fault.PROVIDER)
    if to_recipient and reply.message.startswith(_POLICY):
        return Permanent(words, fault=Fault.MATCH)
    if to_recipient or isinstance(reply, aiosmtplib.SMTPDataError):
        return Permanent(words, endpoint_gone=to_recipient and reply.message.startswith(_NO_SUCH_MAILBOX))
    return Permanent(words, fault=Fault.PROVIDER)  # greeting, login, sender
