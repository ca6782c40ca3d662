"""The client's types are right, declared, and small enough to be worth it."""

from __future__ import annotations

from pathlib import Path

from tests.support.web_tools import TYPES, bundled_size, declare


def test_the_types_hold_and_are_declared_as_they_are(tmp_path: Path) -> None:
    declare(tmp_path)
    made, kept = ({path.name: path.read_text() for path in folder.glob("*.d.ts")} for folder in (tmp_path, TYPES))
    assert kept == made, "python -m tests.support.web_tools writes them anew"


def test_the_client_is_small() -> None:
    size = bundled_size("client.js", "attention.js")
    print(f"client.js with attention.js: {size} bytes minified and gzipped")
    assert size <= 9_000
