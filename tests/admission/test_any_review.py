"""Whatever an API server can send is judged: any depth of what nobody reads, and any size up to the limit."""

import functools
import json
from typing import Any

import pytest

from tests import factories
from tests.factories import World, policy
from webhook.admission import request
from webhook.admission.engine import PHASES

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
    "status": ('"status": {}', '"status": {"conditions": %s}'),
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
    shallow = with_inside(privileged(), place, "1" if "old" not in place else "{}", operation=operation)
    deep = with_inside(privileged(), place, nested, operation=operation)

    for mode in ("enforce", "audit"):
        for path in PHASES:
            answer = answer_to(mode, path, deep)
            assert answer == answer_to(mode, path, shallow)
            if mode == "enforce" and operation == "CREATE" and path.startswith("/validate"):
                assert not answer["allowed"]
                assert "privileged" in answer["status"]["message"] or path == "/validate/cost"


@pytest.mark.parametrize("depth", [972, 10_000])
def test_a_workload_is_judged_alike_however_deep_what_nobody_reads_is(depth: int) -> None:
    for document in (factories.deployment(3, factories.pod(hostNetwork=True)),):
        shallow = with_inside(document, "managedFields", "1")
        deep = with_inside(document, "managedFields", '{"a":' * depth + "1" + "}" * depth)
        for path in PHASES:
            assert answer_to("enforce", path, deep) == answer_to("enforce", path, shallow)
        assert any("hostNetwork" in line for line in answer_to("enforce", "/validate", deep)["warnings"])


def test_a_pod_that_is_decoded_anew_after_a_fault_may_be_as_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = world("enforce").rules
    entry = next(
        e
        for e in rules.matcher.resolve("team-alpha", None, {}, factories_requester())
        if e.guardrail.name == "costLabels"
    )

    def broken(*_arguments: object) -> object:
        raise RuntimeError("broken")

    replaced = entry.guardrail._replace(propose=broken)
    fresh = World(policy(f"mode: enforce\n{SECTIONS}"))
    group = next(group for group in fresh.rules.matcher._groups if group[0].guardrail.name == "costLabels")
    monkeypatch.setattr(
        fresh.rules.matcher,
        "_groups",
        tuple(
            tuple(each._replace(guardrail=replaced) for each in groups) if groups is group else groups
            for groups in fresh.rules.matcher._groups
        ),
    )
    deep = with_inside(privileged(), "managedFields", '{"a":' * 9_995 + "1" + "}" * 9_995)

    encoded, _ = fresh.engine.answer("/mutate", deep)

    response = json.loads(encoded)["response"]
    assert response["allowed"]
    assert any("could not judge" in line for line in response["warnings"])


def factories_requester() -> Any:  # noqa: ANN401
    from webhook.guardrails._contract import Requester

    return Requester()


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


def test_what_is_cut_takes_time_that_grows_with_the_body_alone() -> None:
    """A second pass over what was cut already would be one too many."""
    nested = '{"a":' * 5_000 + "1" + "}" * 5_000
    body = with_inside(privileged(), "status", f"[{', '.join([nested] * 60)}]")
    seen: list[int] = []
    original = request.shallow.cut

    def counted(body: bytes) -> bytes:
        seen.append(len(body))
        return original(body)

    request.shallow.cut = counted  # type: ignore[assignment]
    try:
        request.decode(body)
    finally:
        request.shallow.cut = original
    assert seen == [len(body)]
