from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP


class SmtpFake:
    """A mail server on 127.0.0.1 that speaks real SMTP, answers as told, and keeps what it accepted."""

    def __init__(self) -> None:
        self.mail_reply = "250 OK"
        self.rcpt_reply = "250 OK"
        self.data_reply = "250 OK"
        self.silent = False
        """Whether RCPT gets no answer until the test is over."""
        self.silent_at_data = False
        """Whether the mail itself gets no answer."""
        self.hangs_up_at_data = False
        """Whether the connection breaks off instead, once the mail is over."""
        self.silent_at_quit = False
        self.asked = asyncio.Event()
        """Set by the first RCPT."""
        self.sessions = 0
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.port = 0
        self._over = asyncio.Event()

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.mail_reply.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.mail_reply

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.asked.set()
        if self.silent:
            await self._over.wait()
        if self.rcpt_reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt_reply

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.silent_at_data:
            await self._over.wait()
        if self.hangs_up_at_data:
            server.transport.abort()
        if self.data_reply.startswith("250"):
            self.recipients += envelope.rcpt_tos
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.data_reply

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.silent_at_quit:
            await self._over.wait()
        return "221 Bye"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SmtpFake]:
        loop = asyncio.get_running_loop()
        sessions: list[SMTP] = []

        def session() -> SMTP:
            self.sessions += 1
            sessions.append(SMTP(self, hostname="mail.example.com", enable_SMTPUTF8=True, loop=loop))
            return sessions[-1]

        server = await loop.create_server(session, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._over.set()
            server.close()
            for each in sessions:
                if each.transport is not None:
                    each.transport.close()
            handlers = [each._handler_coroutine for each in sessions if each._handler_coroutine is not None]
            for handler in handlers:
                handler.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)
            await server.wait_closed()
