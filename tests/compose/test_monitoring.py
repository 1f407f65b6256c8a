"""Dashboard and alerts ask for what dispatchers really tell: every name and every label."""

import json
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml

from promptmill.producer.metrics.table import METRICS
from tests.services.compose import ROOT, resolved

FOLDER = ROOT / "deploy" / "monitoring"
DASHBOARD = FOLDER / "grafana" / "promptmill.json"
ADDED_BY_PROMETHEUS = {"instance", "job", "__name__"}
LABELS = {each.shown_name: set(each.labels) for each in METRICS if each.kind != "histogram"} | {
    f"{each.name}_{part}": {*each.labels, *(["le"] if part == "bucket" else [])}
    for each in METRICS
    if each.kind == "histogram"
    for part in ("bucket", "sum", "count")
}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> dict[str, str]:
    """Name every query: the title of its panel and its letter, or its alert."""
    shown = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    }
    return shown | {rule["alert"]: rule["expr"] for rule in rules()}


def parsed(expression: str) -> Any:
    for variable in ("$__rate_interval", "$__range"):
        expression = expression.replace(variable, "5m")
    return promql.parse(expression)


def nodes(node: Any) -> Iterator[Any]:
    """Walk a parsed expression: each of its nodes once."""
    yield node
    for name in ("expr", "lhs", "rhs", "vs", "vector_selector", "param"):
        below = getattr(node, name, None)
        if below is not None:
            yield from nodes(below)
    for argument in getattr(node, "args", None) or []:
        yield from nodes(argument)


def is_a(node: Any, kind: str) -> bool:
    return type(node).__name__ == kind


@pytest.mark.parametrize("query", expressions())
def test_a_query_asks_for_metrics_and_labels_that_there_are(query: str) -> None:
    selectors = [
        each
        for each in nodes(parsed(expressions()[query]))
        if type(each).__name__ == "VectorSelector"
    ]
    assert selectors
    for selector in selectors:
        labels = LABELS[selector.name]
        asked = {matcher.name for matcher in selector.matchers.matchers}
        assert asked <= labels | ADDED_BY_PROMETHEUS, (selector.name, asked)


@pytest.mark.parametrize("query", expressions())
def test_a_query_groups_by_labels_that_its_metrics_have(query: str) -> None:
    for each in nodes(parsed(expressions()[query])):
        if is_a(each, "AggregateExpr") and each.modifier is not None:
            below = [below for below in nodes(each) if is_a(below, "VectorSelector")]
            assert all(set(each.modifier.labels) <= LABELS[selector.name] for selector in below), (
                query
            )


def test_an_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_every_metric_of_a_batch_or_a_call_is_on_the_dashboard_or_in_an_alert() -> None:
    text = " ".join(expressions().values())
    unseen = {each.shown_name for each in METRICS if each.name not in text}
    assert unseen <= {
        "promptmill_limit_configured", "promptmill_limit_told", "promptmill_limit_level",
        "promptmill_limit_used_today", "promptmill_limit_permits_per_second",
        "promptmill_limit_queued_seconds", "promptmill_unknown_attempts",
        "promptmill_unpriced_answers_total", "llm_requests_total", "promptmill_spool_files",
    }  # fmt: skip


def test_the_panels_lie_side_by_side() -> None:
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in dashboard()["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_prometheus_asks_where_the_dispatchers_serve() -> None:
    services = resolved()["services"]
    jobs = {
        job["job_name"]: job
        for job in yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    }
    (found,) = jobs["promptmill"]["dns_sd_configs"]
    assert (found["names"], str(found["port"])) == (
        ["dispatch"],
        services["dispatch"]["environment"]["PROMPTMILL_METRICS_PORT"],
    )
    assert "inside" in services["prometheus"]["networks"]
    (source,) = yaml.safe_load((FOLDER / "grafana" / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in dashboard()["panels"]} == {source["uid"]}
