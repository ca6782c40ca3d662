"""`docs/fallback.md` names tests and alerts that exist. (`test_transitions.py` compares its picture of the states.)"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "fallback.md").read_text(encoding="utf-8")


def test_every_test_that_it_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= there
    assert all((ROOT / path).exists() for path in re.findall(r"`(tests/[\w/.]+)`", PAGE))


def test_every_row_about_a_fault_names_a_test() -> None:
    table = PAGE.partition("## When something fails")[2].partition("\n\n`make soak`")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 20
    assert [row for row in rows if "`test" not in row] == []


def test_it_says_of_every_alert_what_to_look_at() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus-rules.yml").read_text(encoding="utf-8"))["groups"]
    assert set(re.findall(r"^\| `(Bellwire\w+)`", PAGE, re.MULTILINE)) == {
        rule["alert"] for group in groups for rule in group["rules"]
    }
