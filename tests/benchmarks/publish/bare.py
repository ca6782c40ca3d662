"""The ceiling: a Starlette endpoint that reads the body of a publish into the same model, and answers as much."""

from __future__ import annotations

import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.core import wire

_DECODER = msgspec.json.Decoder(wire.PublishIn)
_ANSWER = b'{"id":"0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a90","recipients":1,"deliveries":0}'


async def publish(request: Request) -> Response:
    _DECODER.decode(await request.body())
    return Response(_ANSWER, 201, media_type="application/json")


async def ready(_: Request) -> Response:
    return Response(b"ready")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/v1/notifications", publish, methods=["POST"]), Route("/", ready)])
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
