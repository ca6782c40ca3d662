"""The `fcm` provider: push by Firebase Cloud Messaging's HTTP v1 API, through firebase-admin."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

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
from fallback.render import Message
from hub.core.errors import ConfigurationError
from hub.core.model import Channel, Priority
from hub.core.plan import Endpoint
from hub.core.retry import parse_retry_after
from hub.ports import Clock
from hub.settings import Settings

_TOKEN_KIND = "fcm_token"  # noqa: S105 - the name of a kind of device, no secret
_TRY_LATER = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "ABORTED", "UNKNOWN"})
"""Platform codes (google.rpc.Code) that say nothing against the message or the device."""


_REFUSES_US = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED"})
"""Platform codes that are about the account, not about the device."""


class FcmProvider:
    """Sends to registration tokens.

    A token that FCM calls UNREGISTERED is gone. SENDER_ID_MISMATCH, INVALID_ARGUMENT and refused credentials are
    permanent, quota and outages transient.
    """

    name: ClassVar[str] = "fcm"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.PUSH})
    preference: ClassVar[int] = 10

    def __init__(
        self,
        credentials: dict[str, Any],
        clock: Clock,
        endpoint: str | None = None,
        timeout: float = CALL_TIMEOUT,
    ) -> None:
        """`credentials` are a service account's, parsed."""
        self._firebase = import_extra("firebase_admin", "fcm")
        self._messaging = import_extra("firebase_admin.messaging", "fcm")
        self._firebase_error: type[Exception] = import_extra("firebase_admin.exceptions", "fcm").FirebaseError
        self._auth_error: type[Exception] = import_extra("google.auth.exceptions", "fcm").GoogleAuthError
        self._clock = clock
        self._threads = Threads("fcm")
        try:
            certificate = import_extra("firebase_admin.credentials", "fcm").Certificate(credentials)
            # The SDK keeps its apps in a process-wide registry by name; ours must meet no other's.
            self._app = self._firebase.initialize_app(certificate, {"httpTimeout": timeout}, name=f"bellwire-{uuid4()}")
            self._service = _service(self._messaging, self._app, endpoint)
        except ValueError:
            # Without the cause: it may quote the file.
            raise ConfigurationError("BELLWIRE_FCM_CREDENTIALS is not a service account's JSON file") from None

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        """Tell whether there are credentials."""
        return settings.fcm_credentials is not None

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        """Make the provider from `BELLWIRE_FCM_CREDENTIALS` and `BELLWIRE_FCM_ENDPOINT`."""
        if settings.fcm_credentials is None:
            raise ConfigurationError("the provider fcm needs BELLWIRE_FCM_CREDENTIALS")
        return cls(read_credentials(settings.fcm_credentials), surroundings.clock, settings.fcm_endpoint)

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        """Send to one device.

        FCM knows no idempotency key; instead the notification's id is the tag under which devices show it, so a
        repeated send replaces the first.
        """
        if endpoint.kind != _TOKEN_KIND:
            return Permanent(f"FCM cannot reach a device of the kind {endpoint.kind}.", fault=Fault.MATCH)
        push = self._compose(message, endpoint.address, idempotency_key)
        try:
            return Ok(await self._threads.run(lambda: self._service.send(push)))
        except self._firebase_error as error:
            return self._refused(error, endpoint)
        except self._auth_error as error:
            return self._unauthorized(error)
        except ValueError:
            return Permanent("FCM cannot address this device: its token is malformed.")

    async def close(self) -> None:
        """Take no more calls, and leave the SDK's registry."""
        app, self._app = self._app, None
        if app is None:
            return
        self._threads.close()
        self._service._client.session.close()  # noqa: SLF001 - the SDK closes only its other, unused session
        # In a thread: the SDK runs an event loop of its own to close.
        await asyncio.to_thread(self._firebase.delete_app, app)

    def _compose(self, message: Message, token: str, delivery: UUID) -> Any:
        sdk = self._messaging
        tag = str(message.notification)
        urgent = message.priority <= Priority.HIGH
        data = {"notification": tag, "delivery": str(delivery), "category": message.category}
        link = {"link": message.url} if message.url and message.url.startswith("https://") else {}
        push = sdk.Message(
            data=data | ({"url": message.url} if message.url else {}),
            notification=sdk.Notification(title=message.subject, body=message.body or None),
            android=sdk.AndroidConfig(
                priority="high" if urgent else "normal", notification=sdk.AndroidNotification(tag=tag)
            ),
            apns=sdk.APNSConfig(
                headers={"apns-collapse-id": tag, "apns-priority": "10" if urgent else "5"},
            ),
            webpush=sdk.WebpushConfig(
                notification=sdk.WebpushNotification(tag=tag),
                fcm_options=sdk.WebpushFCMOptions(**link) if link else None,
            ),
        )
        # Set afterwards: the constructor warns that tokens give way to installation ids, which need a device's kind
        # of their own first.
        push.token = token
        return push

    def _refused(self, error: Any, endpoint: Endpoint) -> Transient | Permanent:
        if isinstance(error, self._messaging.UnregisteredError):
            return Permanent("FCM says that the device is not registered any more.", endpoint_gone=True)
        response = error.http_response
        if response is None:
            # Never reached: the message would name hosts and addresses, the code says enough.
            late = error.code == "DEADLINE_EXCEEDED"
            return Transient("FCM did not answer in time." if late else "FCM could not be reached.", maybe_sent=late)
        words = detail(f"FCM answered {response.status_code} {error.code}: {error}", endpoint)
        if error.code in _TRY_LATER:
            return Transient(words, parse_retry_after(response.headers.get("Retry-After"), self._clock.now()))
        return Permanent(words, fault=self._fault(error))

    def _fault(self, error: Any) -> Fault:
        if isinstance(error, self._messaging.ThirdPartyAuthError):
            return Fault.MATCH  # the key for Apple's or for browsers' push service: other devices are not concerned
        ours = isinstance(error, self._messaging.SenderIdMismatchError) or error.code not in _REFUSES_US
        return Fault.ENDPOINT if ours else Fault.PROVIDER

    def _unauthorized(self, error: Any) -> Transient | Permanent:
        """Judge a failure to get an access token. The message may quote the request, so it is not repeated."""
        if error.retryable or type(error).__name__ == "TransportError":
            return Transient("Google's token endpoint could not be reached.")
        return Permanent("Google refused the service account's credentials.", fault=Fault.PROVIDER)


