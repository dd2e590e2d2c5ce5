"""`podgate test`: exit statuses, outputs, coverage."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from tests import factories
from tests.cli._desk import Desk

JUNIT = Path(__file__).parents[1] / "data" / "formats" / "junit.xsd"
POLICY = factories.policy("mode: enforce\npodSecurity: {level: baseline}")
CASE = """
apiVersion: podgate.dev/v1alpha1
kind: Case
metadata: {name: shop}
spec:
  policies: [../policies]
  object: {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: app, image: a}]}}
  cases:
    - name: a good pod is let pass
      expect: {verdict: VERDICT}
    - name: the host's network is refused
      change: {spec: {hostNetwork: true}}
      expect: {verdict: refused}
"""


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path, capsys, monkeypatch)
    made.write("policies/policy.yaml", POLICY)
    made.write("cases/shop.yaml", CASE.replace("VERDICT", "passed"))
    return made


def test_status_0_where_all_cases_pass(desk: Desk) -> None:
    ran = desk.run("test")
    assert ran.status == 0
    assert ran.out.splitlines() == ["coverage: 1 of 1 guardrails of policies", "2 cases: 2 passed, 0 failed"]


def test_status_1_and_the_difference_where_one_fails(desk: Desk) -> None:
    desk.write("cases/shop.yaml", CASE.replace("VERDICT", "warned"))
    ran = desk.run("test", "cases")
    assert ran.status == 1
    assert ran.out.splitlines()[0] == "✗ failed cases/shop.yaml:9  shop: a good pod is let pass"
    assert ran.out.splitlines()[1].strip() == "verdict: expected warned, got passed"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nope"], "podgate: nope: does not exist"),
        (["policies"], "podgate: policies: holds no cases"),
        (["--policies", "cases"], "podgate: cases/shop.yaml:3: kind: `Case` is no kind of policy"),
        (["-o", "sarif"], "podgate: Invalid value for '--output'"),
    ],
)
def test_status_2_and_one_line_where_the_input_is_wrong(desk: Desk, arguments: list[str], told: str) -> None:
    ran = desk.run("test", *arguments)
    assert ran.status == 2
    assert ran.err.startswith(told)
    assert len(ran.err.splitlines()) == 1


def test_a_file_that_cannot_be_run_costs_no_other_its_result(desk: Desk) -> None:
    desk.write("cases/b.yaml", CASE.replace("../policies", "nope").replace("VERDICT", "passed"))
    ran = desk.run("test")
    assert ran.status == 2
    assert "2 cases: 2 passed, 0 failed" in ran.out
    assert "cases/b.yaml:6: nope does not exist" in ran.err


def test_coverage_can_be_required_of_policies_that_no_case_loads(desk: Desk) -> None:
    desk.write("all/policy.yaml", POLICY, factories.policy("mode: warn\npodSecurity: {level: baseline}", "other"))
    assert desk.run("test", "--require-coverage").status == 0
    ran = desk.run("test", "--require-coverage", "--policies", "all")
    assert ran.status == 1
    assert "· not covered: policy other, podSecurity (warn) has no passing and failing case" in ran.out
    assert desk.run("test", "--policies", "all").status == 0


def test_junit_is_valid(desk: Desk) -> None:
    desk.write("cases/shop.yaml", CASE.replace("VERDICT", "warned"))
    desk.write("cases/b.yaml", CASE.replace("../policies", "nope").replace("VERDICT", "passed"))
    ran = desk.run("test", "-o", "junit")
    xmlschema.XMLSchema(JUNIT).validate(ran.out)
    suites = list(ET.fromstring(ran.out))  # noqa: S314  our own output
    assert [(suite.get("tests"), suite.get("failures"), suite.get("errors")) for suite in suites] == [
        ("2", "1", "0"),
        ("1", "0", "1"),
    ]


def test_json_tells_cases_and_coverage(desk: Desk) -> None:
    told = json.loads(desk.run("test", "-o", "json").out)
    assert [item["passed"] for item in told["cases"]] == [True, True]
    assert told["coverage"] == [
        {"policy": "team", "guardrail": "podSecurity", "mode": "enforce", "passing": 1, "failing": 1, "covered": True}
    ]


def test_the_schema_of_case_files_can_be_printed(desk: Desk) -> None:
    assert json.loads(desk.run("schema", "Case").out)["title"] == "Case"
