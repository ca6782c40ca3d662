"""Two tenants with the same user ids who know each other's ids, and nothing of one to be had by the other.

Every route of the app's own route table is called twice with each kind of the intruder's credentials: once aimed at
things that the victim has, once at things that nobody has. The answers must be the same, so nothing can be read,
counted or inferred; and the victim's rows, presence and live connections must be untouched, so nothing is changed.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
import jwt
import pytest
import sqlalchemy as sa
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from hub.core.ids import connection_id, random_token, uuid7
from hub.core.model import MarkAction
from hub.core.views import rfc3339
from hub.store.tables import deliveries, metadata
from tests.support.listener import PATIENCE
from tests.support.tenants import HOUR, LISTENERS, Json, Listener, World, open_world

VICTIM, INTRUDER = "acme", "ac"
NEIGHBOUR = "meada"
"""The intruder's user whose name joins with the tenant's to the same text: `ac` + `meada` == `acme` + `ada`."""

MARK = "of-acme-only"
"""In every text of the victim's."""


@dataclass(frozen=True)
class Aim:
    """What a call names: a user, and ids that somebody holds or nobody does."""

    user: str
    notification: str = field(default_factory=lambda: str(uuid4()))
    device: str = field(default_factory=lambda: str(uuid4()))
    device_token: str = field(default_factory=random_token)
    connection: str = field(default_factory=connection_id)
    cursor: str = field(default_factory=lambda: f"{uuid4().hex[:12]}.2.0")
    page: str = field(default_factory=lambda: urlsafe_b64encode(f"1763700000000.{uuid4().hex}".encode()).decode())
    idempotency: str = field(default_factory=random_token)
    event: str = field(default_factory=random_token)
    delivery: str = field(default_factory=lambda: str(uuid4()))
    dead: str = field(default_factory=lambda: str(uuid4()))
    schedule: str = field(default_factory=lambda: str(uuid7(1_763_700_000_000)))
    topic: str = field(default_factory=lambda: f"topic-{random_token()}")
    until: str = ""


@dataclass(frozen=True)
class Call:
    """A request, with what the publisher and the user of the intruder's tenant are answered."""

    url: str
    json: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    publisher: int = 403
    user: int = 403
    nobody: int = 401

    @property
    def public(self) -> bool:
        """Whether everybody is answered the same, whatever they name."""
        return self.publisher == self.user == self.nobody


def _public(url: str, status: int = 200, json: object = None) -> Call:
    return Call(url, json, publisher=status, user=status, nobody=status)


def _members(aim: Aim) -> Call:
    return Call(f"/v1/topics/{aim.topic}/members", {"users": [aim.user]}, publisher=200)


def _act(method: str, act: str) -> dict[tuple[str, str], Callable[[Aim], list[Call]]]:
    """Act on a delivery that waits, and on one that is dead."""

    def calls(aim: Aim) -> list[Call]:
        body = {"due_at": aim.until} if method == "PATCH" else None
        return [Call(f"/v1/deliveries/{each}{act}", body, publisher=404) for each in (aim.delivery, aim.dead)]

    return {(method, f"/v1/deliveries/{{id}}{act}"): calls}


def _mark(action: MarkAction) -> Callable[[Aim], list[Call]]:
    def calls(aim: Aim) -> list[Call]:
        until = {"until": aim.until} if action is MarkAction.SNOOZE else {}
        bodies: list[Json] = [{"ids": [aim.notification]}, {"all": True, "through": aim.cursor}, {"all": True}]
        return [Call(f"/v1/inbox/{action.value}", body | until, user=200) for body in bodies]

    return calls


