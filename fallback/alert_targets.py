"""Where alerts go: a webhook signed by Standard Webhooks, and whatever Apprise knows how to reach."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from binascii import Error as NotBase64
from collections.abc import Mapping

import httpx2
import msgspec

from fallback.alerter import TIMEOUT, Target
from fallback.notices import Notice
from fallback.providers.base import Threads, import_extra
from hub.core.errors import BellwireError, ConfigurationError
from hub.core.views import rfc3339
from hub.settings import Settings

SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets begin, no secret
_SHORTEST_SECRET = 24
"""Bytes, as Standard Webhooks asks for."""


class NotTaken(BellwireError):
    """A target answered that it does not take the alert."""


class Webhook:
    """Posts alerts as JSON. A repeated one has the same `webhook-id`, so that receivers can tell."""

    name = "webhook"

    def __init__(self, url: str, secret: str) -> None:
        """Take the operator's own URL: it may be anywhere, but redirects are not followed.

        Raises:
            ConfigurationError: the URL or the secret is none.

        """
        if not url.startswith(("https://", "http://")):
            raise ConfigurationError("BELLWIRE_ALERT_WEBHOOK must be an http(s) URL")
        self._url = url
        self._key = read_secret(secret)
        self._client = httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False)

    async def tell(self, notice: Notice, now: int) -> None:
        """Post the notice; anything but a 2xx is a failure."""
        data = {**notice.data, "text": f"{notice.subject}\n{notice.text}"}
        body = msgspec.json.encode({"type": notice.type, "timestamp": rfc3339(now), "data": data})
        headers = {"Content-Type": "application/json", **signed(self._key, notice.id, now // 1000, body)}
        response = await self._client.post(self._url, content=body, headers=headers)
        if not response.is_success:
            raise NotTaken(f"the webhook answered {response.status_code}")

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()


class Apprise:
    """Tells through Apprise: Slack, Matrix, e-mail, and a hundred others, by URLs of the operator's."""

    name = "apprise"

    def __init__(self, urls: str) -> None:
        """Read URLs with spaces or commas between them.

        Raises:
            ConfigurationError: one is not understood, or Apprise is not installed.

        """
        sdk = import_extra("apprise", "apprise")
        # It logs what it cannot use or reach, whole: with the tokens that its URLs consist of.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        self._text = sdk.NotifyFormat.TEXT
        self._failure, self._success = sdk.NotifyType.FAILURE, sdk.NotifyType.SUCCESS
        self._apprise = sdk.Apprise()
        if not self._apprise.add(urls) or not len(self._apprise):
            raise ConfigurationError("BELLWIRE_ALERT_URLS holds something that is no Apprise URL")
        self._threads = Threads("apprise", 4)

    async def tell(self, notice: Notice, now: int) -> None:  # noqa: ARG002 - the protocol's
        """Tell all of the URLs; one that fails makes it a failure."""
        kind = self._success if notice.is_good else self._failure
        taken = await self._threads.run(
            lambda: self._apprise.notify(
                title=notice.subject,
                body=notice.text,
                body_format=self._text,
                notify_type=kind,
                interpret_escapes=False,
            )
        )
        if not taken:
            raise NotTaken("Apprise could not deliver the alert everywhere")

    async def close(self) -> None:
        """Take no more alerts."""
        self._threads.close()


def targets(settings: Settings) -> list[Target]:
    """Make the targets that the settings name.

    Raises:
        ConfigurationError: one cannot be made.

    """
    made: list[Target] = []
    if settings.alert_webhook is not None:
        if settings.alert_secret is None:
            raise ConfigurationError(
                "BELLWIRE_ALERT_WEBHOOK needs BELLWIRE_ALERT_SECRET, by which the receiver knows that it is us; "
                'make one: echo "whsec_$(openssl rand -base64 32)"'
            )
        made.append(Webhook(settings.alert_webhook.get_secret_value(), settings.alert_secret.get_secret_value()))
    if settings.alert_urls is not None:
        made.append(Apprise(settings.alert_urls.get_secret_value()))
    return made


def read_secret(secret: str) -> bytes:
    """Read a secret as Standard Webhooks writes it: `whsec_` and base64.

    Raises:
        ConfigurationError: it is none, or too short.

    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (NotBase64, ValueError):
        key = b""
    if len(key) < _SHORTEST_SECRET:
        raise ConfigurationError(
            f"BELLWIRE_ALERT_SECRET must be whsec_ and at least {_SHORTEST_SECRET} bytes in base64: "
            'echo "whsec_$(openssl rand -base64 32)"'
        )
    return key


def signed(key: bytes, identifier: str, seconds: int, body: bytes) -> Mapping[str, str]:
    """Make the headers of Standard Webhooks (version 1, symmetric)."""
    digest = hmac.new(key, f"{identifier}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
