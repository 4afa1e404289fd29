"""The alerts and the dashboard: they name the metrics and labels that our own file has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from batch_resend.model import Outcome
from batch_resend.monitoring.metrics import Standing
from batch_resend.monitoring.textfile import Textfile
from tests.support.ends import summary
from tests.support.examples import EXAMPLES, printed, tool
from tests.support.markdown import PAGES

ALERTS = EXAMPLES / "prometheus" / "alerts.yml"
TESTS = EXAMPLES / "prometheus" / "alerts_test.yml"
DASHBOARD = json.loads((EXAMPLES / "grafana" / "dashboard.json").read_text("utf-8"))
#: What a server adds to each metric.
SCRAPED = {"instance", "job"}


def written() -> dict[str, set[str]]:
    """The metrics in our file at the end of a run, each with its labels."""
    text = Textfile("resend.prom").text(Standing.at_the_end(summary()))
    return {
        family.name: {label for sample in family.samples for label in sample.labels}
        for family in text_string_to_metric_families(text)
    }


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> dict[str, str]:
    """Return each expression, by the alert or panel that has it."""
    result = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            result[f"{panel['title']} {target['refId']}"] = target["expr"]
    return result


def selectors(expression: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each metric that an expression names, and what it demands of labels."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression.name or "", {one.name: one.value for one in expression.matchers.matchers}
        return
    inner = [getattr(expression, part, None) for part in ("lhs", "rhs", "expr", "vector_selector")]
    for part in [*inner, *getattr(expression, "args", [])]:
        if part is not None:
            yield from selectors(part)


def test_parser_reads_our_file_with_all_its_metrics() -> None:
    """Those that the page promises, and no other."""
    page = PAGES["batch_resend/monitoring/README.md"]
    rows = re.findall(r"^\| `(batch_resend_\w+)`", page, re.MULTILINE)
    assert set(written()) == set(rows)


@pytest.mark.parametrize("where", expressions())
def test_expression_names_metrics_and_labels_that_exist(where: str) -> None:
    metrics = written()
    named = list(selectors(promql_parser.parse(expressions()[where])))
    assert named
    for metric, demands in named:
        assert demands.keys() <= metrics[metric]
        if "outcome" in demands:
            assert set(demands["outcome"].split("|")) <= {str(outcome) for outcome in Outcome}


def test_every_metric_is_in_a_panel() -> None:
    panels = " ".join(t["expr"] for panel in DASHBOARD["panels"] for t in panel["targets"])
    assert {metric for metric in written() if metric not in panels} == set()


def test_texts_name_labels_that_exist() -> None:
    labels = SCRAPED | set().union(*written().values())
    texts = ALERTS.read_text("utf-8").replace("$labels.", "") + json.dumps(DASHBOARD)
    named = set(re.findall(r"{{ ?([a-z_]+) ?}}", texts))
    assert named == {"instance", "client_id", "outcome"}
    assert named <= labels


def test_variables_of_the_dashboard_are_used_and_defined() -> None:
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    panels = json.dumps(DASHBOARD["panels"])
    assert set(re.findall(r"\$\{?([a-z_]+)\b", panels)) == defined
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.findall(r"label_values\((\w+), (\w+)\)", variable["definition"])[0]
            assert label in written()[metric]


def test_panels_neither_overlap_nor_leave_the_page() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_each_alert_is_tested_both_ways() -> None:
    """That it fires and that it does not. promtool, which runs that, is not everywhere."""
    asked = [
        (case["alertname"], bool(case.get("exp_alerts")))
        for test in yaml.safe_load(TESTS.read_text("utf-8"))["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(asked) == {(rule["alert"], fires) for rule in rules() for fires in (True, False)}


def test_promtool_finds_that_the_alerts_do_what_they_should() -> None:
    promtool = tool("promtool")
    for command in (("check", "rules", ALERTS), ("test", "rules", TESTS)):
        code_, output = printed(promtool, *command)
        assert code_ == 0, output
