"""What a patch and a decision say to people."""

import time
from typing import Any

import msgspec
import pytest

from tests import factories
from webhook.admission.decision import Decision, GuardrailResult, one_line, summary

SPOT = {"key": "example.com/spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
SPOT_WORDS = "example.com/spot=true:NoSchedule"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
PREFERENCE = {
    "weight": 90,
    "preference": {"matchExpressions": [{"key": "lifecycle", "operator": "In", "values": ["spot", "preemptible"]}]},
}


def setting(path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    return {"op": "add", "path": path, "value": value}


def a_test_of(index: int, name: str) -> dict[str, Any]:
    return {"op": "test", "path": f"/spec/containers/{index}/name", "value": name}


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        pytest.param([setting("/metadata/labels/cost-center", "alpha")], "label cost-center=alpha", id="a label"),
        pytest.param([setting("/metadata/labels/a~1b~0c", "x")], "label a/b~c=x", id="an escaped key"),
        pytest.param([setting("/metadata/labels", {"a": "b"})], "label a=b", id="a map of labels"),
        pytest.param([setting("/metadata/labels", {})], "", id="an empty parent says nothing"),
        pytest.param([setting("/metadata/annotations/podgate.dev/x", "y")], "", id="our own annotations say nothing"),
        pytest.param(
            [a_test_of(1, "app"), setting("/spec/containers/1/resources/requests/cpu", "50m")],
            "app requests.cpu=50m",
            id="a request of a named container",
        ),
        pytest.param([setting("/spec/schedulerName", "tight")], "schedulerName=tight", id="a field of the spec"),
        pytest.param([setting("/spec/tolerations/-", SPOT)], f"toleration {SPOT_WORDS}", id="a toleration"),
        pytest.param(
            [setting("/spec/tolerations", [SPOT, {"operator": "Exists"}])],
            f"toleration {SPOT_WORDS}, toleration *:*",
            id="tolerations of a pod that had none",
        ),
        pytest.param(
            [setting("/spec/affinity", {"nodeAffinity": {PREFERRED: [PREFERENCE]}})],
            "prefers nodes with lifecycle In spot,preemptible",
            id="an affinity of a pod that had none",
        ),
        pytest.param(
            [setting(f"/spec/affinity/nodeAffinity/{PREFERRED}/-", PREFERENCE)],
            "prefers nodes with lifecycle In spot,preemptible",
            id="one preference more",
        ),
        pytest.param(
            [setting("/spec/topologySpreadConstraints", [{"maxSkew": 3, "topologyKey": "zone", "labelSelector": {}}])],
            "spread over zone (maxSkew 3)",
            id="a spread constraint",
        ),
        pytest.param(
            [setting("/spec/affinity", {"podAffinity": {"x": 1}})],
            'affinity.podAffinity={"x":1}',
            id="an affinity of another kind is shown as it is",
        ),
        pytest.param(
            [setting(f"/metadata/labels/k{number}", "v") for number in range(8)],
            ", ".join(f"label k{number}=v" for number in range(6)) + ", and 2 more",
            id="no more than six",
        ),
    ],
)
def test_a_patch_is_said_in_a_few_words(operations: list[dict[str, Any]], words: str) -> None:
    assert summary(operations) == words


def test_the_words_for_ten_thousand_containers_take_linear_time() -> None:
    operations = []
    for number in range(10_000):
        operations += [a_test_of(number, f"c{number}"), setting(f"/spec/containers/{number}/resources/limits/cpu", "1")]
    started = time.process_time()
    assert summary(operations).startswith("c0 limits.cpu=1, c1 limits.cpu=1")
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "line"),
    [("plain", "plain"), ("über 日本", "über 日本"), ("a\nb", "a\\nb"), ("\x1b[31mred\x00", "\\x1b[31mred\\x00")],
)
def test_control_characters_are_shown_and_not_obeyed(text: str, line: str) -> None:
    assert one_line(text) == line


def test_a_denial_that_quotes_line_breaks_is_one_line() -> None:
    world = factories.World(factories.policy("mode: enforce\npodSecurity: {level: restricted}"))
    pod = factories.safe_pod()
    pod["spec"]["containers"][0]["securityContext"]["seccompProfile"] = {"type": "a\nb\r\x1b[31m"}
    answer = world.validate(pod)
    assert not answer.allowed
    assert answer.message.isprintable()
    assert '"a\\nb\\r\\x1b[31m"' in answer.message


def test_what_is_told_of_a_decision_follows_every_change_of_it() -> None:
    outcome = GuardrailResult("team", "spot", "enforce", "passed", "enforce")
    first = Decision(allowed=True, outcomes=(outcome,))
    assert first.series == (("team", "spot", "enforce", "passed"),)
    assert (first.unusual, first.audit_notes["verdict"]) == ((), "allowed")
    before = first.signature

    refused = msgspec.structs.replace(outcome, outcome="refused")
    second = msgspec.structs.replace(first, allowed=False, message="no", outcomes=(refused,))

    assert second.series == (("team", "spot", "enforce", "refused"),)
    assert (second.unusual, second.audit_notes["verdict"]) == ((refused,), "refused")
    assert second.signature != before
    assert b'"refused"' in bytes(second.outcomes_json)
    assert first.series == (("team", "spot", "enforce", "passed"),)
