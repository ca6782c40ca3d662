from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from hub.core.errors import ConfigurationError, InvalidRequest, Unauthenticated
from hub.core.model import InboxKey
from hub.keyring import LEEWAY_MS, Keyring, KeyringEntry
from hub.settings import Settings, TenantCredentials

NOW = 1_800_000_000_000
SECONDS = NOW // 1000
SECRET = "default-secret-of-at-least-32-bytes!"
ACME_SECRET = "acme-secret-that-is-another-32-bytes"
API_KEY = "key-of-the-default-tenant"
ADA = InboxKey("default", "ada")

ENTRIES = (
    KeyringEntry("default", "default", API_KEY, SECRET),
    KeyringEntry("acme", "acme-2027", "key-of-acme", ACME_SECRET),
)


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(ENTRIES)


def sign(claims: dict[str, object], *, secret: str = SECRET, kid: str | None = None, algorithm: str = "HS256") -> str:
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims, secret, algorithm=algorithm, headers=headers)


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(header: object, claims: object, key: bytes | None = None) -> str:
    """Put a token together by hand, signed with HMAC-SHA256 under `key` or not at all."""
    signed = f"{segment(header)}.{segment(claims)}"
    signature = b"" if key is None else hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{segment(signature)}"


CLAIMS: dict[str, object] = {"sub": "ada", "exp": SECONDS + 60}


def refused(keyring: Keyring, token: str, now: int = NOW) -> str:
    with pytest.raises(Unauthenticated) as caught:
        keyring.user(token, now)
    if len(token) > 20:
        assert token not in caught.value.detail
        assert token.rsplit(".", maxsplit=1)[-1] not in caught.value.detail or not token.rsplit(".", maxsplit=1)[-1]
    return caught.value.detail


def test_a_token_without_kid_belongs_to_the_default_tenant(keyring: Keyring) -> None:
    identity = keyring.user(sign(CLAIMS), NOW)
    assert identity.key == ADA
    assert identity.expires_at == (SECONDS + 60) * 1000 + LEEWAY_MS


def test_the_kid_chooses_the_tenant_whatever_the_claims_say(keyring: Keyring) -> None:
    token = sign({**CLAIMS, "tenant": "default", "tid": "default"}, secret=ACME_SECRET, kid="acme-2027")
    assert keyring.user(token, NOW).key == InboxKey("acme", "ada")


def test_another_tenants_kid_does_not_fit_ones_own_key(keyring: Keyring) -> None:
    assert "another key" in refused(keyring, sign(CLAIMS, secret=SECRET, kid="acme-2027"))
    assert "another key" in refused(keyring, sign(CLAIMS, secret=ACME_SECRET))
    assert "another key" in refused(keyring, sign(CLAIMS, secret=ACME_SECRET, kid="default"))


@pytest.mark.parametrize("kid", ["acme", "", "../default", "ACME-2027"])
def test_an_unknown_kid_is_refused(keyring: Keyring, kid: str) -> None:
    assert "`kid`" in refused(keyring, sign(CLAIMS, kid=kid))


@pytest.mark.parametrize("kid", [None, 7, ["default"], {"a": 1}])
def test_a_kid_that_is_not_text_is_refused(keyring: Keyring, kid: object) -> None:
    assert "well-formed" in refused(keyring, forge({"alg": "HS256", "kid": kid}, CLAIMS, SECRET.encode()))


def test_expiry_is_judged_by_the_given_time_with_a_little_leeway(keyring: Keyring) -> None:
    token = sign({"sub": "ada", "exp": SECONDS})
    assert keyring.user(token, NOW + LEEWAY_MS - 1).expires_at > NOW + LEEWAY_MS - 1
    assert "expired" in refused(keyring, token, NOW + LEEWAY_MS)
    assert LEEWAY_MS <= 10_000


def test_the_machines_own_clock_does_not_matter(keyring: Keyring) -> None:
    token = sign({"sub": "ada", "exp": 1_000_060, "iat": 1_000_000})
    assert keyring.user(token, 1_000_000_000).key == ADA


@pytest.mark.parametrize("exp", [None, "1800000060", True, [], {}, float("nan")])
def test_expiry_has_to_be_a_number(keyring: Keyring, exp: object) -> None:
    token = forge({"alg": "HS256"}, {"sub": "ada", "exp": exp}, SECRET.encode())
    assert "`exp`" in refused(keyring, token)


