"""Reviews recorded from a real API server, through all paths, under the policies that are shipped.

Each recorded object lives through what an API server does with it: the mutating call, the patch, a name and a UID, the
validating calls.
"""

import copy
import functools
import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

from tests import factories
from webhook import assembly
from webhook.admission.ruleset import Ruleset
from webhook.cluster.snapshot import Snapshot
from webhook.policy.model.sections import Mode

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "manifests" / "recorded"

EXCLUDED = frozenset({"kube-system", "kube-public", "kube-node-lease"})
MAPPED: dict[str, str] = yaml.safe_load((RECORDED / "replay.yaml").read_text())["namespaces"]
SCENES = {"as recorded": "", "as replay.yaml says": "mapped", "team": "team-alpha", "batch": "batch-jobs"}

MAY_BE_ADDED = re.compile(
    r"/metadata/(labels|annotations)(/.*)?"
    r"|/spec/(initContainers|containers)/\d+/resources(/(requests|limits)(/(cpu|memory))?)?"
    r"|/spec/((initContainers|containers)/\d+/)?securityContext(/.*)?"
    r"|/spec/(tolerations|topologySpreadConstraints)(/-)?"
    r"|/spec/affinity(/nodeAffinity(/preferredDuringSchedulingIgnoredDuringExecution(/-)?)?)?"
    r"|/spec/schedulerName"
)
MAY_BE_CHANGED = re.compile(
    r"/metadata/annotations/podgate\.dev~1.*"
    r"|/spec/(initContainers|containers)/\d+/resources/(requests|limits)/(cpu|memory)"
    r"|/spec/schedulerName"
)


@functools.cache
def _reviews() -> tuple[bytes, ...]:
    with gzip.open(RECORDED / "reviews.jsonl.gz") as lines:
        return tuple(lines)


@functools.cache
def _rules(cap: Mode) -> Ruleset:
    return Ruleset(assembly.load_policies(ROOT / "policies"), ("podgate",), cap)


@functools.cache
def _view() -> Snapshot:
    return Snapshot.from_directory(ROOT / "manifests" / "embedded")


def _scene(name: str) -> Iterator[dict[str, Any]]:
    """Yield the recorded reviews, in the namespaces of the scene."""
    target = SCENES[name]
    # What is moved into one namespace as a whole is a sample, so that the suite stays fast.
    for text in _reviews()[:: 5 if target.endswith(("alpha", "jobs")) else 1]:
        review = msgspec.json.decode(text)
        request = review["request"]
        recorded = str(request.get("namespace"))
        moved = MAPPED.get(recorded) if target == "mapped" else target
        if moved and recorded not in EXCLUDED:
            request["namespace"] = moved
            for field in ("object", "oldObject"):
                metadata = (request.get(field) or {}).get("metadata")
                if isinstance(metadata, dict) and "namespace" in metadata:
                    metadata["namespace"] = moved
        yield review


class Lived(NamedTuple):
    """What became of one recorded object."""

    review: dict[str, Any]
    mutated: factories.Answer
    again: factories.Answer
    """The mutating call for the object as patched."""
    final: dict[str, Any]
    validated: factories.Answer
    security: factories.Answer
    cost: factories.Answer

    @property
    def request(self) -> dict[str, Any]:
        """The request as recorded."""
        request: dict[str, Any] = self.review["request"]
        return request

    @property
    def answers(self) -> tuple[factories.Answer, ...]:
        """The answers that an API server would see."""
        return self.mutated, self.validated, self.security, self.cost


@functools.cache
def _lived(scene: str, cap: Mode) -> tuple[Lived, ...]:
    world = factories.World(rules=_rules(cap), view=_view())
    return tuple(_live(world, review, number) for number, review in enumerate(_scene(scene)))


def _live(world: factories.World, review: dict[str, Any], number: int) -> Lived:
    mutated = world.call("/mutate", review)
    request = review["request"]
    final = request["object"]
    if mutated.patch:
        final = factories.patched_with(final, mutated.patch)
    again = world.call("/mutate", _with_object(review, final, "again"))
    if isinstance(final, dict) and request["operation"] == "CREATE" and isinstance(final.get("metadata"), dict):
        uid = f"uid-{number}"
        final = {**final, "metadata": {"name": f"generated-{number}", "uid": uid, **final["metadata"]}}
    validating = _with_object(review, final, f"validating-{number}")
    return Lived(
        review,
        mutated,
        again,
        final,
        world.call("/validate", validating),
        world.call("/validate/security", validating),
        world.call("/validate/cost", validating),
    )


def _with_object(review: dict[str, Any], document: dict[str, Any] | None, uid: str) -> dict[str, Any]:
    return {**review, "request": {**review["request"], "object": document, "uid": uid}}


