"""What comes with the bell is what the bell is: size, types, manifest, guide."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.support.widget_package import GUIDE, MANIFEST, STATIC, TYPES, analyze, declare, filled, run_script

MOST_BYTES = 15_000
"""What a page may load before its first notification is on the badge."""

WRITE = "python -m tests.support.widget_package writes it anew"


def test_a_page_with_a_bell_loads_little() -> None:
    sizes = json.loads(run_script("size.js", STATIC))
    print(f"minified and gzipped: {sizes}")
    assert sizes["client"] <= MOST_BYTES / 2 + 500
    assert sizes["page"] <= MOST_BYTES
    assert sizes["opened"] <= 1.2 * MOST_BYTES
    assert sizes["all"] <= 1.8 * MOST_BYTES


def test_the_types_hold_and_are_declared_as_they_are(tmp_path: Path) -> None:
    declare(tmp_path)
    made, kept = (
        {path.relative_to(folder): path.read_text() for path in folder.rglob("*.d.ts")} for folder in (tmp_path, TYPES)
    )
    assert kept == made, WRITE


def test_the_manifest_is_that_of_the_class() -> None:
    assert MANIFEST.read_text() == analyze(), WRITE


def test_the_guides_tables_are_the_manifests() -> None:
    assert GUIDE.read_text() == filled(GUIDE.read_text(), MANIFEST.read_text()), WRITE


def test_the_manifest_names_all_that_there_is() -> None:
    (bell,) = json.loads(MANIFEST.read_text())["modules"][0]["declarations"]
    sources = "".join(path.read_text() for path in [STATIC / "notification-bell.js", *(STATIC / "bell").glob("*.js")])
    parts = set(re.findall(r"part: '([\w-]+)'", sources))
    slots = set(re.findall(r"'slot', \{ name: '([\w-]+)'", sources))
    properties = set(re.findall(r"var\((--bell-[\w-]+)", sources))
    assert {part["name"] for part in bell["cssParts"]} == parts
    assert {slot["name"] for slot in bell["slots"]} == slots
    assert {one["name"] for one in bell["cssProperties"]} == properties


def test_nothing_is_loaded_from_elsewhere_and_nothing_parses_markup() -> None:
    files = [
        path for path in STATIC.rglob("*.js") if not path.name.startswith(("docs", "demo")) and "demo" not in path.parts
    ]
    for path in files:
        text = path.read_text()
        assert not re.search(r"(import|from)\s*\(?['\"](?!\.)", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            path
        )
