"""The keys this hub trusts: API keys of publishers, and the secrets that users' tokens are signed with."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

import jwt
from jwt import PyJWK
from jwt.algorithms import HMACAlgorithm
from jwt.utils import base64url_encode

from hub.core.errors import ConfigurationError, InvalidRequest, Unauthenticated
from hub.core.model import InboxKey
from hub.core.text import check_id
from hub.ports import Identity
from hub.settings import Settings

ALGORITHM = "HS256"
"""Pinned by the kind of key: the `alg` in a token's header is compared with it and never chooses."""

DEFAULT_TENANT = "default"
LEEWAY_MS = 5_000
"""How far the issuer's clock may be off."""

MIN_SECRET_BYTES = 32
"""RFC 7518 section 3.2: an HS256 key is at least as long as the hash."""

_MAX_TOKEN = 8_192
_MAX_SECONDS = 253_402_300_799
"""The end of the year 9999: a later `exp` says no more than this."""


@dataclass(frozen=True, slots=True)
class KeyringEntry:
    """One tenant's credentials; `kid` is what the headers of its users' tokens carry."""

    tenant: str
    kid: str
    api_key: str = field(repr=False)
    jwt_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Verifier:
    """What is needed to check and sign the tokens of one tenant."""

    tenant: str
    kid: str
    key: PyJWK = field(repr=False)


class _CheckedHmac(HMACAlgorithm):
    """HMAC with a key that has been checked once and for all: PyJWT would parse it anew for every token.

    That is a sixth of what a token costs, at every connect.
    """

    def prepare_key(self, key: str | bytes) -> bytes:
        """Return it as it is."""
        return key if isinstance(key, bytes) else key.encode()


