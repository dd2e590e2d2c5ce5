"""Case files: what is wrong with them, how results are compared, and what is covered."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from webhook.simulate.cases import coverage, model, reading
from webhook.simulate.cases.running import CaseError, Result, Runner, merged

POLICY = yaml.safe_load(
    factories.policy(
        """
mode: enforce
costLabels: {required: [{key: cost-center, source: namespace, default: shared}]}
podSecurity: {level: baseline}
"""
    )
)
PRICES = yaml.safe_load(factories.PRICES)
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [factories.container()]}}


def document(*cases: dict[str, Any], **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of the spec
    given = {"policies": [POLICY, PRICES], "object": POD, "cases": list(cases), **spec}
    return {"apiVersion": "podgate.dev/v1alpha1", "kind": "Case", "metadata": {"name": "shop"}, "spec": given}


def case(name: str = "a case", **fields: Any) -> dict[str, Any]:  # noqa: ANN401  fields of the case
    return {"name": name, "expect": {"verdict": "changed"}, **fields}


class Plain(yaml.SafeDumper):
    """Writes an object that is there twice twice: case files have no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        """Whether to write the object out again."""
        del data
        return True


def dumped(value: object) -> str:
    return yaml.dump(value, Dumper=Plain)


def write(path: Path, *documents: object, name: str = "case.yaml") -> Path:
    file = path / name
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text("\n---\n".join(item if isinstance(item, str) else dumped(item) for item in documents))
    return file


def run(path: Path, *documents: object) -> list[Result]:
    found = reading.find(write(path, *documents))
    assert found.problems == []
    runner = Runner()
    return [result for file in found.files for result in runner.run(file, runner.world(file))]


# --- results ------------------------------------------------------------------------------------------------------

