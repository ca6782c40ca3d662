from __future__ import annotations

import json
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallback.render import Message, Renderer, one_line
from hub.core.model import Channel
from tests.support.deliveries import make_content

PUBLIC = "https://hub.example.com/app/"


class Anchors(HTMLParser):
    """Collects links and elements as a mail client would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str | None] = []
        self.tags: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src", "action"}]

    def handle_data(self, data: str) -> None:
        self.words += data


def rendered(
    title: str = "Shipped", body: str = "On Friday.", url: str | None = None, channel: Channel = Channel.EMAIL
) -> Message:
    return Renderer("Acme", PUBLIC).render(make_content(title=title, body=body, action_url=url), channel)


def seen(message: Message) -> Anchors:
    parser = Anchors()
    parser.feed(message.html or "")
    parser.close()
    return parser


def test_an_email_has_subject_text_and_html() -> None:
    message = rendered(body="First.\n\nSecond,\nhere.", url="https://example.com/orders/1")
    assert message.subject == "Shipped"
    assert message.text == "Shipped\n\nFirst.\n\nSecond,\nhere.\n\nhttps://example.com/orders/1\n"
    page = seen(message)
    assert page.links == ["https://example.com/orders/1"]
    assert page.tags.count("p") == 2
    assert "Acme" in page.words


def test_only_email_gets_html() -> None:
    assert rendered(channel=Channel.PUSH).html is None
    assert rendered(channel=Channel.SMS).html is None


def test_a_body_may_be_empty() -> None:
    message = rendered(body="")
    assert message.text == "Shipped\n"
    assert "p" not in seen(message).tags


@pytest.mark.parametrize(
    "title",
    [
        "Hi\r\nBcc: eve@example.com",
        "Hi\nBcc: eve@example.com",
        "Hi\rBcc: eve@example.com",
        "Hi\u2028Bcc: eve@example.com",
        "Hi\u2029Bcc: eve@example.com",
        "Hi\x85Bcc: eve@example.com",
        "Hi\x0bBcc: eve@example.com",
        "Hi\x1eBcc: eve@example.com",
    ],
)
def test_a_title_cannot_add_headers(title: str) -> None:
    message = rendered(title)
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = message.subject
    assert message.subject == "Hi Bcc: eve@example.com"
    assert mail["Bcc"] is None
    assert b"\r\nBcc" not in mail.as_bytes()


@given(st.text(st.characters(codec="utf-8")))
def test_no_text_ends_a_header_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert line.isprintable() or not line.isascii()
    EmailMessage(policy=SMTP)["Subject"] = line


def test_a_title_of_control_characters_falls_back_to_the_category() -> None:
    assert rendered("\x01\x02").subject == "order.shipped"


@pytest.mark.parametrize("attack", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</p></td><a href=x>"])
def test_text_stays_text(attack: str) -> None:
    page = seen(rendered(attack, attack))
    plain = seen(rendered("x", "y"))
    assert page.tags == plain.tags
    assert page.links == []
    assert attack in page.words


def test_template_syntax_in_content_is_not_run() -> None:
    message = rendered("{{ 7 * 7 }}", "{% for x in y %}")
    assert "{{ 7 * 7 }}" in seen(message).words
    assert "{% for x in y %}" in seen(message).words


VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "action-urls.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "//evil.com/x",
        "/\\evil.com",
        "https:evil.com",
        "https://user:pw@evil.com/",
        "mailto:x@example.com",
        "",
        *VECTORS["refused"],
    ],
)
def test_what_must_not_be_linked_is_not(url: str) -> None:
    message = rendered(url=url)
    assert message.url is None
    assert seen(message).links == []
    assert "a" not in seen(message).tags


@pytest.mark.parametrize("url", [url for url in VECTORS["accepted"] if not url.startswith("/")])
def test_what_may_be_linked_is(url: str) -> None:
    assert seen(rendered(url=url)).links == [url]


def test_quotes_in_a_link_stay_inside_the_attribute() -> None:
    url = "https://example.com/?q=\"onmouseover=alert(1)&x='y'"
    page = seen(rendered(url=url))
    assert page.links == [url]
    assert page.tags == seen(rendered(url="https://example.com/")).tags


def test_paths_are_linked_only_when_the_public_address_is_known() -> None:
    content = make_content(action_url="/orders/1")
    assert Renderer("Acme", PUBLIC).render(content, Channel.EMAIL).url == "https://hub.example.com/app/orders/1"
    assert Renderer("Acme", None).render(content, Channel.EMAIL).url is None


def test_the_language_is_the_users() -> None:
    html = Renderer("Acme").render(make_content(), Channel.EMAIL, locale="pt-BR").html
    assert html is not None
    assert '<html lang="pt-BR"' in html
