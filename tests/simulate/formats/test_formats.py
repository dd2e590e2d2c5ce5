"""Reports in SARIF, JUnit and Markdown: valid by the formats' own schemas, complete, stable, and safe to show."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import xmlschema
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webhook.simulate.formats import (
    WRITERS,
    Monthly,
    ResultFinding,
    ResultItem,
    RunReport,
    UnreadInput,
    junit,
    markdown,
    sarif,
)
from webhook.simulate.formats.result import VERDICTS, split_origin

DATA = Path(__file__).parents[2] / "data" / "formats"
SARIF = jsonschema.Draft4Validator(
    json.loads((DATA / "sarif-schema-2.1.0.json").read_text()), format_checker=jsonschema.FormatChecker()
)
JUNIT = xmlschema.XMLSchema(DATA / "junit.xsd")

CEILING = ResultFinding(
    "team", "costCeiling", "podMonthly", "error", "container 'app' is dear", "lower requests.cpu", ("spec.containers",)
)
WARNING = ResultFinding("team", "costLabels", "missing", "warning", "label cost-center is missing", "set it")
NOTICE = ResultFinding("team", "rightSizing", "hpaManaged", "note", "cpu is left as written")
REFUSED = ResultItem(
    "Deployment",
    "team-a",
    "shop",
    "refused",
    (CEILING, WARNING, NOTICE),
    monthly=Monthly(Decimal("1200.5"), Decimal(900)),
    file="chart/web app.yaml",
    line=12,
)
PASSED = ResultItem("Pod", "team-a", "worker", monthly=Monthly(Decimal(10), Decimal(10)), file="pod.yaml", line=1)
LEFT = ResultItem(
    "ConfigMap", "team-a", "settings", "not judged", reason="ConfigMap is not judged", file="pod.yaml", line=9
)
CHANGED = ResultItem(
    "Pod", "b", "live", "changed", changes="app requests.cpu=10m", monthly=Monthly(Decimal(3), Decimal(1))
)
UNREAD = UnreadInput("broken.yaml:3", "is no YAML; mend it")
REPORT = RunReport(
    "podgate review",
    "USD",
    (REFUSED, PASSED, LEFT, CHANGED),
    (UNREAD,),
    version="1.2.3",
    when=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
)


def run_of(report: RunReport) -> dict[str, Any]:
    log = json.loads(sarif(report))
    SARIF.validate(log)
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def suites_of(report: RunReport) -> list[ET.Element]:
    text = junit(report)
    JUNIT.validate(text)
    return list(ET.fromstring(text))  # noqa: S314  our own output


# --- all formats ------------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=30)
TOLDS = st.builds(
    ResultFinding,
    policy=TEXT,
    guardrail=st.sampled_from(["podSecurity", "costCeiling", "budget", "rightSizing"]),
    rule=st.sampled_from(["", "podMonthly", "fault"]),
    weight=st.sampled_from(["error", "warning", "note"]),
    text=TEXT,
    cure=TEXT,
    paths=st.tuples(TEXT),
)
AMOUNTS = st.decimals(0, 10**9, places=6)
ITEMS = st.builds(
    ResultItem,
    kind=TEXT,
    namespace=TEXT,
    name=TEXT,
    verdict=st.sampled_from(VERDICTS),
    told=st.lists(TOLDS, max_size=2).map(tuple),
    changes=TEXT,
    monthly=st.none() | st.builds(Monthly, AMOUNTS, AMOUNTS),
    counted=st.booleans(),
    file=TEXT,
    line=st.integers(0, 10**6),
    reason=TEXT,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(ITEMS, max_size=4), st.lists(st.builds(UnreadInput, TEXT, TEXT), max_size=2))
@example([ResultItem("Pod", "", "a", "passed", file="\n")], [])
def test_every_report_is_valid_whatever_stands_in_it(items: list[ResultItem], unread: list[UnreadInput]) -> None:
    report = RunReport("podgate review", "USD", items, unread)
    run_of(report)
    suites_of(report)
    assert markdown(report).startswith("### podgate review\n")


def test_an_invalid_report_would_be_noticed() -> None:
    with pytest.raises(jsonschema.ValidationError):
        SARIF.validate({"version": "2.1.0", "runs": [{"tool": {}}]})
    with pytest.raises(xmlschema.XMLSchemaException):
        JUNIT.validate("<testsuites><testsuite/></testsuites>")


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_report_is_valid_and_ends_with_a_line_break(name: str) -> None:
    text = WRITERS[name](RunReport("podgate review", "USD"))
    assert text.endswith("\n")
    run_of(RunReport("podgate review", "USD"))
    suites_of(RunReport("podgate review", "USD"))


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_names_what_was_not_judged_with_its_reason(name: str) -> None:
    text = WRITERS[name](REPORT)
    assert "ConfigMap is not judged" in text
    assert "broken.yaml:3" in text
    assert "mend it" in text


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_tells_the_cost_of_each_workload_and_of_all(name: str) -> None:
    text = WRITERS[name](REPORT)
    assert "1,200.50" in text or "1200.50" in text
    assert "1,213.50" in text or "1213.50" in text


# --- SARIF ------------------------------------------------------------------------------------------------------------


def test_a_finding_stands_at_the_line_of_its_object() -> None:
    result = run_of(REPORT)["results"][0]
    physical = result["locations"][0]["physicalLocation"]
    assert physical == {
        "artifactLocation": {"uri": "chart/web%20app.yaml", "uriBaseId": "SRCROOT"},
        "region": {"startLine": 12},
    }
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "team-a/Deployment/shop"
    assert [item["level"] for item in run_of(REPORT)["results"]] == ["error", "warning", "note"]


def test_an_absolute_path_is_a_file_uri_and_a_cluster_object_has_no_file() -> None:
    absolute = REFUSED._replace(file="/srv/app.yaml")
    live = REFUSED._replace(file="", line=0)
    results = run_of(REPORT._replace(items=(absolute, live)))["results"]
    assert results[0]["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///srv/app.yaml"}
    assert "physicalLocation" not in results[3]["locations"][0]


def test_every_rule_has_the_manual_of_its_guardrail_as_help() -> None:
    rules = {rule["id"]: rule for rule in run_of(REPORT)["tool"]["driver"]["rules"]}
    assert list(rules) == ["costCeiling/podMonthly", "costLabels/missing", "rightSizing/hpaManaged"]
    assert "exactly at it is within" in rules["costCeiling/podMonthly"]["help"]["markdown"]
    assert rules["costLabels/missing"]["shortDescription"]["text"].startswith("Every pod carries the labels")


def test_each_result_points_to_its_rule() -> None:
    run = run_of(REPORT)
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def fingerprints(*items: ResultItem) -> list[str]:
    return [
        item["partialFingerprints"]["podgateFinding/v1"] for item in run_of(REPORT._replace(items=items))["results"]
    ]


def test_a_fingerprint_outlives_lines_amounts_and_wording() -> None:
    moved = REFUSED._replace(
        line=99, file="other.yaml", monthly=None, told=(CEILING._replace(text="other words", cure=""),)
    )
    assert fingerprints(moved) == fingerprints(REFUSED)[:1]


def test_fingerprints_of_different_findings_differ() -> None:
    twice = REFUSED._replace(told=(CEILING, CEILING))
    other = REFUSED._replace(name="other")
    found = fingerprints(twice, other)
    assert len(set(found)) == len(found) == 5


def test_what_could_not_be_read_makes_the_execution_unsuccessful() -> None:
    assert run_of(REPORT)["invocations"][0]["executionSuccessful"] is False
    assert run_of(REPORT._replace(unread=()))["invocations"][0]["executionSuccessful"] is True


def test_the_run_tells_the_cost_and_its_difference() -> None:
    properties = run_of(REPORT)["properties"]
    assert properties["monthlyBefore"] == "1213.50"
    assert properties["monthlyAfter"] == "911.00"
    assert properties["monthlyDelta"] == "-302.50"
    assert [item["monthlyDelta"] for item in properties["workloads"]] == ["-300.50", "0.00", "-2.00"]


def test_a_pod_beside_its_workload_is_not_counted_twice() -> None:
    report = REPORT._replace(items=(REFUSED, PASSED._replace(counted=False)))
    assert report.total.before == Decimal("1200.5")


# --- JUnit ------------------------------------------------------------------------------------------------------------


def test_a_refused_object_fails_a_skipped_one_is_skipped_an_unread_one_is_an_error() -> None:
    suites = suites_of(REPORT)
    assert [suite.get("name") for suite in suites] == ["chart/web app.yaml", "pod.yaml", "b", "unreadable input"]
    assert [
        (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) for suite in suites
    ] == [
        ("1", "1", "0", "0"),
        ("2", "0", "0", "1"),
        ("1", "0", "0", "0"),
        ("1", "0", "1", "0"),
    ]
    failure = suites[0].find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "costCeiling"
    assert "to fix: lower requests.cpu" in (failure.text or "")
    assert "chart/web app.yaml:12" in (failure.text or "")


def test_what_is_only_said_stands_in_the_output() -> None:
    output = suites_of(REPORT)[0].findtext("system-out") or ""
    assert "label cost-center is missing; to fix: set it" in output
    assert "is dear" not in output


# --- Markdown ---------------------------------------------------------------------------------------------------------


def test_the_table_begins_with_what_is_refused() -> None:
    rows = [line for line in markdown(REPORT._replace(items=(CHANGED, REFUSED))).splitlines() if line.startswith("| ")]
    assert rows[1].startswith("| ❌ refused | Deployment team-a/shop")
    assert "$1,200.50 -&gt; $900.00 (-$300.50)" in rows[1]
    assert "app requests.cpu=10m" in rows[2]


def test_nothing_that_an_author_wrote_becomes_markup() -> None:
    nasty = REFUSED._replace(name="x | y <img src=x> [a](http://b) @everyone `code`")
    text = markdown(REPORT._replace(items=(nasty,)))
    (row,) = [line for line in text.splitlines() if line.startswith("| ❌")]
    assert row.replace(r"\|", "").count("|") == 5
    assert "<img" not in text
    assert "[a](" not in text
    assert "@everyone" not in text


def test_a_long_report_is_cut_and_says_so() -> None:
    text = markdown(REPORT._replace(items=(REFUSED,) * 130))
    assert "... and 30 more objects." in text
    assert len(text) < 65_000


@pytest.mark.parametrize(
    ("origin", "place"),
    [
        ("app.yaml:12", ("app.yaml", 12)),
        ("pods.json:1 items[3]", ("pods.json", 1)),
        ("standard input:4", ("standard input", 4)),
        ("app.yaml", ("app.yaml", 0)),
        ("a:b.yaml", ("a:b.yaml", 0)),
        ("", ("", 0)),
    ],
)
def test_an_origin_is_file_and_line(origin: str, place: tuple[str, int]) -> None:
    assert split_origin(origin) == place