@pytest.mark.parametrize("exp", [10**400, 1e300, float("inf")])
def test_an_absurdly_late_expiry_is_the_end_of_time(keyring: Keyring, exp: float) -> None:
    token = forge({"alg": "HS256"}, {"sub": "ada", "exp": exp}, SECRET.encode())
    assert keyring.user(token, NOW).expires_at < 2**53


@pytest.mark.parametrize("exp", [-1, -(10**400), float("-inf"), 0, 0.5])
def test_an_absurdly_early_expiry_has_expired(keyring: Keyring, exp: float) -> None:
    assert "expired" in refused(keyring, forge({"alg": "HS256"}, {"sub": "ada", "exp": exp}, SECRET.encode()))


def test_a_token_without_expiry_is_refused(keyring: Keyring) -> None:
    assert "no expiry" in refused(keyring, sign({"sub": "ada"}))


def test_a_token_for_later_is_refused(keyring: Keyring) -> None:
    assert "not valid yet" in refused(keyring, sign({**CLAIMS, "nbf": SECONDS + 30}))
    assert keyring.user(sign({**CLAIMS, "nbf": SECONDS + 3}), NOW).key == ADA


@pytest.mark.parametrize("sub", [None, "", 7, ["ada"], {"id": "ada"}, True])
def test_a_token_that_names_no_user_is_refused(keyring: Keyring, sub: object) -> None:
    token = forge({"alg": "HS256"}, {"sub": sub, "exp": SECONDS + 60}, SECRET.encode())
    assert "`sub`" in refused(keyring, token)


def test_a_token_without_sub_is_refused(keyring: Keyring) -> None:
    assert "`sub`" in refused(keyring, sign({"exp": SECONDS + 60}))


@pytest.mark.parametrize("sub", ["a\x00b", "a\ud800", "x" * 256, "   ", "a\nb"])
def test_a_user_that_cannot_be_stored_is_refused(keyring: Keyring, sub: str) -> None:
    token = forge({"alg": "HS256"}, {"sub": sub, "exp": SECONDS + 60}, SECRET.encode())
    assert "`sub`" in refused(keyring, token)


@pytest.mark.parametrize("sub", ["x" * 255, "auth0|5f7c", "team/7", "Ånna ☃", "a@b.example"])
def test_users_may_have_any_printable_id(keyring: Keyring, sub: str) -> None:
    assert keyring.user(sign({**CLAIMS, "sub": sub}), NOW).key.user == sub


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "None"}, {"alg": "nOnE"}, {"alg": ""}, {}])
@pytest.mark.parametrize("key", [None, SECRET.encode()])
def test_a_token_that_needs_no_key_is_refused(keyring: Keyring, header: dict[str, str], key: bytes | None) -> None:
    assert "HS256" in refused(keyring, forge(header, CLAIMS, key))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_right_key_with_another_algorithm_is_refused(algorithm: str) -> None:
    secret = "s" * 64
    keyring = Keyring([KeyringEntry("default", "default", API_KEY, secret)])
    assert "HS256" in refused(keyring, sign(CLAIMS, secret=secret, algorithm=algorithm))


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_token_signed_with_rsa_is_refused(keyring: Keyring) -> None:
    private = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert "HS256" in refused(keyring, jwt.encode(CLAIMS, private, algorithm="RS256"))


def test_a_public_key_cannot_be_the_secret_so_nobody_can_sign_with_it(keyring: Keyring) -> None:
    public = public_pem(rsa_key())
    with pytest.raises(ConfigurationError, match="public key"):
        Keyring([KeyringEntry("default", "default", API_KEY, public.decode())])
    # The confusion itself: RS256's public key as an HMAC key, under either name.
    assert "another key" in refused(keyring, forge({"alg": "HS256"}, CLAIMS, public))
    assert "HS256" in refused(keyring, forge({"alg": "RS256"}, CLAIMS, public))


@pytest.mark.parametrize("header", [{"jwk": {"kty": "oct", "k": "YWFh"}}, {"jku": "http://127.0.0.1/"}, {"x5u": "x"}])
def test_a_key_that_the_token_brings_along_is_not_used(keyring: Keyring, header: dict[str, object]) -> None:
    assert "another key" in refused(keyring, forge({"alg": "HS256", **header}, CLAIMS, b"aaa"))


