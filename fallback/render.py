"""From a notification's content to what a provider sends."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from hub.core.errors import InvalidRequest
from hub.core.model import Channel, Content, Priority
from hub.core.text import check_action_url

_NOT_IN_A_LINE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PREVIEW = 140
"""Characters of the body that mail clients show beside the subject."""


@dataclass(frozen=True, slots=True)
class Message:
    """A notification as a person will read it, for one channel. `url` is safe to link, or None."""

    notification: UUID
    category: str
    priority: Priority
    subject: str
    """One line: no control character can end it, so it can stand in a header."""
    body: str
    text: str
    """Everything as plain text."""
    url: str | None
    as_html: Callable[[], str] | None = None
    """For e-mail only."""

    @property
    def html(self) -> str | None:
        """The same as HTML, for e-mail only; rendered when it is asked for, as not every provider does."""
        return None if self.as_html is None else self.as_html()


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders messages; `brand` is the sender's name, `public_url` turns paths into links."""

    brand: str = "Bellwire"
    public_url: str | None = None

    def render(self, content: Content, channel: Channel, locale: str | None = None) -> Message:
        """Render for a channel. All text of the content stays text, whatever it holds."""
        subject = one_line(content.title) or content.category
        body = "\n".join(content.body.splitlines()).strip()
        url = self._link(content.action_url)
        parts = [subject, body, url]
        html = partial(self._email, subject, body, url, locale) if channel is Channel.EMAIL else None
        return Message(
            notification=content.id,
            category=content.category,
            priority=content.priority,
            subject=subject,
            body=body,
            text="\n\n".join(part for part in parts if part) + "\n",
            url=url,
            as_html=html,
        )

    def _link(self, action_url: str | None) -> str | None:
        """Return an absolute http(s) address, or None for anything that must not be linked.

        Checked again although publishing checks it: rows may be older than the rule.
        """
        if action_url is None:
            return None
        try:
            url = check_action_url(action_url)
        except InvalidRequest:
            return None
        if not url.startswith("/"):
            return url
        return self.public_url.rstrip("/") + url if self.public_url else None

    def _email(self, subject: str, body: str, url: str | None, locale: str | None) -> str:
        paragraphs = [part.splitlines() for part in re.split(r"\n{2,}", body) if part.strip()]
        return _template().render(
            brand=one_line(self.brand),
            title=subject,
            paragraphs=paragraphs,
            preview=one_line(body)[:_PREVIEW],
            url=url,
            lang=locale or "en",
        )


def one_line(text: str) -> str:
    """Fold everything that could end a line or a header into single spaces."""
    return _NOT_IN_A_LINE.sub(" ", text).strip()


@lru_cache(maxsize=1)
def _template() -> Template:
    """Load the e-mail template: autoescaped, and a missing name is an error."""
    loader = PackageLoader("fallback", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(
        "email.html"
    )
