"""What is read from a decision log: cost and savings, and why something was refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.reporting import _scene
from webhook.admission.recorder import Recorder
from webhook.reporting import entries, from_log, why
from webhook.reporting.entries import Bad
from webhook.reporting.report import AuditReport

ENFORCED = factories.policy("""
mode: enforce
costLabels: {required: [{key: cost-center, source: namespace}]}
podSecurity: {level: restricted}
""")
SIZING = factories.policy(
    "mode: enforce\nrightSizing: {recommendation: target, limitHeadroom: {cpu: none, memory: none}}\n", "sizing"
)
SIZES = {
    "apiVersion": "autoscaling.k8s.io/v1",
    "kind": "VerticalPodAutoscaler",
    "metadata": {"name": "shop", "namespace": "team-alpha"},
    "spec": {"targetRef": {"kind": "Deployment", "name": "shop"}, "updatePolicy": {"updateMode": "Off"}},
    "status": {
        "recommendation": {
            "containerRecommendations": [{"containerName": "app", "target": {"cpu": "500m", "memory": "5Gi"}}]
        }
    },
}


@pytest.fixture
def world() -> factories.World:
    made = factories.World(ENFORCED, SIZING, cluster=[_scene.team(), *_scene.deployment(), SIZES])
    made.engine._recorder = Recorder(made, made.metrics, _scene.now, made.view)
    return made


def owned(made: dict[str, Any]) -> dict[str, Any]:
    made["metadata"]["ownerReferences"] = _scene.owned("ReplicaSet", "shop-7d9c8b6f5")
    return made


def report(world: factories.World) -> AuditReport:
    return from_log.of_entries(entries.read(world.lines), "log", factories.NOON)


def test_what_was_saved_and_refused_is_added_up_by_owner(world: factories.World) -> None:
    world.create(owned(factories.safe_pod()), pod_uid="one")
    world.create(owned(factories.pod()), pod_uid="two")
    found = report(world)
    (row,) = found.rows
    assert row.owner == ("team-alpha", "Deployment", "shop")
    assert (row.tally.objects, row.tally.refused) == (2, 1)
    assert (row.tally.before, row.tally.saved, row.tally.refused_money) == (400_000_000, 200_000_000, 100_000_000)
    assert {line.guardrail: line.share.saved for line in found.policies if line.share.saved} == {
        "rightSizing": 200_000_000
    }
    assert {line.guardrail: line.share.refused for line in found.policies if line.share.refused} == {"podSecurity": 1}
    looked = {line.guardrail: (line.share.objects, line.share.changed) for line in found.policies}
    assert looked == {"rightSizing": (2, 2), "costLabels": (2, 2), "podSecurity": (2, 0)}


def test_both_halves_of_the_verdict_refuse_one_pod_once(world: factories.World) -> None:
    for path in ("/validate/security", "/validate/cost", "/validate"):
        world.call(path, factories.review(factories.stored(owned(factories.pod()))))
    assert report(world).total.refused == 1


@pytest.mark.parametrize(
    ("request_fields", "reason"),
    [
        pytest.param({"dryRun": True}, "was a dry run", id="dry run"),
        pytest.param({"operation": "UPDATE"}, "was no new pod", id="update"),
    ],
)
def test_what_is_no_new_money_is_left_out_and_named(
    world: factories.World, request_fields: dict[str, Any], reason: str
) -> None:
    old = factories.stored(factories.pod(labels={"cost-center": "x"}))
    world.validate(factories.pod(), old=old, **request_fields)
    found = report(world)
    assert found.rows == []
    assert [each.reason for each in found.not_judged] == [reason]
    assert not found.has_failures


def test_lines_that_are_no_decisions_are_named_and_the_others_count(world: factories.World) -> None:
    world.create(owned(factories.safe_pod()))
    world.lines += [
        b"\n",
        b"not json\n",
        b'{"path": "/mutate"}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        world.lines[0][:50],
    ]
    found = report(world)
    assert found.total.objects == 1
    assert found.has_failures
    assert sum(each.times for each in found.failures) == 5


@pytest.mark.parametrize("name", ["decisions.jsonl", "decisions.jsonl.gz"])
def test_a_log_is_read_from_a_file_packed_or_not(world: factories.World, name: str, tmp_path: Path) -> None:
    world.create(owned(factories.safe_pod()))
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"".join(world.lines)) if name.endswith("gz") else b"".join(world.lines))
    assert from_log.of_file(path, factories.NOON).total.objects == 1


def test_a_packed_log_that_was_cut_off_is_read_as_far_as_it_goes(world: factories.World, tmp_path: Path) -> None:
    for number in range(50):
        world.create(owned(factories.safe_pod()), pod_uid=f"uid-{number}")
    path = tmp_path / "decisions.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(world.lines))[:-40])
    found = list(entries.read_file(path))
    assert isinstance(found[-1], Bad)


# --- why ------------------------------------------------------------------------------------------------------------


def test_the_last_decisions_about_a_workload_are_told_with_their_cure(world: factories.World) -> None:
    for number in range(3):
        world.create(owned(factories.pod()), pod_uid=f"uid-{number}")
    found, bad = why.of_log(entries.read(world.lines), "team-alpha", "Deployment", "shop")
    assert bad == 0
    assert [(each.path, each.verdict, each.times) for each in found] == [
        ("/mutate", "allowed", 3),
        ("/validate", "refused", 3),
    ]
    line = found[-1].lines[0]
    assert (line.guardrail, line.refuses) == ("podSecurity", True)
    assert "runAsNonRoot" in line.cure
    assert "requests.cpu=500m" in found[0].changes
    assert (found[0].before, found[0].after) == ("200.00", "100.00")


@pytest.mark.parametrize(
    ("namespace", "kind", "name"),
    [("team-beta", "Deployment", "shop"), ("team-alpha", "StatefulSet", "shop"), ("team-alpha", "Deployment", "sho")],
)
def test_decisions_about_others_are_not_told(world: factories.World, namespace: str, kind: str, name: str) -> None:
    world.create(owned(factories.pod()))
    assert why.of_log(entries.read(world.lines), namespace, kind, name) == ([], 0)


def test_a_long_log_is_kept_to_its_last_different_decisions(world: factories.World) -> None:
    world.create(owned(factories.pod()))
    template = json.loads(world.lines[-1])
    lines = []
    for number in range(500):
        template["cost"]["monthlyAfter"] = f"{number}.00"
        lines += [json.dumps(template).encode()] * 2
    found, _ = why.of_log(entries.read(lines), "team-alpha", "Deployment", "shop")
    assert len(found) == why.MOST
    assert [each.times for each in found] == [2] * why.MOST
    assert found[-1].after == "499.00"


@pytest.mark.parametrize(
    ("word", "kind"), [("deploy", "Deployment"), ("STS", "StatefulSet"), ("po", "Pod"), ("Rollout", "Rollout")]
)
def test_kinds_are_written_as_kubectl_takes_them(word: str, kind: str) -> None:
    assert why.kind_of(word) == kind