def test_an_extension_that_must_be_understood_is_refused(keyring: Keyring) -> None:
    header = {"alg": "HS256", "crit": ["exp"], "exp": 1}
    assert "well-formed" in refused(keyring, forge(header, CLAIMS, SECRET.encode()))


def test_a_changed_payload_does_not_fit_the_signature(keyring: Keyring) -> None:
    header, _, signature = sign(CLAIMS).split(".")
    assert "another key" in refused(keyring, f"{header}.{segment({**CLAIMS, 'sub': 'grace'})}.{signature}")


def garbage() -> list[str]:
    header, claims, signature = sign(CLAIMS).split(".")
    return [
        "",
        ".",
        "..",
        "...",
        "ada",
        API_KEY,
        f"{header}.{claims}",
        f"{header}.{claims}.{signature}.{signature}",
        f"{header}.{claims}.",
        f"{header}..{signature}",
        f".{claims}.{signature}",
        f"{header}.{claims}.!!!",
        f"{header}.{claims}.é",
        f"{header}.{claims}.\x00",
        f"{header}.{claims}.\ud800",
        forge([], CLAIMS, SECRET.encode()),
        forge("text", CLAIMS, SECRET.encode()),
        forge(b"\xff\xfe", CLAIMS, SECRET.encode()),
        forge({"alg": "HS256"}, [1], SECRET.encode()),
        forge({"alg": "HS256"}, "ada", SECRET.encode()),
        forge({"alg": "HS256"}, b"{", SECRET.encode()),
        forge({"alg": "HS256"}, b"\xff", SECRET.encode()),
        forge({"alg": "HS256"}, b"[" * 5_000, SECRET.encode()),
        forge(b"[" * 5_000, CLAIMS, SECRET.encode()),
        forge({"alg": ["HS256"]}, CLAIMS, SECRET.encode()),
        forge({"alg": {"a": 1}}, CLAIMS, SECRET.encode()),
        "x" * 100_000,
        sign({**CLAIMS, "much": "x" * 10_000}),
    ]


@pytest.mark.parametrize("token", garbage())
def test_garbage_is_refused(keyring: Keyring, token: str) -> None:
    assert refused(keyring, token)


def test_audience_and_issuer_are_checked_when_configured() -> None:
    keyring = Keyring(ENTRIES, audience="bellwire", issuer="https://app.example")
    good = {**CLAIMS, "aud": "bellwire", "iss": "https://app.example"}
    assert keyring.user(sign(good), NOW).key == ADA
    assert keyring.user(sign({**good, "aud": ["other", "bellwire"]}), NOW).key == ADA
    assert keyring.user(keyring.issue(ADA, NOW, 60_000), NOW).key == ADA
    for aud in ("other", ["other"], [], {"bellwire": 1}, 7, "bell"):
        assert "`aud`" in refused(keyring, sign({**good, "aud": aud}))
    for iss in ("other", "https://app.example/", ""):
        assert "`iss`" in refused(keyring, sign({**good, "iss": iss}))
    forged = forge({"alg": "HS256"}, {**good, "iss": ["https://app.example"]}, SECRET.encode())
    assert "`iss`" in refused(keyring, forged)
    assert "`iss`" in refused(keyring, sign(CLAIMS))
    assert "`aud`" in refused(keyring, sign({**CLAIMS, "iss": "https://app.example"}))


def test_audience_and_issuer_do_not_matter_when_not_configured(keyring: Keyring) -> None:
    assert keyring.user(sign({**CLAIMS, "aud": "x", "iss": "y"}), NOW).key == ADA


def test_issued_tokens_are_good_for_as_long_as_asked(keyring: Keyring) -> None:
    for key in (ADA, InboxKey("acme", "grace")):
        token = keyring.issue(key, NOW, 60_000)
        assert keyring.user(token, NOW + 59_000).key == key
        assert "expired" in refused(keyring, token, NOW + 60_000 + LEEWAY_MS)
    with pytest.raises(ConfigurationError, match="nowhere"):
        keyring.issue(InboxKey("nowhere", "ada"), NOW, 60_000)
    with pytest.raises(InvalidRequest):
        keyring.issue(InboxKey("default", ""), NOW, 60_000)


