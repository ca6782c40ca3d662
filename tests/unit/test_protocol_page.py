"""`docs/protocol.md` shows frames that exist, and lists every close code."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from hub.core import wire
from hub.core.frames import CloseCode, decode

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
SERVER_FRAMES = re.findall(r"^### `(\w+)`\n+```json\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
CLIENT_FRAMES = re.findall(r"^\| `(\{\"type\".*?\})`", PAGE, re.MULTILINE)


def test_every_server_frame_has_an_example() -> None:
    documented = {name for name, _ in SERVER_FRAMES}
    assert documented == {
        "ready",
        "item",
        "change",
        "resync",
        "ping",
        "reauth",
        "reauthenticated",
        "reconnect",
        "error",
    }


@pytest.mark.parametrize(("name", "example"), SERVER_FRAMES, ids=[name for name, _ in SERVER_FRAMES])
def test_server_examples_are_frames(name: str, example: str) -> None:
    frame = msgspec.json.decode(example, type=wire.ServerFrame)
    given = msgspec.json.decode(example)
    assert given["type"] == name
    assert msgspec.json.decode(msgspec.json.encode(frame)) == given, "nothing is left out, nothing is made up"


@pytest.mark.parametrize("example", CLIENT_FRAMES)
def test_client_examples_are_frames(example: str) -> None:
    decode(example.replace("[…]", "[]"))


def test_client_examples_were_found() -> None:
    assert len(CLIENT_FRAMES) >= 7
    decode(re.findall(r"```json\n(\{\"type\": \"connect\".*?)```", PAGE, re.DOTALL)[0])


def test_every_close_code_is_listed() -> None:
    assert {int(code) for code in re.findall(r"^\| (4\d{3}) \|", PAGE, re.MULTILINE)} == set(CloseCode)