def _differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  any JSON
    """Yield (what, path) for everything that differs; ``null`` counts as absent."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            below = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in after:
                yield "removed", below
            elif before.get(key) is None:
                if after[key] is not None:
                    yield "added", below
            else:
                yield from _differences(before[key], after[key], below)
    elif isinstance(before, list) and isinstance(after, list) and len(after) >= len(before):
        for index, item in enumerate(before):
            yield from _differences(item, after[index], f"{path}/{index}")
        if len(after) > len(before):
            yield "added", f"{path}/-"
    elif before != after:
        yield "changed", path


CASES = [(scene, cap) for scene in SCENES for cap in ("enforce", "audit")]


@pytest.mark.parametrize(("scene", "cap"), CASES)
def test_no_recorded_object_is_patched_where_it_must_not_be(scene: str, cap: Mode) -> None:
    for lived in _lived(scene, cap):
        for what, path in _differences(lived.request["object"], lived.final):
            if path in ("/metadata/name", "/metadata/uid"):
                continue
            allowed = {"added": MAY_BE_ADDED, "changed": MAY_BE_CHANGED}.get(what)
            assert allowed is not None, (what, path)
            assert allowed.fullmatch(path), (what, path)


@pytest.mark.parametrize(("scene", "cap"), CASES)
def test_a_second_pass_over_a_patched_object_changes_nothing(scene: str, cap: Mode) -> None:
    for lived in _lived(scene, cap):
        assert lived.again.patch == []


@pytest.mark.parametrize(("scene", "cap"), CASES)
def test_only_pods_at_their_creation_are_patched(scene: str, cap: Mode) -> None:
    for lived in _lived(scene, cap):
        request = lived.request
        is_new_pod = request["kind"]["kind"] == "Pod" and request["operation"] == "CREATE"
        if cap == "audit" or not is_new_pod or request.get("subResource"):
            assert lived.mutated.patch == []
        assert not any(answer.patch for answer in (lived.validated, lived.security, lived.cost))


@pytest.mark.parametrize("scene", SCENES)
def test_a_patched_pod_is_what_its_guardrails_wanted(scene: str) -> None:
    for lived in _lived(scene, "enforce"):
        if not lived.mutated.patch:
            continue
        for item in (lived.validated.entry or {}).get("guardrails", []):
            if item["guardrail"] in ("rightSizing", "spot", "binPacking"):
                assert item["outcome"] == "passed", item
            if item["guardrail"] == "costLabels":
                # A value that the author claims is never overwritten, so it may still be wrong.
                rules = {finding["rule"] for finding in item.get("findings", [])}
                assert rules <= {"contradicts", "value"}, item


@pytest.mark.parametrize("scene", SCENES)
def test_audit_refuses_nothing_and_tells_nobody_but_the_records(scene: str) -> None:
    for lived in _lived(scene, "audit"):
        for answer in lived.answers:
            assert answer.allowed
            assert answer.warnings == []


@pytest.mark.parametrize("scene", SCENES)
def test_audit_records_the_very_patch_that_would_have_been_applied(scene: str) -> None:
    audited = _lived(scene, "audit")
    for enforced, held_back in zip(_lived(scene, "enforce"), audited, strict=True):
        if enforced.mutated.entry is None or enforced.request["kind"]["kind"] != "Pod":
            continue
        assert held_back.mutated.entry is not None
        # Guardrails in audit build on what enforced ones made, so both patches together are the whole.
        whole = enforced.mutated.patch + enforced.mutated.entry.get("wouldPatch", [])
        document = enforced.request["object"]
        told = held_back.mutated.entry.get("wouldPatch", [])
        assert factories.patched_with(document, told) == factories.patched_with(document, whole)


@pytest.mark.parametrize(("scene", "cap"), CASES)
def test_excluded_namespaces_pass_untouched(scene: str, cap: Mode) -> None:
    seen = 0
    for lived in _lived(scene, cap):
        if lived.request.get("namespace") in EXCLUDED:
            seen += 1
            for answer in lived.answers:
                assert set(answer.response) == {"uid", "allowed"}
                assert answer.allowed
    assert seen > 2


@pytest.mark.parametrize(("scene", "cap"), CASES)
def test_what_is_said_is_one_line_without_generated_names(scene: str, cap: Mode) -> None:
    for lived in _lived(scene, cap):
        for answer in lived.answers:
            for text in (*answer.warnings, answer.message):
                assert "\n" not in text
                assert "generated-" not in text
            if not answer.allowed:
                assert answer.response["status"]["code"] == 403
                assert "to fix: " in answer.message


@pytest.mark.parametrize(("scene", "cap"), CASES)
def test_the_halves_of_validate_together_say_what_it_says(scene: str, cap: Mode) -> None:
    for lived in _lived(scene, cap):
        whole = {(item["policy"], item["guardrail"]) for item in (lived.validated.entry or {}).get("guardrails", [])}
        halves = [
            {(item["policy"], item["guardrail"]) for item in (answer.entry or {}).get("guardrails", [])}
            for answer in (lived.security, lived.cost)
        ]
        assert halves[0] | halves[1] == whole
        assert not halves[0] & halves[1]


def test_the_recording_reaches_every_verdict() -> None:
    outcomes = {
        item["outcome"]
        for scene in SCENES
        for lived in _lived(scene, "enforce")
        for answer in (lived.mutated, lived.validated)
        for item in (answer.entry or {}).get("guardrails", [])
    }
    assert outcomes >= {"passed", "changed", "would_change", "refused", "warned", "would_refuse"}


def test_judging_leaves_the_cluster_view_as_it_was() -> None:
    fresh = Snapshot.from_directory(ROOT / "manifests" / "embedded")
    _lived("team", "enforce")
    for kind, name in (("Deployment", "frontend"), ("Deployment", "cartservice")):
        assert _view().workload("team-alpha", kind, name) == fresh.workload("team-alpha", kind, name)
    assert copy.copy(_view().sizes()) == fresh.sizes()
