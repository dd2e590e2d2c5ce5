"""One review, however large, makes no answer, warning or log line without end."""

import json
from typing import Any

import msgspec
import pytest

from tests import factories
from tests.factories import World, policy
from webhook.admission import recorder, response
from webhook.admission.engine import PHASES
from webhook.kube.containers import MOST_CONTAINERS

RESTRICTED = policy("mode: enforce\npodSecurity: {level: restricted, harden: true}")


def crowd(count: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return factories.pod(
        *({"name": f"c{number}", "image": "registry.example/i:1", **fields} for number in range(count))
    )


def test_up_to_five_hundred_containers_are_changed_and_more_are_not() -> None:
    world = World(RESTRICTED)
    assert len(world.mutate(crowd(MOST_CONTAINERS)).patch) > MOST_CONTAINERS
    assert world.mutate(crowd(MOST_CONTAINERS + 1)).patch == []


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({}, "allowPrivilegeEscalation != false"),
        ({"securityContext": {"privileged": True}}, "privileged"),
        ({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}, "unrestricted capabilities"),
        ({"securityContext": {"runAsUser": 0}}, "runAsUser=0"),
        ({"securityContext": {"procMount": "Unmasked"}}, "procMount"),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "seccompProfile"),
        ({"securityContext": {"seLinuxOptions": {"user": "u"}}}, "seLinuxOptions"),
        ({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, "forbidden AppArmor profile"),
        ({"securityContext": {"windowsOptions": {"hostProcess": True}}}, "hostProcess"),
        ({"ports": [{"hostPort": 80}]}, "hostPort"),
        ({"livenessProbe": {"httpGet": {"host": "h"}}}, "probe or lifecycle host"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_control_that_thousands_of_containers_break_names_a_few_and_counts_the_rest(
    fields: dict[str, Any], check: str
) -> None:
    world = World(RESTRICTED)
    few, many = world.validate(crowd(3, **fields)), world.validate(crowd(9_000, **fields))

    assert check in few.message
    assert check in many.message
    assert '"c0", "c1", "c2"' in few.message
    assert '"c0", "c1", "c2", "c3", "c4" and 8,995 more' in many.message
    assert many.entry is not None
    assert "cut" not in many.entry
    (outcome,) = many.entry["guardrails"]
    assert len(outcome["findings"]) == 1
    assert len(msgspec.json.encode(many.entry)) < 8_000


@pytest.mark.parametrize(
    "spec",
    [
        {"volumes": [{"name": f"v{number}", "hostPath": {"path": "/"}} for number in range(9_000)]},
        {"securityContext": {"sysctls": [{"name": f"kernel.s{number}", "value": "1"} for number in range(9_000)]}},
        {"containers": [{"name": "c", "ports": [{"hostPort": number} for number in range(1, 9_001)]}]},
        {"containers": [{"name": "c", "securityContext": {"capabilities": {"add": [f"C{n}" for n in range(9_000)]}}}]},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_lists_inside_one_pod_are_told_by_their_first_few_as_well(spec: dict[str, Any]) -> None:
    answer = World(RESTRICTED).validate(factories.pod(**spec))
    assert not answer.allowed
    assert " and 8,995 more" in answer.message
    assert answer.entry is not None
    assert len(msgspec.json.encode(answer.entry)) < 12_000


@pytest.mark.parametrize("path", PHASES)
@pytest.mark.parametrize("mode", ["enforce", "warn", "audit"])
@pytest.mark.parametrize(
    "pod",
    [
        factories.pod(*({"name": "n" * 200 + str(number)} for number in range(450))),
        factories.pod({"name": "c", "securityContext": {"capabilities": {"add": ["X" * 1_000_000]}}}),
        factories.pod({"name": "c" * 900_000}, labels={"cost-center": "v" * 900_000}),
        factories.pod({"name": "\x01" * 100_000}, hostNetwork=True),
    ],
    ids=["many long names", "a long capability", "a long name and label", "names to be escaped"],
)
def test_a_log_line_has_sixty_four_kibibytes_at_most_and_says_what_is_missing(
    pod: dict[str, Any], mode: str, path: str
) -> None:
    world = World(
        policy(
            f"mode: {mode}\npodSecurity: {{level: restricted, harden: true}}\n"
            "costLabels: {required: [{key: cost-center, source: pod, allowed: [a]}]}"
        )
    )
    body = msgspec.json.encode(factories.review(factories.stored(pod), user="u" * 90_000, dryRun=True))

    encoded, after = world.engine.answer(path, body)

    assert len(encoded) < 100_000 + 2 * len(body)
    if after is None:
        return
    after()
    (line,) = world.lines
    assert len(line) <= recorder.MAXIMUM_LINE
    assert line.endswith(b"\n")
    entry = json.loads(line)
    assert entry["cut"].startswith("the line had ")
    assert "patches are left out" in entry["cut"]
    assert entry["dryRun"] is True
    assert {item["guardrail"] for item in entry["guardrails"]} <= {"podSecurity", "costLabels"}


def test_a_line_that_is_short_enough_is_whole() -> None:
    answer = World(RESTRICTED).mutate(crowd(100))
    assert answer.entry is not None
    assert "cut" not in answer.entry
    assert answer.entry["patch"] == answer.patch


def test_warnings_are_bounded_in_length_and_number() -> None:
    long, many = ("w" * 300_000,), tuple(f"warning {number}" for number in range(900))

    (short,) = response.bounded_warnings(long)
    assert short.startswith("w" * 1_000)
    assert len(short) < response.LONGEST_WARNING + 100
    assert short.endswith("more characters are in the decision log)")

    told = response.bounded_warnings(many)
    assert told[: response.MOST_WARNINGS] == many[: response.MOST_WARNINGS]
    assert told[response.MOST_WARNINGS :] == ("850 more warnings are in the decision log",)
    assert response.bounded_warnings(many[:50]) == many[:50]


def test_a_long_annotation_makes_no_long_warning() -> None:
    job = factories.stored({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}})
    job["metadata"]["annotations"] = {"podgate.dev/expected-runtime": "9" * 262_000}
    job["spec"] = {"parallelism": 1, "template": factories.pod()}
    world = World(policy("mode: warn\ncostCeiling: {podMonthly: '1'}"))

    encoded, _ = world.engine.answer("/validate", msgspec.json.encode(factories.review(job)))

    assert sum(map(len, json.loads(encoded)["response"].get("warnings", []))) < 10_000
