"""Identifiers are all different, in order of time, and of the form that RFC 9562 gives version 7."""

from __future__ import annotations

import os
from uuid import RFC_4122

from hub.core.ids import uuid7

NOW = 1_700_000_000_123


def test_version_7_with_its_time() -> None:
    identifier = uuid7(NOW)
    assert (identifier.version, identifier.variant) == (7, RFC_4122)
    assert identifier.int >> 80 == NOW


def test_a_thousand_of_one_millisecond_differ_in_every_random_bit() -> None:
    made = {uuid7(NOW).int for _ in range(1_000)}
    assert len(made) == 1_000
    ever_set = ever_clear = 0
    for identifier in made:
        ever_set |= identifier
        ever_clear |= ~identifier
    random = (0xFFF << 64) | ((1 << 62) - 1)
    assert ever_set & random == random
    assert ever_clear & random == random


def test_a_forked_process_makes_others() -> None:
    uuid7(NOW)  # there is something left that both could take
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, uuid7(NOW).bytes)
        os._exit(0)
    os.close(writing)
    mine = uuid7(NOW)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        theirs = pipe.read()
    assert len(theirs) == 16
    assert theirs != mine.bytes