CASES: Mapping[tuple[str, str], Callable[[Aim], Sequence[Call]]] = {
    ("POST", "/v1/notifications"): lambda aim: [
        Call(
            "/v1/notifications",
            {"recipients": [aim.user], "category": "own", "title": "the intruder's own"},
            {"Idempotency-Key": aim.idempotency},
            publisher=201,
        ),
        *(
            Call("/v1/notifications", {"recipients": shared, "title": "the intruder's own"}, publisher=201)
            for shared in ({"topic": aim.topic}, {"broadcast": True})
        ),
    ],
    ("POST", "/v1/notifications/batch"): lambda aim: [
        Call(
            "/v1/notifications/batch",
            {
                "notifications": [
                    {"recipients": [aim.user], "title": "the intruder's own"},
                    {"recipients": [aim.user], "title": "the intruder's own", "idempotency_key": aim.idempotency},
                ]
            },
            {"Idempotency-Key": aim.idempotency},
            publisher=200,
        )
    ],
    ("POST", "/v1/events"): lambda aim: [
        Call(
            "/v1/events",
            {
                "event_id": aim.event,
                "event_type": "own",
                "recipient_id": aim.user,
                "data": {"title": "the intruder's own"},
                "idempotency_key": aim.idempotency,
            },
            publisher=201,
        )
    ],
    ("GET", "/v1/notifications/{id}"): lambda aim: [Call(f"/v1/notifications/{aim.notification}", publisher=404)],
    ("DELETE", "/v1/notifications/{id}"): lambda aim: [Call(f"/v1/notifications/{aim.notification}", publisher=404)],
    ("POST", "/v1/schedules"): lambda aim: [
        Call(
            "/v1/schedules",
            {"cron": "0 9 1 1 *", "notification": {"recipients": [aim.user], "title": "the intruder's own"}},
            {"Idempotency-Key": aim.idempotency},
            publisher=201,
        )
    ],
    ("GET", "/v1/schedules"): lambda aim: [
        Call("/v1/schedules?limit=1", publisher=200),
        Call(f"/v1/schedules?after={aim.schedule}", publisher=200),
    ],
    ("POST", "/v1/schedules/preview"): lambda _: [Call("/v1/schedules/preview", {"cron": "0 9 1 1 *"}, publisher=200)],
    ("GET", "/v1/schedules/{id}"): lambda aim: [Call(f"/v1/schedules/{aim.schedule}", publisher=404)],
    ("PATCH", "/v1/schedules/{id}"): lambda aim: [
        Call(f"/v1/schedules/{aim.schedule}", {"name": "own"}, publisher=404)
    ],
    ("DELETE", "/v1/schedules/{id}"): lambda aim: [Call(f"/v1/schedules/{aim.schedule}", publisher=404)],
    ("GET", "/v1/schedules/{id}/next"): lambda aim: [Call(f"/v1/schedules/{aim.schedule}/next", publisher=404)],
    ("PUT", "/v1/schedules/{id}/pause"): lambda aim: [Call(f"/v1/schedules/{aim.schedule}/pause", publisher=404)],
    ("PUT", "/v1/schedules/{id}/resume"): lambda aim: [Call(f"/v1/schedules/{aim.schedule}/resume", publisher=404)],
    ("POST", "/v1/schedules/{id}/run"): lambda aim: [
        Call(f"/v1/schedules/{aim.schedule}/run", None, {"Idempotency-Key": aim.idempotency}, publisher=404)
    ],
    ("GET", "/v1/topics/{topic}/members"): lambda aim: [
        Call(f"/v1/topics/{aim.topic}/members", publisher=200),
        Call(f"/v1/topics/{aim.topic}/members?after={aim.user}", publisher=200),
    ],
    ("GET", "/v1/users/{user}/topics"): lambda aim: [Call(f"/v1/users/{aim.user}/topics", publisher=200, user=200)],
    ("DELETE", "/v1/topics/{topic}/members"): lambda aim: [_members(aim)],
    ("PUT", "/v1/topics/{topic}/members"): lambda aim: [_members(aim)],
    ("GET", "/v1/users/{user}"): lambda aim: [Call(f"/v1/users/{aim.user}", publisher=404)],
    ("PUT", "/v1/users/{user}"): lambda aim: [Call(f"/v1/users/{aim.user}", {"name": "own"}, publisher=201)],
    ("POST", "/v1/users/{user}/devices"): lambda aim: [
        Call(f"/v1/users/{aim.user}/devices", {"token": aim.device_token}, publisher=201, user=201)
    ],
    ("GET", "/v1/users/{user}/devices"): lambda aim: [Call(f"/v1/users/{aim.user}/devices", publisher=200, user=200)],
    ("DELETE", "/v1/users/{user}/devices/{id}"): lambda aim: [
        Call(f"/v1/users/{aim.user}/devices/{aim.device}", publisher=404, user=404)
    ],
    ("GET", "/v1/users/{user}/presence"): lambda aim: [Call(f"/v1/users/{aim.user}/presence", publisher=200)],
    ("GET", "/v1/inbox"): lambda aim: [
        Call("/v1/inbox", user=200),
        Call("/v1/inbox?status=unread&category=of-acme", user=200),
        Call(f"/v1/inbox?after={aim.page}", user=200),
    ],
    ("GET", "/v1/inbox/count"): lambda _: [Call("/v1/inbox/count", user=200)],
    ("GET", "/v1/inbox/{id}"): lambda aim: [Call(f"/v1/inbox/{aim.notification}", user=404)],
    ("PATCH", "/v1/inbox/{id}"): lambda aim: [Call(f"/v1/inbox/{aim.notification}", {"read": True}, user=404)],
    **{("POST", f"/v1/inbox/{action.value}"): _mark(action) for action in MarkAction},
    ("POST", "/v1/tickets"): lambda _: [Call("/v1/tickets", user=201)],
    ("POST", "/v1/presence"): lambda aim: [
        Call("/v1/presence", {"connection": aim.connection, "state": "away"}, user=204)
    ],
    ("GET", "/v1/poll"): lambda aim: [
        Call(f"/v1/poll?cursor={aim.cursor}&connection={aim.connection}&timeout=0&state=away", user=200)
    ],
    ("GET", "/v1/users/{user}/export"): lambda aim: [Call(f"/v1/users/{aim.user}/export", publisher=200)],
    ("GET", "/v1/queues"): lambda _: [Call("/v1/queues", publisher=200)],
    ("GET", "/v1/queues/{channel}"): lambda _: [Call("/v1/queues/email", publisher=200)],
    ("PUT", "/v1/queues/{channel}/pause"): lambda _: [Call("/v1/queues/email/pause", publisher=200)],
    ("PUT", "/v1/queues/{channel}/resume"): lambda _: [Call("/v1/queues/email/resume", publisher=200)],
    ("PUT", "/v1/queues/{channel}/empty"): lambda _: [Call("/v1/queues/email/empty", publisher=200)],
    ("GET", "/v1/deliveries"): lambda aim: [
        Call("/v1/deliveries", publisher=200),
        Call("/v1/deliveries?state=queued&channel=email", publisher=200),
        Call("/v1/deliveries?state=failed", publisher=200),
        Call(f"/v1/deliveries?user={aim.user}&reason={MARK}", publisher=200),
        Call(f"/v1/deliveries?notification={aim.notification}", publisher=200),
        Call(f"/v1/deliveries?user={aim.user}&notification={aim.notification}", publisher=200),
    ],
    **_act("GET", ""),
    **_act("PATCH", ""),
    **_act("POST", "/retry"),
    **_act("POST", "/promote"),
    **_act("POST", "/cancel"),
    ("POST", "/v1/deliveries/replay"): lambda aim: [
        Call("/v1/deliveries/replay", {"user": aim.user}, publisher=200),
        Call("/v1/deliveries/replay", {"notification": aim.notification}, publisher=200),
        Call("/v1/deliveries/replay", publisher=200),
    ],
    ("DELETE", "/v1/users/{user}"): lambda aim: [Call(f"/v1/users/{aim.user}", publisher=204)],
    ("GET", "/metrics"): lambda _: [Call("/metrics")],  # of all tenants together
    ("POST", "/v1/users/{user}/disconnect"): lambda aim: [
        Call(f"/v1/users/{aim.user}/disconnect", publisher=202),
        # Last of all: the intruder's tokens, which do not say when they were issued, are good for nothing after it.
        Call(f"/v1/users/{aim.user}/disconnect", {"revoke": True}, publisher=202, user=401),
    ],
    ("POST", "/v1/tokens/revoke"): lambda aim: [
        Call("/v1/tokens/revoke", {"user": aim.user}, publisher=200, user=401),
        Call("/v1/tokens/revoke", {"all": True}, publisher=200, user=401),
    ],
    # Nobody's in particular. The demo is of the tenant `default`, and open to everybody here.
    ("GET", "/healthz"): lambda _: [_public("/healthz")],
    ("GET", "/readyz"): lambda _: [_public("/readyz")],
    ("GET", "/openapi.json"): lambda _: [_public("/openapi.json")],
    ("GET", "/docs"): lambda _: [_public("/docs")],
    ("GET", "/static"): lambda _: [_public("/static/client.js")],
    ("GET", "/"): lambda _: [_public("/")],
    ("POST", "/demo/session"): lambda _: [_public("/demo/session", json={})],
    ("POST", "/demo/notifications"): lambda aim: [
        _public("/demo/notifications", 201, {"recipients": [aim.user], "title": "of the demo"})
    ],
    ("GET", "/demo/notifications/{id}"): lambda aim: [_public(f"/demo/notifications/{aim.notification}", 404)],
    ("GET", "/demo/mail"): lambda _: [_public("/demo/mail")],
}
"""What to call of each route; those that are listened to are in `LISTENERS`."""

