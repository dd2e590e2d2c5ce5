"""Alerts, dashboard and the metrics table ask for metrics and labels that exist, and every alert has a runbook."""

import ast
import functools
import json
import re
from collections.abc import Iterator
from typing import Any, TypeGuard

import pytest
import yaml

from tests.manifests import _rendered

DASHBOARD = _rendered.MANIFESTS / "monitoring" / "dashboard.json"
RUNBOOKS = _rendered.ROOT / "docs" / "runbooks.md"
RUNNING = _rendered.ROOT / "docs" / "running.md"
SCRAPED = frozenset({"job", "instance", "pod", "namespace"})
FOREIGN = {
    "up": SCRAPED,
    "apiserver_admission_webhook_fail_open_count": SCRAPED | {"name", "type"},
    "apiserver_admission_webhook_rejection_count": SCRAPED
    | {"name", "type", "operation", "error_type", "rejection_code"},
    "apiserver_admission_webhook_admission_duration_seconds_bucket": SCRAPED
    | {"name", "type", "operation", "rejected", "le"},
}
"""Metrics of Prometheus itself and of the API server."""
_SUFFIXES = {"Counter": ("_total",), "Histogram": ("_bucket", "_sum", "_count"), "Gauge": ("",)}
_SELECTED = re.compile(r"\b([a-z_]+)\s*(?:\{|\[|\))")
_FUNCTIONS = {"by", "rate", "sum", "min", "max", "increase", "absent", "abs", "histogram_quantile", "and", "or"}


@functools.cache
def families() -> dict[str, tuple[str, ...]]:
    """Return the metric families of the source by the name that is scraped, with what is appended to it."""
    found: dict[str, tuple[str, ...]] = {}
    for path in (_rendered.ROOT / "webhook").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not call.args or not isinstance(call.args[0], ast.Constant):
                continue
            name = call.args[0].value
            made_by = ast.unparse(call.func).rpartition(".")[2].removesuffix("MetricFamily")
            if isinstance(name, str) and name.startswith("podgate_") and made_by in _SUFFIXES:
                found[name] = _SUFFIXES[made_by]
    return found


@functools.cache
def labels() -> dict[str, frozenset[str]]:
    """Return the labels of each series of the source, those that a scrape adds included."""
    found: dict[str, frozenset[str]] = {}
    for path in (_rendered.ROOT / "webhook").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            name = call.args[0].value if isinstance(call, ast.Call) and call.args and _is_text(call.args[0]) else ""
            if not isinstance(call, ast.Call) or name not in families():
                continue
            given = [each.value for each in call.keywords if each.arg == "labels"] + call.args[2:3]
            listed = {
                item for each in given if isinstance(each, ast.Tuple | ast.List) for item in ast.literal_eval(each)
            }
            for suffix in families()[name]:
                more = {"le"} if suffix == "_bucket" else set[str]()
                found[name + suffix] = found.get(name + suffix, SCRAPED) | listed | more
    return found


def _is_text(node: ast.expr) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _grouped(expression: str) -> Iterator[tuple[set[str], str]]:
    """Yield the labels of each `by`, and what is grouped by them."""
    for found in re.finditer(r"\bby \(([^)]*)\)\s*\(", expression):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(expression[end], 0)
            end += 1
        yield set(re.findall(r"\w+", found[1])), expression[found.end() : end]


def _expressions() -> Iterator[Any]:
    for rule in _rules():
        yield pytest.param(rule["expr"], id=rule["alert"])
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")


def _rules() -> list[dict[str, Any]]:
    manifest = yaml.safe_load((_rendered.MANIFESTS / "monitoring" / "alerts.yaml").read_text())
    return [rule for group in manifest["spec"]["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("expression", list(_expressions()))
def test_an_expression_asks_for_metrics_that_exist(expression: str) -> None:
    exist = {name + suffix for name, suffixes in families().items() for suffix in suffixes} | FOREIGN.keys()
    bare = re.sub(r'"[^"]*"|\b(by|without) \([^)]*\)', '""', expression)
    asked = set(_SELECTED.findall(bare)) - _FUNCTIONS
    assert asked
    assert asked <= exist


@pytest.mark.parametrize("expression", list(_expressions()))
def test_an_expression_asks_for_labels_that_exist(expression: str) -> None:
    exist = labels() | FOREIGN
    bare = re.sub(r'"[^"]*"', '""', expression)
    for metric, selected in re.findall(r"\b([a-z_]+)\{([^}]*)\}", bare):
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selected)) <= exist[metric], metric
    for by, what in _grouped(bare):
        asked = [exist[each] for each in set(_SELECTED.findall(what)) if each in exist]
        assert asked
        assert all(by <= each for each in asked)


@pytest.mark.parametrize("rule", [pytest.param(each, id=each["alert"]) for each in _rules()])
def test_a_summary_names_labels_that_the_alert_has(rule: dict[str, Any]) -> None:
    bare = re.sub(r'"[^"]*"', '""', rule["expr"])
    grouped = [by for by, _ in _grouped(bare)]
    has = (
        set.intersection(*grouped)
        if grouped
        else set.intersection(
            *(set(each) for name, each in (labels() | FOREIGN).items() if name in _SELECTED.findall(bare))
        )
    )
    assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= has


@pytest.mark.parametrize("expression", list(_expressions()))
def test_an_expression_is_balanced(expression: str) -> None:
    bare = re.sub(r'"[^"]*"', "", expression)
    open_brackets: list[str] = []
    for character in bare:
        if character in "([{":
            open_brackets.append(character)
        elif character in ")]}":
            assert open_brackets
            assert open_brackets.pop() + character in ("()", "[]", "{}")
    assert open_brackets == []


def test_the_table_of_metrics_is_complete_and_true() -> None:
    table = set(re.findall(r"^\| `(podgate_[a-z_]+)", RUNNING.read_text(), re.MULTILINE))
    # A histogram is one family to a reader; its name has no suffix.
    exist = {name + ("" if len(suffixes) > 1 else suffixes[0]) for name, suffixes in families().items()}
    assert table == exist


def test_every_alert_says_what_is_wrong_and_where_the_cure_is() -> None:
    headings = {f"#{line[3:].strip().lower()}" for line in RUNBOOKS.read_text().splitlines() if line.startswith("## ")}
    for rule in _rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/runbooks.md"
        assert f"#{anchor}" in headings, rule["alert"]


def test_names_of_alerts_are_unique_and_every_runbook_has_one() -> None:
    names = [rule["alert"] for rule in _rules()]
    assert len(names) == len(set(names))
    runbooks = {rule["annotations"]["runbook"].partition("#")[2] for rule in _rules()}
    headings = re.findall(r"^## (Podgate[A-Z]\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert {heading.lower() for heading in headings} == runbooks


def test_the_monitor_scrapes_a_port_of_the_service() -> None:
    manifests = _rendered.rendered("monitoring")
    (endpoint,) = _rendered.of_kind(manifests, "ServiceMonitor")["spec"]["endpoints"]
    service = _rendered.of_kind(_rendered.rendered("base"), "Service")
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    selector = _rendered.of_kind(manifests, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert selector.items() <= service["metadata"]["labels"].items()


def test_panels_have_their_own_ids_and_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_dashboard_is_found_by_grafana() -> None:
    manifest = _rendered.of_kind(_rendered.rendered("monitoring"), "ConfigMap", "podgate-dashboard")
    assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(manifest["data"]["podgate.json"])["uid"] == "podgate"
