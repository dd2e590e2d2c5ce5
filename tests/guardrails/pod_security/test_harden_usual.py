"""The one walk for usual pods does to the letter what the checks one by one do."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from webhook.guardrails.pod_security import _harden, _usual
from webhook.guardrails.pod_security._registry import plan
from webhook.guardrails.pod_security._visitor import Visit
from webhook.kube.objects import Pod
from webhook.kube.patch import Draft

DATA = Path(__file__).parents[2] / "data" / "pod_security"
RECORDED = Path(__file__).parents[3] / "manifests" / "recorded" / "reviews.jsonl.gz"
CHECKS = plan("restricted", "latest")


def documents() -> list[dict[str, object]]:
    """Return the pods of the conformance data and of the recorded reviews, each once."""
    found: dict[str, dict[str, object]] = {}
    for file in (*sorted(DATA.glob("*.jsonl.gz")), RECORDED):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                pod = row.get("pod") or row.get("request", {}).get("object")
                if isinstance(pod, dict) and "template" not in (pod.get("spec") or {}):
                    found[json.dumps(pod.get("spec"))] = {"spec": pod.get("spec")}
    return list(found.values())


def usual(document: dict[str, object]) -> bool:
    """Whether the one walk would be taken."""
    pod = msgspec.convert(document, Pod)
    if pod.spec is None:
        return False
    visit = Visit(pod.metadata, pod.spec)
    return not (visit.sets_rare_fields() or visit.is_windows or visit.has_user_namespace)


DOCUMENTS = [document for document in documents() if usual(document)]


def test_there_are_many_usual_pods() -> None:
    assert len(DOCUMENTS) > 300


def test_the_usual_checks_are_those_of_today() -> None:
    assert CHECKS.common is not None
    assert CHECKS.common.ids == _usual.CHECKS


@pytest.mark.parametrize("first", range(10))
def test_one_walk_and_one_check_after_the_other_give_the_same_patch(first: int) -> None:
    for document in DOCUMENTS[first::10]:
        by_walk, by_checks = (Draft(msgspec.convert(document, Pod)) for _ in range(2))
        assert by_checks.pod.spec is not None
        visit = Visit(None, by_checks.pod.spec, is_silent=True)
        passes = _harden._harden_any(by_checks, CHECKS, None, visit, by_checks.pod.spec)
        assert _harden.harden(by_walk, CHECKS, None) is passes
        assert by_walk.operations == by_checks.operations
        assert by_walk.pod == by_checks.pod


@pytest.mark.parametrize("hardened", [False, True], ids=["as written", "hardened"])
def test_a_pod_passes_at_a_glance_exactly_where_every_check_passes(hardened: bool) -> None:
    assert CHECKS.common is not None
    passed = 0
    for document in DOCUMENTS:
        pod = msgspec.convert(document, Pod)
        if hardened:
            _harden.harden(Draft(pod), CHECKS, None)
        assert pod.spec is not None
        visit = Visit(pod.metadata, pod.spec)
        expected = all(function(visit) is None for function in CHECKS.functions)
        assert _usual.passes(CHECKS.common, visit) is expected
        passed += expected
    assert 0 < passed < len(DOCUMENTS)
