"""An answer's head and body leave together; nothing is held back for longer than a turn of the loop."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from hub.gateway.joined import JoinedWrites


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def joined(wire: Wire) -> JoinedWrites:
    return JoinedWrites(cast(asyncio.Transport, wire), asyncio.get_running_loop())


async def test_head_and_body_are_one_write(wire: Wire, joined: JoinedWrites) -> None:
    joined.write(b"head ")
    joined.write(b"body")
    assert wire.written == [b"head body"]
    await asyncio.sleep(0)
    assert wire.written == [b"head body"]


async def test_what_is_written_alone_leaves_in_this_turn_of_the_loop(wire: Wire, joined: JoinedWrites) -> None:
    joined.write(b"head ")
    assert wire.written == []
    await asyncio.sleep(0)
    assert wire.written == [b"head "]
    joined.write(b"first ")
    await asyncio.sleep(0)
    joined.write(b"second ")
    joined.write(b"third")
    assert b"".join(wire.written) == b"head first second third"


async def test_an_empty_body_lets_the_head_go(wire: Wire, joined: JoinedWrites) -> None:
    joined.write(b"head")
    joined.write(b"")
    assert wire.written == [b"head"]


async def test_whoever_closes_or_takes_over_has_it_written_first(wire: Wire, joined: JoinedWrites) -> None:
    joined.write(b"head")
    joined.flush()
    assert wire.written == [b"head"]
    joined.write(b"rest")
    joined.close()
    assert wire.written == [b"head", b"rest"]
    assert joined.is_closing()
    await asyncio.sleep(0)  # nothing is written after that: `Wire` would refuse it
