"""`podgate review` as SARIF, JUnit and Markdown, and compared with a baseline."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import xmlschema

from tests import factories
from tests.cli._desk import Desk, Ran

DATA = Path(__file__).parents[1] / "data" / "formats"
POLICY = factories.policy(
    """
mode: enforce
match: {namespaces: ["team-*"]}
podSecurity: {level: baseline}
costCeiling: {workloadMonthly: "5000"}
"""
)
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path, capsys, monkeypatch)
    made.write("policies/policy.yaml", POLICY, factories.PRICES)
    return made


def review(desk: Desk, *arguments: str) -> Ran:
    return desk.run("review", "-n", "team-alpha", *arguments)


def pod(name: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a pod
    made = factories.pod(**spec)
    made["metadata"] = {"name": name}
    return made


def test_sarif_is_valid_and_points_at_the_field(desk: Desk) -> None:
    desk.write("app/pods.yaml", pod("good"), pod("bad", hostNetwork=True), CONFIG_MAP)
    ran = review(desk, "app", "-o", "sarif")
    log = json.loads(ran.out)
    jsonschema.Draft4Validator(json.loads((DATA / "sarif-schema-2.1.0.json").read_text())).validate(log)
    assert ran.status == 1
    (result,) = log["runs"][0]["results"]
    assert result["ruleId"] == "podSecurity"
    assert result["level"] == "error"
    physical = result["locations"][0]["physicalLocation"]
    line = physical["region"]["startLine"]
    text = (desk.path / physical["artifactLocation"]["uri"]).read_text().splitlines()[line - 1 :]
    assert text[0] == "  hostNetwork: true"


def test_sarif_points_at_the_field_in_the_template_of_a_workload(desk: Desk) -> None:
    bad = factories.deployment(1, template=factories.pod(hostNetwork=True))
    desk.write("app/web.yaml", CONFIG_MAP, bad)
    log = json.loads(review(desk, "app", "-o", "sarif").out)
    (result,) = [each for each in log["runs"][0]["results"] if each["ruleId"] == "podSecurity"]
    line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert (desk.path / "app/web.yaml").read_text().splitlines()[line - 1].strip() == "hostNetwork: true"


def test_sarif_of_standard_input_points_at_the_object(desk: Desk) -> None:
    ran = desk.run(
        "review", "-n", "team-alpha", "-", "-o", "sarif", stdin=json.dumps(pod("bad", hostPID=True)).encode()
    )
    (result,) = json.loads(ran.out)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 1


def test_junit_is_valid_and_counts_what_was_refused(desk: Desk) -> None:
    desk.write("pods.yaml", pod("good"), pod("bad", hostNetwork=True), CONFIG_MAP)
    ran = review(desk, "pods.yaml", "-o", "junit")
    xmlschema.XMLSchema(DATA / "junit.xsd").validate(ran.out)
    (suite,) = ET.fromstring(ran.out)  # noqa: S314  our own output
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert ran.status == 1


@pytest.mark.parametrize("output", ["sarif", "junit", "markdown"])
def test_a_broken_file_stands_in_the_report_beside_what_was_judged(desk: Desk, output: str) -> None:
    desk.write("dir/a.yaml", pod("bad", hostNetwork=True))
    desk.write("dir/b.yaml", "a: [")
    ran = review(desk, "dir", "-o", output)
    assert ran.status == 2
    assert "b.yaml:" in ran.out
    assert "bad" in ran.out


# --- compared with a baseline -------------------------------------------------------------------------------------


def compared(desk: Desk, old: int, new: int, *flags: str) -> Ran:
    desk.write("old/app.yaml", factories.deployment(old))
    desk.write("new/app.yaml", factories.deployment(new))
    return review(desk, "new", "--baseline", "old", *flags)


@pytest.mark.parametrize(
    ("old", "new", "flags", "status"),
    [
        (20, 21, ("--max-cost-increase", "5%"), 0),
        (19, 20, ("--max-cost-increase", "5%"), 3),
        (1, 2, ("--max-cost-increase", "$200"), 0),
        (1, 2, ("--max-cost-increase", "199.99"), 3),
        (1, 2, ("--max-cost-increase", "5%", "--min-increase", "200"), 0),
        (1, 2, (), 0),
        (20, 26, ("--max-cost-increase", "5%"), 1),
    ],
)
def test_the_status_tells_whether_the_increase_is_allowed(
    desk: Desk, old: int, new: int, flags: tuple[str, ...], status: int
) -> None:
    assert compared(desk, old, new, *flags).status == status


def test_the_table_names_workload_amounts_and_scale(desk: Desk) -> None:
    ran = compared(desk, 1, 2, "--max-cost-increase", "5%")
    assert (
        "│ changed │ Deployment team-alpha/shop │ $200.00 │ $400.00 │   +$200.00 │ 1 replica -> 2 replicas │" in ran.out
    )
    assert ran.out.splitlines()[-1] == (
        "monthly cost as written: $200.00 -> $400.00 (+$200.00, +100.0 %), "
        "above the allowed increase of 5%; 0 unchanged"
    )


def test_json_holds_objects_and_comparison(desk: Desk) -> None:
    told = json.loads(compared(desk, 1, 2, "-o", "json", "--max-cost-increase", "5%").out)
    assert [item["name"] for item in told["objects"]] == ["shop"]
    assert told["comparison"]["exceeded"] is True
    assert told["comparison"]["increase"] == {"low": "200.00", "high": "200.00"}


def test_markdown_and_junit_carry_the_comparison(desk: Desk) -> None:
    text = compared(desk, 1, 2, "-o", "markdown", "--max-cost-increase", "5%").out
    assert "❌ **Monthly cost as written: $200.00 -&gt; $400.00" in text
    assert "| changed | Deployment team-alpha/shop | $200.00 | $400.00 | +$200.00 |" in text
    told = compared(desk, 1, 2, "-o", "junit", "--max-cost-increase", "5%").out
    xmlschema.XMLSchema(DATA / "junit.xsd").validate(told)
    assert 'type="maxCostIncrease"' in told


def test_a_broken_baseline_is_wrong_input(desk: Desk) -> None:
    desk.write("old/broken.yaml", "a: [")
    ran = compared(desk, 1, 1)
    assert ran.status == 2
    assert "podgate: old/broken.yaml:" in ran.err


WRONG = {
    "a limit without a baseline": (["--max-cost-increase", "5%"], "give --baseline"),
    "a floor without a limit": (["--baseline", "old", "--min-increase", "5"], "--min-increase says nothing without"),
    "a limit in words": (["--baseline", "old", "--max-cost-increase", "much"], "'much' is neither a share nor"),
    "a floor that is a share": (
        ["--baseline", "old", "--max-cost-increase", "5%", "--min-increase", "5%"],
        "'5%' is neither a share nor an amount",
    ),
    "another currency": (["--baseline", "old", "--max-cost-increase", "€5"], "is in EUR, but the price list is in USD"),
    "no such baseline": (["--baseline", "nope"], "nope: does not exist"),
    "standard input": (["--baseline", "-", "--max-cost-increase", "5%"], "standard input is no baseline"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_flags_are_one_line_with_the_cure(desk: Desk, name: str) -> None:
    desk.write("old/app.yaml", factories.deployment())
    flags, said = WRONG[name]
    ran = review(desk, "old", *flags)
    assert ran.status == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
