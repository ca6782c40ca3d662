"""deploy/prometheus-rules.yml: that it is what Prometheus reads, and asks for metrics that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fallback.breaker_metrics import BreakerMetrics
from fallback.metrics import WorkerMetrics
from fallback.registry import ProviderRegistry
from fallback.routes import Routes
from hub.core.model import Channel, Priority
from hub.core.model.queues import Gauges
from tests.support.clock import ManualClock

RULES = Path(__file__).parents[2] / "deploy" / "prometheus-rules.yml"
OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
WORDS = {"max", "sum", "by", "rate", "increase", "delta", "absent", "channel", "priority", "provider", "outcome"}
DURATION = re.compile(r"[0-9]+[smhd]")


def gauges() -> Gauges:
    lane = {(Channel.EMAIL, Priority.NORMAL): 1}
    channel = {Channel.EMAIL: 1}
    return Gauges(lane, lane, lane, channel, channel, channel, channel, 1.0, 1)


def shown() -> set[str]:
    metrics = WorkerMetrics(ManualClock())
    metrics.show(gauges())
    breakers = BreakerMetrics(Routes(ProviderRegistry({}), ManualClock()))
    names = set()
    for family in [*metrics.collect(), *breakers.collect()]:
        names |= {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
    return names


def test_groups_have_names_and_rules() -> None:
    assert len({group["name"] for group in GROUPS}) == len(GROUPS)
    for group in GROUPS:
        assert set(group) == {"name", "rules"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_complete_and_about_metrics_that_there_are(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    assert DURATION.fullmatch(rule.get("for", "0s"))
    expression = rule["expr"]
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)
    bare = re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)
    used = set(re.findall(r"[a-z_]\w*", re.sub(r"[0-9]+[smhd]\b", "", bare)))
    metrics = {word for word in used if word.startswith("bellwire_")}
    assert metrics
    assert metrics <= shown()
    assert used - metrics <= WORDS
    labels = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    kept = {label for by in re.findall(r"by \(([^)]*)\)", expression) for label in re.findall(r"\w+", by)}
    assert labels <= kept


def test_every_metric_is_documented() -> None:
    page = OPERATING.read_text(encoding="utf-8")
    assert {name for name in shown() if name.removeprefix("bellwire_") not in page} <= {
        *(name.removesuffix("_total") for name in shown() if name.endswith("_total")),
        "bellwire_database_oldest_snapshot_transactions",  # told in one line with the seconds
    }


def test_the_oldest_snapshot_is_watched() -> None:
    assert "bellwire_database_oldest_snapshot_seconds" in ALERTS["BellwireOldSnapshot"]["expr"]