HOST = {"spec": {"hostNetwork": True}}
AS_EXPECTED: dict[str, dict[str, Any]] = {
    "the verdict": {"verdict": "changed"},
    "an outcome by guardrail": {"guardrails": {"costLabels": "changed"}},
    "an outcome by policy and guardrail": {"guardrails": {"team/podSecurity": "passed"}},
    "a guardrail without a say": {"guardrails": {"spot": "absent"}},
    "a part of the pod": {"pod": {"metadata": {"labels": {"cost-center": "shared"}}}},
    "a field that is absent": {"pod": {"spec": {"hostNetwork": None}}},
    "an item by its name": {"pod": {"spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}}},
    "the cost": {"cost": {"before": "200", "after": "200.00"}},
    "what is not said": {"saysNot": ["hostNetwork"]},
}
NOT_AS_EXPECTED: dict[str, tuple[dict[str, Any], str]] = {
    "the verdict": ({"verdict": "refused"}, "verdict: expected refused, got changed"),
    "an outcome": ({"guardrails": {"costLabels": "passed"}}, "guardrails.costLabels: expected passed, got changed"),
    "a guardrail without a say": ({"guardrails": {"spot": "changed"}}, "guardrails.spot: expected changed, got absent"),
    "a label": (
        {"pod": {"metadata": {"labels": {"cost-center": "mine"}}}},
        'pod.metadata.labels.cost-center: expected "mine", got "shared"',
    ),
    "a missing field": ({"pod": {"spec": {"hostPID": True}}}, "pod.spec.hostPID: expected true, got nothing"),
    "a field that is there": ({"pod": {"spec": {"containers": None}}}, "pod.spec.containers: expected to be absent"),
    "an item by its name": (
        {"pod": {"spec": {"containers": [{"name": "app", "image": "b"}]}}},
        'pod.spec.containers[name=app].image: expected "b", got "registry.example/app:1"',
    ),
    "a missing item": (
        {"pod": {"spec": {"containers": [{"name": "sidecar"}]}}},
        "pod.spec.containers[name=sidecar]: expected to be there",
    ),
    "a true that is a one": ({"pod": {"metadata": {"name": True}}}, 'pod.metadata.name: expected true, got "web"'),
    "the cost": ({"cost": {"after": "199.99"}}, "cost.after: expected 199.99, got 200.00"),
    "what is said": ({"says": ["hostNetwork"]}, "says: nothing says 'hostNetwork'; what is said:"),
}


@pytest.mark.parametrize("name", AS_EXPECTED)
def test_a_result_as_expected_passes(tmp_path: Path, name: str) -> None:
    (result,) = run(tmp_path, document(case(expect=AS_EXPECTED[name])))
    assert result.differences == ()


@pytest.mark.parametrize("name", NOT_AS_EXPECTED)
def test_a_difference_is_told_with_field_and_both_values(tmp_path: Path, name: str) -> None:
    expect, told = NOT_AS_EXPECTED[name]
    (result,) = run(tmp_path, document(case(expect=expect)))
    assert result.differences[0].startswith(told)


def test_a_refusal_that_was_not_expected_tells_its_reason(tmp_path: Path) -> None:
    (result,) = run(tmp_path, document(case(change=HOST, expect={"saysNot": ["hostNetwork"]})))
    assert "host namespaces" in result.differences[0]


def test_a_workload_is_judged_by_its_template(tmp_path: Path) -> None:
    expect = {"verdict": "changed", "pod": {"metadata": {"labels": {"cost-center": "shared", "app": "shop"}}}}
    (result,) = run(tmp_path, document(case(object=factories.deployment(2), expect=expect)))
    assert result.differences == ()


def test_an_update_is_judged_as_one(tmp_path: Path) -> None:
    old = merged(POD, {"metadata": {"labels": {"cost-center": "shared"}}})
    fields = {"operation": "UPDATE", "oldObject": old, "user": "jane"}
    changed = merged(old, {"metadata": {"labels": {"cost-center": "not a label"}}})
    results = run(
        tmp_path,
        document(
            case("kept", object=old, expect={"guardrails": {"costLabels": "absent"}}, **fields),
            case("changed", object=changed, expect={"verdict": "refused"}, **fields),
        ),
    )
    assert [result.differences for result in results] == [(), ()]


def test_a_mode_caps_every_policy(tmp_path: Path) -> None:
    (result,) = run(tmp_path, document(case(change=HOST, mode="audit", expect={"verdict": "would_refuse"})))
    assert result.differences == ()


def test_an_object_that_is_not_judged_says_why(tmp_path: Path) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    results = run(tmp_path, document(case(object=config), case(object=config, expect={"verdict": "not_judged"})))
    assert results[0].differences == (
        "verdict: expected changed, got not_judged",
        "  because ConfigMap is not judged",
    )
    assert results[1].differences == ()


def test_an_object_that_cannot_be_read_fails_its_case_alone(tmp_path: Path) -> None:
    results = run(tmp_path, document(case(object={**POD, "spec": {"containers": 5}}), case()))
    assert [result.verdict for result in results] == ["unreadable", "changed"]
    assert "is no valid Pod" in results[0].differences[0]


def test_policies_and_cluster_are_read_from_paths_beside_the_file(tmp_path: Path) -> None:
    write(tmp_path, POLICY, PRICES, name="policies/all.yaml")
    labelled = factories.namespace("shop", {"cost-center": "retail"})
    write(tmp_path, labelled, name="cluster/namespaces.yaml")
    spec = {"policies": ["policies"], "cluster": ["cluster/namespaces.yaml"], "namespace": "shop"}
    expect = {"pod": {"metadata": {"labels": {"cost-center": "retail"}}}}
    (result,) = run(tmp_path, document(case(expect=expect), **spec))
    assert result.differences == ()


def test_time_stands_still_at_the_time_of_the_case(tmp_path: Path) -> None:
    exception = {
        "apiVersion": "podgate.dev/v1alpha1",
        "kind": "PolicyException",
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {"guardrails": ["podSecurity"], "owner": "a", "reason": "b", "expires": "2026-02-01"},
    }
    for now, verdict in (("2026-02-01T23:59:59Z", "exempt"), ("2026-02-02T00:00:00Z", "refused")):
        policies = [POLICY, PRICES, exception]
        expect = {"guardrails": {"podSecurity": verdict}}
        (result,) = run(tmp_path, document(case(change=HOST, expect=expect), policies=policies, now=now))
        assert result.differences == (), now


# --- what is wrong with a file ------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": (
        document(case(expct=1)),
        "spec.cases[0].expct: `expct` is no field here. Did you mean expect?",
    ),
    "no cases": (document(), "spec.cases: "),
    "no policies": (document(case(), policies=[]), "spec.policies: "),
    "an unknown verdict": (
        document(case(expect={"verdict": "fine"})),
        "spec.cases[0].expect.verdict: is not one of the possible values. Write one of refused, ",
    ),
    "no expectation": (document(case(expect={})), "spec.cases[0].expect: expects nothing. Give a verdict"),
    "no object": (document(case(), object=None), "spec.object"),
    "two objects": (document(case(object=POD, change={})), "spec.cases[0]: has an object and a change. Give one"),
    "a time without a zone": (document(case(), now="2026-01-01T00:00:00"), "spec.now: must be a time with its zone"),
    "no time at all": (document(case(), now="noon"), "spec.now: must be a time. Write it as"),
    "money that is no text": (
        document(case(expect={"cost": {"after": 3}})),
        "spec.cases[0].expect.cost.after: must be a decimal string in quotes",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_one_line_with_place_and_cure(tmp_path: Path, name: str) -> None:
    wrong, told = WRONG[name]
    file = write(tmp_path, wrong)
    found = reading.find(file)
    assert found.files == []
    lines = [str(problem) for problem in found.problems]
    assert any(told in line for line in lines), lines
    assert all(line.startswith(f"{file}:") and "\n" not in line for line in lines)
    assert all(problem.line > 0 for problem in found.problems)


def test_a_case_without_any_object_is_told(tmp_path: Path) -> None:
    wrong = document(case())
    del wrong["spec"]["object"]
    (problem,) = reading.find(write(tmp_path, wrong)).problems
    assert problem.path == "spec.cases[0]"
    assert problem.message == "has no object"


def test_a_wrong_policy_inside_a_case_file_is_told_at_its_own_line(tmp_path: Path) -> None:
    text = dumped(document(case(), policies=[{**POLICY, "spec": {"mode": "enforc"}}]))
    (file,) = reading.find(write(tmp_path, text)).files
    with pytest.raises(CaseError) as error:
        Runner().world(file)
    line = text.splitlines().index("      mode: enforc") + 1
    assert str(error.value).startswith(f"{file.path}:{line}: spec.mode: ")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"policies": ["nope.yaml"]}, "nope.yaml does not exist"),
        ({"policies": ["."]}, "`Case` is no kind of policy"),
        ({"cluster": ["empty"]}, "empty holds no *.yaml or *.yml file"),
        ({"cluster": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": 5, "name": "x"}}]}, "Namespace"),
    ],
)
def test_what_a_case_file_names_must_be_readable(tmp_path: Path, spec: dict[str, Any], told: str) -> None:
    (tmp_path / "empty").mkdir()
    (file,) = reading.find(write(tmp_path, document(case(), **spec))).files
    with pytest.raises(CaseError) as error:
        Runner().world(file)
    assert told in str(error.value)