def test_api_keys_name_their_tenant(keyring: Keyring) -> None:
    assert keyring.publisher(API_KEY) == "default"
    assert keyring.publisher("key-of-acme") == "acme"


@pytest.mark.parametrize("key", ["", " ", API_KEY[:-1], API_KEY + "x", API_KEY.upper(), "é", "\x00", "\ud800", SECRET])
def test_an_unknown_api_key_is_refused(keyring: Keyring, key: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        keyring.publisher(key)
    assert caught.value.detail == "the API key is unknown"


def test_nothing_secret_is_shown(keyring: Keyring) -> None:
    shown = repr(keyring) + str(keyring) + repr(ENTRIES) + repr(vars(keyring))
    for secret in (SECRET, ACME_SECRET, API_KEY, "key-of-acme"):
        assert secret not in shown
    assert repr(keyring) == "<Keyring of acme, default>"


def test_settings_name_further_tenants() -> None:
    tenants = {
        "acme": TenantCredentials(api_key=SecretStr("key-of-acme"), jwt_secret=SecretStr(ACME_SECRET), kid="k1"),
        "globex": TenantCredentials(api_key=SecretStr("key-of-globex"), jwt_secret=SecretStr("g" * 32)),
    }
    settings = Settings(tenants=tenants, jwt_audience="bellwire", jwt_issuer="app")
    keyring = Keyring.from_settings(settings, API_KEY, SECRET)
    assert [keyring.publisher(key) for key in (API_KEY, "key-of-acme", "key-of-globex")] == [
        "default",
        "acme",
        "globex",
    ]
    claims = {**CLAIMS, "aud": "bellwire", "iss": "app"}
    assert keyring.user(sign(claims, secret=ACME_SECRET, kid="k1"), NOW).key.tenant == "acme"
    assert keyring.user(sign(claims, secret="g" * 32, kid="globex"), NOW).key.tenant == "globex"
    assert "`kid`" in refused(keyring, sign(claims, secret=ACME_SECRET, kid="acme"))


def entry(tenant: str = "b", kid: str = "b", api_key: str = "key-b", secret: str = "b" * 32) -> KeyringEntry:
    return KeyringEntry(tenant, kid, api_key, secret)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: entry(secret="short"), "32 bytes"),
        (lambda: entry(secret=""), "32 bytes"),
        (lambda: entry(api_key=""), "empty"),
        (lambda: entry(api_key="  "), "empty"),
        (lambda: entry(api_key="ké"), "header"),
        (lambda: entry(api_key="a\nb"), "header"),
        (lambda: entry(api_key=API_KEY), "same API key"),
        (lambda: entry(secret=ENTRIES[0].jwt_secret), "same JWT secret"),
        (lambda: entry(kid="default"), "twice"),
        (lambda: entry(tenant="default"), "twice"),
    ],
)
def test_credentials_that_cannot_protect_stop_the_start(make: Callable[[], KeyringEntry], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        Keyring([ENTRIES[0], make()])
    assert "short" not in str(caught.value).split("shorter")[0]
    assert API_KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("iat", "issued_at"),
    [
        (SECONDS - 60, NOW - 60_000),
        (SECONDS - 0.25, NOW - 250),
        (0, 0),
        (-5, 0),
        (None, None),
        (SECONDS + LEEWAY_MS // 1000, NOW),
    ],
)
def test_when_a_token_was_issued(keyring: Keyring, iat: float | None, issued_at: int | None) -> None:
    """A clock that is a little ahead does not make a token issued later than it is shown."""
    claims = CLAIMS if iat is None else {**CLAIMS, "iat": iat}
    assert keyring.user(sign(claims), NOW).issued_at == issued_at


@pytest.mark.parametrize("iat", ["1800000000", True, [], float("nan"), SECONDS + LEEWAY_MS // 1000 + 1, 10**15])
def test_a_token_from_the_future_or_of_no_time_is_refused(keyring: Keyring, iat: object) -> None:
    token = forge({"alg": "HS256"}, {**CLAIMS, "iat": iat}, SECRET.encode())
    assert "`iat`" in refused(keyring, token)


def test_the_tenants_are_told(keyring: Keyring) -> None:
    assert keyring.tenants == ["acme", "default"]
    assert Keyring([]).tenants == []
