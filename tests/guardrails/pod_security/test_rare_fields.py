"""Checks that are marked rare are skipped for pods without rare fields, so the mark has to be true of every pod."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from webhook.guardrails.pod_security._registry import REGISTRY
from webhook.guardrails.pod_security._visitor import Visit
from webhook.kube.objects import Pod

DATA = Path(__file__).parents[2] / "data" / "pod_security"
RARE = [check for check in REGISTRY.checks.values() if check.rare]


def recorded_pods() -> list[Pod]:
    """Return every pod of the conformance data."""
    pods = []
    for file in sorted(DATA.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                pod = row.get("pod") or row.get("request", {}).get("object")
                if isinstance(pod, dict) and "template" not in (pod.get("spec") or {}):
                    pods.append(msgspec.convert(pod, Pod))
    return pods


PODS = recorded_pods()


def test_the_data_has_pods_with_rare_fields_and_pods_without() -> None:
    rare = sum(Visit(pod.metadata, pod.spec).sets_rare_fields() for pod in PODS if pod.spec is not None)
    assert 100 < rare < len(PODS) - 100


@pytest.mark.parametrize("check", RARE, ids=lambda check: check.id)
def test_a_rare_check_forbids_only_pods_that_set_a_rare_field(check: object) -> None:
    revisions = next(item for item in RARE if item is check).revisions
    forbidden = 0
    for pod in PODS:
        if pod.spec is None:
            continue
        visit = Visit(pod.metadata, pod.spec)
        is_rare = visit.sets_rare_fields()
        for revision in revisions:
            if revision.evaluate(visit) is not None:
                forbidden += 1
                assert is_rare, f"{check} forbids {pod} without a rare field"
    assert forbidden, "the data has no pod that this check forbids, so this test could not fail"