def test_a_directory_may_hold_anything_beside_cases(tmp_path: Path) -> None:
    write(tmp_path, POLICY, name="policy.yaml")
    write(tmp_path, "a: [", name="broken.yaml")
    write(tmp_path, document(case()), POLICY, name="deep/er/case.yaml")
    write(tmp_path, document(case()), name=".hidden/case.yaml")
    found = reading.find(tmp_path)
    assert [file.path.name for file in found.files] == ["case.yaml"]
    assert found.problems == []


def test_a_place_without_cases_is_a_problem(tmp_path: Path) -> None:
    assert "holds no cases" in str(reading.find(tmp_path).problems[0])
    assert "does not exist" in str(reading.find(tmp_path / "nope").problems[0])


def test_the_schema_accepts_what_the_loader_accepts_and_refuses_unknown_fields() -> None:
    validator = jsonschema.Draft202012Validator(model.schema())
    validator.check_schema(model.schema())
    validator.validate(document(case(change=HOST, oldObject=POD), now="2026-01-01T00:00:00Z"))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document(case(expct=1)))


# --- merge patches and coverage -----------------------------------------------------------------------------------

PATCHES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "change", "result"), PATCHES)
def test_a_change_is_a_json_merge_patch(target: object, change: object, result: object) -> None:
    assert merged(target, change) == result


TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(TREES, TREES)
def test_a_change_that_is_made_twice_is_made_once(target: object, change: object) -> None:
    once = merged(target, change)
    assert merged(once, change) == once


def test_coverage_asks_for_a_passing_and_a_failing_case_of_each_guardrail(tmp_path: Path) -> None:
    found = reading.find(write(tmp_path, document(case())))
    runner = Runner()
    world = runner.world(found.files[0])
    passing = list(runner.run(found.files[0], world))
    rows = {row.guardrail: row for row in coverage.coverage([world.policies], passing)}
    assert {name: row.lacks for name, row in rows.items()} == {"costLabels": "failing", "podSecurity": "failing"}
    failing = run(tmp_path, document(case(change=HOST, expect={"verdict": "refused"})))
    rows = {row.guardrail: row for row in coverage.coverage([world.policies], [*passing, *failing])}
    assert rows["podSecurity"].is_covered
    assert not rows["costLabels"].is_covered