_VOLATILE = frozenset({"id", "ticket", "token", "token_hint", "cursor", "connection"})


@pytest.fixture(params=["sqlite", "postgres and redis"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    names = {"sqlite": ("sqlite_url", None), "postgres and redis": ("postgres_url", "flushed_redis_url")}
    database, redis = names[request.param]
    urls = request.getfixturevalue(database), None if redis is None else request.getfixturevalue(redis)
    async with open_world(*urls, VICTIM, INTRUDER) as opened:
        yield opened


async def _settle_in(world: World) -> Aim:
    """Give the victim one of everything, and return what the intruder has come to know of it."""
    publisher, ada = world.publisher(VICTIM), world.user(VICTIM, "ada")
    key, topic = random_token(), Aim("").topic
    until = rfc3339(world.node.parts.hub.clock.now() + HOUR)
    async with world.http() as client:
        contact = {"email": f"{MARK}@acme.test", "name": MARK}
        assert (await client.put("/v1/users/ada", json=contact, headers=publisher)).status_code == 201
        token = f"{MARK}-{random_token()}"
        device = await client.post("/v1/users/ada/devices", json={"token": token}, headers=publisher)
        for _ in range(2):
            published = await client.post(
                "/v1/notifications", json=_content("ada"), headers=publisher | {"Idempotency-Key": key}
            )
            key, first = random_token(), key
        members = f"/v1/topics/{topic}/members"
        assert (await client.put(members, json={"users": ["ada"]}, headers=publisher)).json() == {"changed": 1}
        for shared in ({"topic": topic}, {"broadcast": True}):
            await client.post("/v1/notifications", json=_content("ada") | {"recipients": shared}, headers=publisher)
        schedule = {"every": "1h", "name": MARK, "notification": _content("ada")}
        made = await client.post("/v1/schedules", json=schedule, headers=publisher)
        page = (await client.get("/v1/inbox?limit=1", headers=ada)).json()
        queued = (await client.get("/v1/deliveries?state=queued", headers=publisher)).json()["data"]
    dead = queued[-1]["id"]
    async with world.node.parts.database.writer() as connection:
        failing = {"state": "failed", "reason": MARK, "finished_at": 0}
        of_victim = (deliveries.c.tenant == VICTIM, deliveries.c.id == UUID(dead))
        await connection.execute(sa.update(deliveries).where(*of_victim).values(failing))
    world.mailbox.add(channel="email", to=f"{MARK}@acme.test", subject=MARK, text=MARK, html=MARK, sent_at=0)
    return Aim(
        user="ada",
        notification=published.json()["id"],
        device=device.json()["id"],
        device_token=token,
        cursor=page["cursor"],
        page=page["next"],
        idempotency=first,
        delivery=queued[0]["id"],
        dead=dead,
        schedule=made.json()["id"],
        topic=topic,
        until=until,
    )


def _content(user: str) -> Json:
    step = {"channel": "email", "after": "1h", "unless": "seen"}
    return {"recipients": [user], "category": "of-acme", "title": MARK, "body": MARK, "fallback": [step]}


def test_every_route_has_a_case(world: World) -> None:
    found = set(_routes(world.node.app.routes))
    streamed = {("WEBSOCKET", "/v1/ws"), ("GET", "/v1/sse"), ("GET", "/v1/poll")}
    assert {path for _, path in streamed} == set(LISTENERS)
    assert found == set(CASES) | streamed


def test_every_table_belongs_to_tenants() -> None:
    assert {table.name for table in metadata.sorted_tables if "tenant" not in table.primary_key.columns} <= {
        "meta",  # which database this is
        "provider_outages",  # providers, which send for all tenants
        "tickets",  # by the hash of a secret; the tenant is what the row is about
        "timers",  # the worker's, never asked for by id
        "wakeups",  # the same
        "workers",  # processes, which work for all tenants
    }


def _routes(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """List methods and paths; HEAD goes with GET, and a mount of files is one route."""
    for route in routes:
        match route:
            case Mount(path=path) if route.routes:
                yield from _routes(route.routes, prefix + path)
            case Mount(path=path):
                yield "GET", prefix + path
            case Route(path=path, methods=methods):
                assert methods, f"{path} takes any method: nobody can say what it does"
                yield from ((method, prefix + path) for method in methods if method != "HEAD")
            case WebSocketRoute(path=path):
                yield "WEBSOCKET", prefix + path
            case _:
                pytest.fail(f"a route of a kind that this test does not know: {route!r}")


async def test_no_call_reaches_into_another_tenant(world: World) -> None:
    known = await _settle_in(world)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(world.http())
        listening = await _listen_everywhere(world, stack, VICTIM, "ada")
        known = Aim(**asdict(known) | {"connection": listening[0].ready["connection"]})
        void = Aim(user="grace", until=known.until)
        async with asyncio.timeout(PATIENCE):
            while (presence := await _presence(world, client))["connections"] < len(listening):
                pass  # presence is told a moment later than `ready`
        rows = await _rows(world)
        assert presence["attention"] == "active"
        for route, calls in CASES.items():
            for aimed, missed in zip(calls(known), calls(void), strict=True):
                for kind in ("publisher", "user", "neighbour", "nobody", "forger"):
                    await _compare(world, client, route, kind, (aimed, known), (missed, void))
        assert await _rows(world) == rows, "something of the victim's was changed"
        assert await _presence(world, client) == presence
        await client.post("/v1/notifications", json=_content("ada"), headers=world.publisher(VICTIM))
        for listener in listening:
            frame = await listener.next()
            assert (frame["type"], frame["item"]["title"]) == ("item", MARK), "the victim heard of the intruder"
            assert frame["counts"] == {"unread": 5, "unseen": 5}


async def _compare(
    world: World, client: httpx2.AsyncClient, route: tuple[str, str], kind: str, *aims: tuple[Call, Aim]
) -> None:
    """Make a call aimed at the victim's things and the same at nobody's; both must be answered alike."""
    answers = []
    for call, aim in aims:
        headers = {**call.headers, **_credentials(world, kind, aim.user)}
        answer = await client.request(route[0], call.url, json=call.json, headers=headers)
        where = f"{route} as {kind}: {answer.status_code} {answer.text[:200]}"
        if kind in {"publisher", "user"}:
            assert answer.status_code == getattr(call, kind), where
        elif kind != "neighbour":
            assert answer.status_code == call.nobody, where
        if not call.public:
            for name, value in asdict(aims[0][1]).items():
                said = value in answer.text and value not in call.url
                # The intruder has a user and a topic of the same names, which may be told.
                assert name in {"user", "topic", "until"} or not said, f"{where} tells the {name}"
        assert MARK not in answer.text, where
        told = {name: answer.headers.get(name) for name in ("content-type", "idempotent-replayed", "etag")}
        answers.append(
            (
                answer.status_code,
                told,
                _plain(answer, {} if call.public else {aim.user: "the user", aim.topic: "the topic"}),
            )
        )
    assert answers[0] == answers[1], f"{route} as {kind} tells what another tenant has"


def _credentials(world: World, kind: str, user: str) -> dict[str, str]:
    match kind:
        case "publisher":
            return world.publisher(INTRUDER)
        case "user":
            return _signed(world, user, INTRUDER)
        case "neighbour":
            return _signed(world, NEIGHBOUR, INTRUDER)
        case "forger":
            return _signed(world, user, VICTIM)
    return {}


def _signed(world: World, user: str, kid: str) -> dict[str, str]:
    """Sign with the intruder's secret, and claim the victim's tenant."""
    secret = world.settings.tenants[INTRUDER].jwt_secret.get_secret_value()
    claims = {"sub": user, "exp": world.node.parts.hub.clock.now() // 1000 + 3600, "tenant": VICTIM, "tid": VICTIM}
    return {"Authorization": f"Bearer {jwt.encode(claims, secret, headers={'kid': kid})}"}


def _plain(answer: httpx2.Response, names: Mapping[str, str]) -> object:
    """Return an answer without what is new in every one, and with what was asked for by one name each."""
    if not answer.headers.get("content-type", "").startswith("application/"):
        return answer.text
    return _plain_value(answer.json(), names)


def _plain_value(value: Any, names: Mapping[str, str]) -> object:
    match value:
        case dict():
            return {
                name: "…"
                if item and (name in _VOLATILE or name.endswith(("_at", "_before")))
                else _plain_value(item, names)
                for name, item in value.items()
            }
        case list():
            return [_plain_value(item, names) for item in value]
        case str() if value in names:
            return names[value]
    return value


async def _rows(world: World) -> dict[str, list[str]]:
    """Return the victim's rows but for the wake-ups, which the node itself puts away."""
    return {name: rows for name, rows in (await world.rows(VICTIM)).items() if name != "wakeups"}


async def _presence(world: World, client: httpx2.AsyncClient) -> Json:
    """Return the victim's presence, as it is shared and connection by connection."""
    answer = await client.get("/v1/users/ada/presence", headers=world.publisher(VICTIM))
    presence: Json = answer.json()
    sessions = [connection.session for connection in world.node.gateway._connections]
    each = {session.connection: session.attention for session in sessions if session.key == (VICTIM, "ada")}
    return each | {name: presence[name] for name in ("attention", "connections")}


async def _listen_everywhere(world: World, stack: AsyncExitStack, tenant: str, user: str) -> list[Listener]:
    """Listen as a user by every transport that holds a connection."""
    listening = []
    for kind in (*LISTENERS["/v1/ws"], *LISTENERS["/v1/sse"]):
        listener = kind(world, world.user(tenant, user), None)
        await listener.open(stack)
        listener.ready = await listener.next()
        assert listener.ready["type"] == "ready"
        listening.append(listener)
    return listening


@pytest.mark.parametrize("kind", [kind for kinds in LISTENERS.values() for kind in kinds])
async def test_no_transport_hears_of_another_tenant(world: World, kind: type[Listener]) -> None:
    known, nobodys = await _settle_in(world), Aim(user="grace").cursor
    async with world.http() as client:
        for tenant, users in ((VICTIM, ["ada"]), (INTRUDER, ["ada", NEIGHBOUR])):
            headers = world.publisher(tenant)
            await client.put("/v1/topics/of-one-name/members", json={"users": users}, headers=headers)
    for user in ("ada", NEIGHBOUR):
        for cursor in (None, known.cursor, nobodys):
            async with AsyncExitStack() as stack:
                listener = kind(world, world.user(INTRUDER, user), cursor)
                await listener.open(stack)
                await _check_greeting(listener, user, cursor)
                await _check_hearing(world, listener, user)


async def _check_greeting(listener: Listener, user: str, cursor: str | None) -> None:
    """See an empty inbox, and that another tenant's cursor is as good as one that nobody was ever given."""
    frames = [await listener.next()]
    while frames[-1]["type"] != "ready":
        frames.append(await listener.next())
    assert [frame["type"] for frame in frames] == (["ready"] if cursor is None else ["resync", "ready"])
    assert frames[-1]["user"] == user
    assert frames[-1]["counts"] == {"unread": 0, "unseen": 0}
    assert cursor is None or frames[0]["reason"] == "unknown_epoch"


async def _check_hearing(world: World, listener: Listener, user: str) -> None:
    """While the victim's life goes on, the next that the intruder hears of is their own item all the same."""
    ada, mine = world.user(VICTIM, "ada"), world.user(INTRUDER, user)
    own = {"recipients": [user], "category": "own", "title": "own"}
    async with world.http() as client:
        for recipients in (["ada"], {"topic": "of-one-name"}, {"broadcast": True}):
            content = _content("ada") | {"recipients": recipients}
            await client.post("/v1/notifications", json=content, headers=world.publisher(VICTIM))
        for action in ("seen", "read", "archive"):
            done = await client.post(f"/v1/inbox/{action}", json={"all": True}, headers=ada)
            assert done.json()["unread_count"] == 0 or action == "seen"
        published = await client.post("/v1/notifications", json=own, headers=world.publisher(INTRUDER))
        frame = await listener.next()
        assert (frame["type"], frame["item"]["id"]) == ("item", published.json()["id"])
        counts = frame.get("counts") or (await listener.next())["counts"]  # a catch-up tells them in `ready`
        assert counts == {"unread": 1, "unseen": 1}
        assert (await client.post("/v1/inbox/archive", json={"all": True}, headers=mine)).json()["changed"] == 1


@pytest.mark.parametrize("kind", LISTENERS["/v1/ws"])
async def test_no_frame_reaches_into_another_tenant(world: World, kind: type[Listener]) -> None:
    known = await _settle_in(world)
    rows = await _rows(world)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(world.http())
        listener: Any = kind(world, world.user(INTRUDER, "ada"), None)
        await listener.open(stack)
        await listener.next()
        for action in MarkAction:
            until = {"until": known.until} if action is MarkAction.SNOOZE else {}
            await listener.send({"type": action.value, "ids": [known.notification], **until})
            await listener.send({"type": action.value, "all": True, "through": known.cursor, **until})
            await listener.send({"type": action.value, "all": True, **until})
        own = {"recipients": ["ada"], "category": "own", "title": "own"}
        await client.post("/v1/notifications", json=own, headers=world.publisher(INTRUDER))
        frame = await listener.next()
        assert frame["type"] == "item", "no change and no error before it: there was nothing to mark"
        assert frame["item"]["title"] == "own"
    assert await _rows(world) == rows
