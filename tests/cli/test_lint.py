"""`podgate lint`: exit statuses, outputs, and what a cluster adds."""

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from tests import factories
from tests.cli._desk import Desk
from webhook import assembly

DATA = Path(__file__).parents[1] / "data" / "formats"
GOOD = factories.policy("mode: enforce\nmatch: {namespaces: ['team-*']}\npodSecurity: {level: baseline}")
WARNED = factories.policy("mode: enforce\npodSecurity: {level: baseline}")
BROKEN = factories.policy("mode: enforce\nmatch: {excludeNamespaces: ['*']}\npodSecurity: {level: baseline}")
EXCEPTION = (
    "apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: legacy, namespace: team-a}\n"
    "spec: {guardrails: [podSecurity], podSelector: {matchLabels: {app: shop}}, owner: a, reason: b, expires: '%s'}\n"
)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("document", "flags", "status"),
    [(GOOD, (), 0), (WARNED, (), 0), (WARNED, ("--strict",), 1), (BROKEN, (), 1), (GOOD, ("--strict",), 0)],
)
def test_the_status_tells_whether_there_are_errors(
    desk: Desk, document: str, flags: tuple[str, ...], status: int
) -> None:
    desk.write("policies/p.yaml", document)
    assert desk.run("lint", *flags).status == status


def test_a_remark_is_one_line_with_file_and_line(desk: Desk) -> None:
    desk.write("policies/p.yaml", BROKEN)
    assert desk.run("lint").out.splitlines() == [
        (
            "policies/p.yaml:1: error: GuardrailPolicy team can never match: excludeNamespaces holds *; "
            "to fix: mend spec.match (neverMatches)"
        ),
        "1 error, 0 warnings",
    ]


def test_policies_that_do_not_load_are_wrong_input(desk: Desk) -> None:
    desk.write("policies/p.yaml", GOOD.replace("baseline", "basic"))
    ran = desk.run("lint")
    assert ran.status == 2
    assert ran.err.startswith("podgate: policies/p.yaml:")


def test_json_and_sarif_carry_the_remarks(desk: Desk) -> None:
    desk.write("policies/p.yaml", BROKEN)
    (entry,) = json.loads(desk.run("lint", "-o", "json").out)
    assert (entry["file"], entry["line"], entry["rule"]) == ("policies/p.yaml", 1, "neverMatches")
    log = json.loads(desk.run("lint", "-o", "sarif").out)
    jsonschema.Draft4Validator(json.loads((DATA / "sarif-schema-2.1.0.json").read_text())).validate(log)
    assert log["runs"][0]["results"][0]["ruleId"] == "lint/neverMatches"


@pytest.mark.parametrize(("host", "told"), [(True, []), (False, ["unused"])])
def test_an_exception_is_used_where_an_object_passes_because_of_it(desk: Desk, host: bool, told: list[str]) -> None:
    policy = GOOD.replace("mode: enforce", "mode: enforce\n  exceptions: {maxDays: 3650}")
    desk.write("policies/p.yaml", policy)
    pod = factories.deployment(1, factories.pod(hostNetwork=host), namespace="team-a")
    desk.write("cluster/all.yaml", factories.namespace("team-a"), pod)
    last = assembly.utc_now().date() + timedelta(days=300)
    desk.write("policies/e.yaml", EXCEPTION % last.isoformat())
    ran = desk.run("lint", "--cluster", "cluster", "-o", "json")
    assert [entry["rule"] for entry in json.loads(ran.out)] == told


def test_with_a_cluster_resources_without_a_price_are_named(desk: Desk) -> None:
    money = factories.policy("mode: enforce\nmatch: {namespaces: ['team-*']}\ncostCeiling: {podMonthly: '5000'}")
    desk.write("policies/p.yaml", f"{money}---{factories.PRICES}")
    asking = factories.container()
    asking["resources"]["limits"] = {"google.com/tpu": "8"}
    pod = factories.pod(asking, metadata={"name": "x", "namespace": "team-a"})
    desk.write("cluster/objects.json", json.dumps(factories.namespace("team-a")))
    desk.write("cluster/pod.json", json.dumps(pod))
    found = desk.run("lint", "--cluster", "cluster", "-o", "json")
    assert [(each["rule"], each["level"]) for each in json.loads(found.out)] == [("unpriced", "warning")]
    assert "has no price of google.com/tpu, which Pod team-a/x asks for" in found.out