def read_credentials(path: Path) -> dict[str, Any]:
    """Read a service account's JSON file.

    Raises:
        ConfigurationError: it cannot be read, or is not a JSON object.

    """
    try:
        credentials = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"BELLWIRE_FCM_CREDENTIALS cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError("BELLWIRE_FCM_CREDENTIALS is not a JSON file") from None
    if not isinstance(credentials, dict):
        raise ConfigurationError("BELLWIRE_FCM_CREDENTIALS is not a JSON object")
    return credentials


def _service(messaging: Any, app: Any, endpoint: str | None) -> Any:
    """Make the SDK's messaging service, without retries of its own, and pointed at `endpoint` if there is one.

    The SDK offers no option for either, so this reaches inside (firebase-admin 7): its URL is one attribute, and
    its retries (4 on 500 and 503, each with a wait, inside our one attempt) hang on the session's adapters. The
    contract suite fails if an update moves them.
    """
    adapters = import_extra("requests.adapters", "fcm")
    service = messaging._get_messaging_service(app)  # noqa: SLF001 - see above
    session = service._client.session  # noqa: SLF001 - see above
    session.adapters.clear()
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapters.HTTPAdapter(pool_maxsize=32, max_retries=0))
    if endpoint is not None:
        service._fcm_url = f"{endpoint.rstrip('/')}/v1/projects/{app.project_id}/messages:send"  # noqa: SLF001 - see above
        # google-auth would ask iamcredentials.googleapis.com in the background, with the access token, where the
        # account may be used from. Who names another endpoint wants to talk to that one only.
        service._credential._is_regional_access_boundary_lookup_required = lambda: False  # noqa: SLF001 - see above
    return service