class Keyring:
    """The `Authenticator` of HS256 tokens and API keys, in memory. Holds digests of API keys, never the keys."""

    def __init__(
        self, entries: Iterable[KeyringEntry], *, audience: str | None = None, issuer: str | None = None
    ) -> None:
        """`audience` and `issuer`, when given, must stand in every token's `aud` and `iss`.

        Raises:
            ConfigurationError: a weak or empty secret, or two tenants sharing a `kid`, an API key or a secret.

        """
        self._audience = audience
        self._issuer = issuer
        self._publishers: dict[bytes, str] = {}
        self._verifiers: dict[str, _Verifier] = {}
        self._signers: dict[str, _Verifier] = {}
        for entry in entries:
            self._add(entry)

    @classmethod
    def from_settings(cls, settings: Settings, api_key: str, jwt_secret: str) -> Self:
        """Build from the default tenant's credentials (given or generated) and `settings.tenants`."""
        entries = [KeyringEntry(DEFAULT_TENANT, DEFAULT_TENANT, api_key, jwt_secret)]
        for tenant, credentials in settings.tenants.items():
            entries.append(
                KeyringEntry(
                    tenant,
                    credentials.kid or tenant,
                    credentials.api_key.get_secret_value(),
                    credentials.jwt_secret.get_secret_value(),
                )
            )
        return cls(entries, audience=settings.jwt_audience, issuer=settings.jwt_issuer)

    @property
    def tenants(self) -> list[str]:
        """Whose keys these are."""
        return sorted(self._signers)

    def __repr__(self) -> str:
        """Name the tenants, and no secret."""
        return f"<Keyring of {', '.join(self.tenants) or 'nobody'}>"

    def user(self, token: str, now: int) -> Identity:
        """See `ports.Authenticator.user`. `expires_at` includes the leeway, so it is never in the past."""
        try:
            # The header is not verified yet: it only picks which key to try, and naming another
            # tenant's key leads to a signature that does not match.
            verifier = self._verifiers.get(_kid(_bounded(token).partition(".")[0]))
            if verifier is None:
                raise Unauthenticated("the token's `kid` names no key of this hub")
            claims = jwt.decode(token, verifier.key, algorithms=[ALGORITHM], options=_SIGNATURE_ONLY)
        except jwt.InvalidAlgorithmError:
            raise Unauthenticated(f"the token must be signed with {ALGORITHM}") from None
        except jwt.InvalidSignatureError:
            raise Unauthenticated("the token is signed with another key than this hub's") from None
        except jwt.PyJWTError:
            raise Unauthenticated("the token is not a well-formed JWT") from None
        expires_at = _check_times(claims, now)
        self._check_origin(claims)
        issued_at = _numeric_date(claims, "iat")
        if issued_at is not None:
            issued_at = min(issued_at, now)  # what is shown now was issued by now, whatever its issuer's clock says
        return Identity(InboxKey(verifier.tenant, _subject(claims)), expires_at, issued_at)

    def publisher(self, api_key: str) -> str:
        """See `ports.Authenticator.publisher`. Takes as long whichever key it is, and for none."""
        digest = _digest(api_key)
        tenant = None
        for known, owner in self._publishers.items():
            if hmac.compare_digest(known, digest):
                tenant = owner
        if tenant is None:
            raise Unauthenticated("the API key is unknown")
        return tenant

    def issue(self, key: InboxKey, now: int, ttl_ms: int) -> str:
        """Sign a token for a user, good for `ttl_ms` from `now` (whole seconds, at least one).

        For the command line and the demo; in production the embedding app signs its users' tokens.

        Raises:
            ConfigurationError: the tenant has no key here.
            InvalidRequest: the user's id cannot be one.

        """
        signer = self._signers.get(key.tenant)
        if signer is None:
            raise ConfigurationError(f"there is no key for the tenant {key.tenant!r}")
        issued_at = now // 1000
        claims: dict[str, object] = {
            "sub": check_id(key.user, "user"),
            "iat": issued_at,
            "exp": issued_at + max(1, ttl_ms // 1000),
        }
        if self._audience is not None:
            claims["aud"] = self._audience
        if self._issuer is not None:
            claims["iss"] = self._issuer
        return jwt.encode(claims, signer.key, algorithm=ALGORITHM, headers={"kid": signer.kid})

    def _add(self, entry: KeyringEntry) -> None:
        """Take in a tenant's credentials."""
        secret = entry.jwt_secret.encode()
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigurationError(
                f"the JWT secret of the tenant {entry.tenant!r} is shorter than {MIN_SECRET_BYTES} bytes; "
                "make one with: openssl rand -base64 48"
            )
        if not entry.api_key.isascii() or not entry.api_key.isprintable() or not entry.api_key.split():
            raise ConfigurationError(
                f"the API key of the tenant {entry.tenant!r} is empty or has characters that a header cannot carry"
            )
        digest = _digest(entry.api_key)
        if entry.tenant in self._signers or entry.kid in self._verifiers:
            raise ConfigurationError(f"the tenant or `kid` {entry.kid!r} is there twice")
        if digest in self._publishers:
            raise ConfigurationError(f"the tenant {entry.tenant!r} has the same API key as another")
        if any(hmac.compare_digest(verifier.key.key, secret) for verifier in self._verifiers.values()):
            raise ConfigurationError(
                f"the tenant {entry.tenant!r} has the same JWT secret as another: whoever signs for one could sign "
                "for the other"
            )
        # A JWK is bound to its algorithm, whatever a token's header says.
        key = PyJWK({"kty": "oct", "k": base64url_encode(secret).decode(), "alg": ALGORITHM})
        try:
            key.Algorithm.prepare_key(key.key)
        except jwt.InvalidKeyError:
            raise ConfigurationError(
                f"the JWT secret of the tenant {entry.tenant!r} looks like a public key or certificate, "
                f"which everybody may know; {ALGORITHM} needs a random secret"
            ) from None
        key.Algorithm = _CheckedHmac(_CheckedHmac.SHA256)
        self._publishers[digest] = entry.tenant
        self._verifiers[entry.kid] = self._signers[entry.tenant] = _Verifier(entry.tenant, entry.kid, key)

    def _check_origin(self, claims: Mapping[str, object]) -> None:
        """Check `aud` and `iss` where configured (RFC 7519 sections 4.1.1 and 4.1.3)."""
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise Unauthenticated("the token's issuer (`iss`) is not the one this hub trusts")
        if self._audience is None:
            return
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._audience not in audiences:
            raise Unauthenticated("the token is not meant for this hub (`aud`)")


# PyJWT compares times with the machine's clock; ours are compared with the `now` that is passed in. The other
# claims are checked here as well, so that each has an error of its own.
_SIGNATURE_ONLY: jwt.types.Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def _digest(api_key: str) -> bytes:
    """Hash an API key: digests have one length, so comparing them tells nothing of the key."""
    return hashlib.sha256(api_key.encode("utf-8", "surrogatepass")).digest()


def _bounded(token: str) -> str:
    """Return the token if it is worth parsing."""
    if len(token) > _MAX_TOKEN or not token.isascii():
        raise Unauthenticated("the token is not a well-formed JWT")
    return token


@lru_cache(maxsize=256)
def _kid(header: str) -> str:
    """Read which key a token's first part names; all tokens of an issuer begin alike.

    Raises:
        PyJWTError: it is no header of a JWT.

    """
    kid = jwt.get_unverified_header(f"{header}.e30.").get("kid", DEFAULT_TENANT)
    return kid if isinstance(kid, str) else ""


def _check_times(claims: Mapping[str, object], now: int) -> int:
    """Check `exp`, `nbf` and `iat`; return until when the token is good, in milliseconds."""
    expires = _numeric_date(claims, "exp")
    if expires is None:
        raise Unauthenticated("the token has no expiry (`exp`)")
    if expires + LEEWAY_MS <= now:
        raise Unauthenticated("the token has expired")
    not_before = _numeric_date(claims, "nbf")
    if not_before is not None and not_before - LEEWAY_MS > now:
        raise Unauthenticated("the token is not valid yet (`nbf`)")
    issued = _numeric_date(claims, "iat")
    if issued is not None and issued - LEEWAY_MS > now:
        raise Unauthenticated("the token is from the future (`iat`)")  # it could not be revoked until then
    return expires + LEEWAY_MS


def _numeric_date(claims: Mapping[str, object], name: str) -> int | None:
    """Read a NumericDate (RFC 7519 section 2: seconds, maybe with a fraction) as milliseconds."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - only NaN is
        raise Unauthenticated(f"the token's `{name}` is not a number of seconds")
    return int(max(0, min(value, _MAX_SECONDS)) * 1000)


def _subject(claims: Mapping[str, object]) -> str:
    """Return the user's id, if it can be one."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise Unauthenticated("the token names no user (`sub` must be a non-empty string)")
    try:
        return check_id(subject, "sub")
    except InvalidRequest as error:
        raise Unauthenticated(f"the token's `sub` {error.detail}") from None
