"""Whatever an API server can send is judged: any depth of what nobody reads, and any size up to the limit."""

import functools
import json
from collections.abc import Sequence
from typing import Any
from unittest.mock import Mock

import pytest

from tests import factories
from tests.factories import World, policy
from webhook.admission import request
from webhook.admission.engine import PHASES
from webhook.guardrails.base.contract import Finding
from webhook.kube import shallow

SECTIONS = """
match: {namespaces: ["team-*"]}
costLabels:
  required: [{key: cost-center, source: namespace, default: shared}]
podSecurity: {level: restricted, harden: true}
costCeiling: {podMonthly: "1"}
"""
MIB = 1 << 20


@functools.cache
def world(mode: str) -> World:
    return World(policy(f"mode: {mode}\n{SECTIONS}"), cluster=[factories.namespace("team-alpha")])


def privileged() -> dict[str, Any]:
    return factories.stored(factories.pod(factories.container(securityContext={"privileged": True}, cpu="8")))


def answer_to(mode: str, path: str, body: bytes) -> dict[str, Any]:
    """Return the answer, without what a review never says twice alike."""
    encoded, after = world(mode).engine.answer(path, body)
    if after is not None:
        after()
    assert world(mode).sample("podgate_recorder_faults_total") == 0
    response: dict[str, Any] = json.loads(encoded)["response"]
    return response


PLACES: dict[str, tuple[str, str]] = {
    "managedFields": ('"@"', '"managedFields": [{"manager": "kubectl", "fieldsV1": %s}], "x": 1'),
    "managedFields of the old object": (
        '"oldObject": null',
        '"oldObject": {"metadata": {"managedFields": [{"f": %s}]}}',
    ),
    "an unknown field of the metadata": ('"@"', '"unknown": {"annotations": %s}'),
    "status": ('"status": {}', '"status": {"unknown": %s}'),
    "an unknown field of the spec": ('"spec": {', '"spec": {"unknown": %s, '),
    "an unknown field of the review": ('"apiVersion": "admission', '"unknown": %s, "apiVersion": "admission'),
    "options of the request": ('"dryRun": false', '"dryRun": false, "options": %s'),
}


def with_inside(document: dict[str, Any], place: str, text: str, **fields: Any) -> bytes:  # noqa: ANN401
    document["metadata"]["@"] = 0
    body = json.dumps(factories.review(document, **fields))
    old, new = PLACES[place]
    if old == '"@"':
        old = '"@": 0'
    assert old in body
    return body.replace(old, new.replace("%s", text), 1).encode()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("depth", [100, 972, 1_500, 9_995, 10_000])
def test_a_pod_is_judged_alike_however_deep_what_nobody_reads_is(depth: int, place: str) -> None:
    operation = "UPDATE" if "old" in place else "CREATE"
    nested = '{"a":[{"f:b":' * (depth // 3) + '{"\\"}": "]"}' + "}]}" * (depth // 3)
    plain = with_inside(privileged(), place, "1" if "old" not in place else "{}", operation=operation)
    deep = with_inside(privileged(), place, nested, operation=operation)

    for mode in ("enforce", "audit"):
        for path in PHASES:
            answer = answer_to(mode, path, deep)
            assert answer == answer_to(mode, path, plain)
            if mode == "enforce" and operation == "CREATE" and path.startswith("/validate"):
                assert not answer["allowed"]
                assert "privileged" in answer["status"]["message"] or path == "/validate/cost"


@pytest.mark.parametrize("depth", [972, 10_000])
def test_a_workload_is_judged_alike_however_deep_what_nobody_reads_is(depth: int) -> None:
    document = factories.deployment(3, factories.pod(hostNetwork=True))
    plain = with_inside(document, "managedFields", "1")
    deep = with_inside(document, "managedFields", '{"a":' * depth + "1" + "}" * depth)
    for path in PHASES:
        assert answer_to("enforce", path, deep) == answer_to("enforce", path, plain)
    assert any("hostNetwork" in line for line in answer_to("enforce", "/validate", deep)["warnings"])


def test_a_pod_that_is_decoded_anew_after_a_fault_may_be_as_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = World(policy(f"mode: enforce\n{SECTIONS}"))

    def broken(_rule: object, _context: object, _draft: object) -> Sequence[Finding]:
        raise RuntimeError("broken")

    groups = [
        tuple(
            each._replace(guardrail=each.guardrail._replace(propose=broken))
            if each.guardrail.name == "costLabels"
            else each
            for each in group
        )
        for group in faulty.rules.matcher._groups
    ]
    monkeypatch.setattr(faulty.rules.matcher, "_groups", tuple(groups))
    deep = with_inside(privileged(), "managedFields", '{"a":' * 9_995 + "1" + "}" * 9_995)

    encoded, _ = faulty.engine.answer("/mutate", deep)

    response = json.loads(encoded)["response"]
    assert response["allowed"]
    assert any("costLabels: could not judge" in line for line in response["warnings"])


SIZES = [8 * MIB, 9 * MIB, 20 * MIB, 32 * MIB - 100_000]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size / MIB:.1f} MiB")
def test_a_pod_is_judged_alike_however_large_it_is_written(size: int) -> None:
    pod = factories.stored(
        factories.pod(factories.container(securityContext={"privileged": True}, command=["/bin/sh", "@@"]))
    )
    body = json.dumps(factories.review(pod)).encode()
    # As Go writes what may stand in HTML: six bytes for one.
    large = body.replace(b"@@", b"\\u003c" * ((size - len(body)) // 6))
    assert abs(len(large) - size) < 10

    for mode in ("enforce", "audit"):
        for path in PHASES:
            assert answer_to(mode, path, large) == answer_to(mode, path, body)
    assert not answer_to("enforce", "/validate/security", large)["allowed"]


def test_a_body_is_cut_once_and_only_where_the_decoder_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Mock(side_effect=shallow.cut)
    monkeypatch.setattr(shallow, "cut", cut)

    request.decode(with_inside(privileged(), "managedFields", '{"a":' * 90 + "1" + "}" * 90))
    assert cut.call_count == 0
    request.decode(with_inside(privileged(), "managedFields", '{"a":' * 20_000 + "1" + "}" * 20_000))
    assert cut.call_count == 1
