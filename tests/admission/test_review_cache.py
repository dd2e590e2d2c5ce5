# ruff: noqa: ANN401  # JSON documents may be anything
"""Pods that are alike are judged once, and nobody can tell by the answers."""

import copy
import functools
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
import yaml

from tests import factories
from tests.admission import _copies, test_replacement
from webhook import assembly
from webhook.admission import review_cache
from webhook.admission.request import BadReview
from webhook.admission.ruleset import Ruleset
from webhook.cluster.snapshot import Snapshot
from webhook.cluster.view import View
from webhook.guardrails.base import registry as guardrail_registry

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "manifests" / "recorded"
MAPPED: dict[str, str] = yaml.safe_load((RECORDED / "replay.yaml").read_text())["namespaces"]

SECURE = factories.policy("mode: enforce\npodSecurity: {level: restricted}", name="secure")
SIZED = factories.policy("mode: enforce\nrightSizing: {}", name="sized")
LABELLED = factories.policy(
    "mode: enforce\ncostLabels: {required: [{key: cost-center, source: namespace}]}", name="labelled"
)
PACKED = factories.policy("mode: enforce\nbinPacking: {schedulerName: packer}", name="packed")
CAPPED = factories.policy("mode: enforce\ncostCeiling: {podMonthly: '250'}", name="capped")


def hits(world: factories.World) -> int:
    return world.engine.lookups["hit"]


def timeless(line: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(line)
    del entry["microseconds"]
    return entry


# --- the answers are the same ---------------------------------------------------------------------------------------


@functools.cache
def _recorded() -> tuple[dict[str, Any], ...]:
    found = []
    with gzip.open(RECORDED / "reviews.jsonl.gz") as lines:
        for line in lines:
            review = json.loads(line)
            if review["request"]["kind"]["kind"] != "Pod":
                continue
            namespace = review["request"].get("namespace")
            if namespace in MAPPED:
                review["request"]["namespace"] = MAPPED[namespace]
            found.append(review)
    return tuple(found)


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
@pytest.mark.parametrize("cap", ["enforce", "audit"])
def test_recorded_reviews_get_the_same_answer_and_log_line_each_time(path: str, cap: Any) -> None:
    view = Snapshot.from_directory(ROOT / "manifests" / "embedded")
    rules = Ruleset(assembly.load_policies(ROOT / "policies"), (), cap)
    plain = factories.World(view=view, rules=rules, cache_bytes=0)
    kept = factories.World(view=view, rules=rules)
    for number, review in enumerate(_recorded()):
        for _ in range(3):
            expected, got = plain.call(path, review), kept.call(path, review)
            assert got.response == expected.response, number
    assert list(map(timeless, kept.lines)) == list(map(timeless, plain.lines))
    assert hits(plain) == 0
    assert hits(kept) > 100


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, index))
    else:
        yield path


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    node: Any = made
    for step in path[:-1]:
        node = node[step]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return made


EVERYTHING = (SECURE, SIZED, LABELLED, PACKED, CAPPED)


def said(world: factories.World, path: str, review: dict[str, Any]) -> object:
    """The answer, or why there is none."""
    try:
        return world.call(path, review).response
    except BadReview as error:
        return error.reason


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
def test_no_field_can_be_changed_without_being_judged_anew(path: str) -> None:
    """Each leaf of the request is taken away, and set to other values; the answer stays that of no cache."""
    request = factories.review(_copies.rich_pod(), user="system:serviceaccount:kube-system:replicaset-controller")[
        "request"
    ]
    documents = [*_copies.CLUSTER, _copies.VPA]
    plain = factories.World(*EVERYTHING, cluster=documents, cache_bytes=0)
    kept = factories.World(*EVERYTHING, cluster=documents)
    count = 0
    for leaf in leaves(request):
        for value in (None, "x", "4", "Unconfined", 7, True, False):
            said(kept, path, wrapped(request))
            review = wrapped(changed(request, leaf, value))
            if "uid" in review["request"]:
                assert said(kept, path, review) == said(plain, path, review), (leaf, value)
                count += 1
    assert count > 500
    assert hits(kept) > 500


def wrapped(request: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


# --- what differs between copies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/mutate", "/validate", "/validate/security", "/validate/cost"])
def test_a_decision_is_kept_of_the_second_copy_of_a_pod_and_serves_all_others(path: str) -> None:
    world = factories.World(*EVERYTHING, cluster=[*_copies.CLUSTER, _copies.VPA])
    answers = [
        world.call(path, factories.review(factories.stored(_copies.deployed(name), f"uid-{name}"), uid=f"call-{name}"))
        for name in ("x2v4z", "bb5kd", "zzzzz", "9j4rw")
    ]
    assert hits(world) == 2
    for answer, name in zip(answers, ("x2v4z", "bb5kd", "zzzzz", "9j4rw"), strict=True):
        assert answer.response["uid"] == answer.notes["decision"] == f"call-{name}"
        assert answer.entry is not None
        assert answer.entry["name"] == f"shop-7d9c8b6f5-{name}"
        assert answer.entry["decision"] == f"call-{name}"
    assert len({json.dumps(answer.patch) for answer in answers}) == 1


def test_a_decision_that_quotes_the_name_of_one_pods_volume_serves_no_other() -> None:
    world = factories.World(SECURE.replace("restricted", "baseline"))
    for name in ("x2v4z", "bb5kd", "zzzzz"):
        pod = _copies.deployed(name)
        # Two sources: no API server accepts it, but a manifest may hold it.
        pod["spec"]["volumes"][0]["hostPath"] = {"path": "/"}
        assert f"kube-api-access-{name}" in world.validate(pod).message
    assert hits(world) == 0


@pytest.mark.parametrize(
    "request_fields",
    [
        pytest.param({"operation": "UPDATE", "old": _copies.deployed()}, id="update"),
        pytest.param({"operation": "UPDATE", "old": _copies.deployed(), "subResource": "resize"}, id="resize"),
        pytest.param(
            {"operation": "UPDATE", "old": _copies.deployed(), "subResource": "ephemeralcontainers"}, id="debug"
        ),
    ],
)
def test_only_new_pods_are_kept(request_fields: dict[str, Any]) -> None:
    world = factories.World(*EVERYTHING)
    for _ in range(3):
        world.validate(_copies.deployed(), **request_fields)
    assert hits(world) == 0
    assert world.engine.sizes()["reviews"] == 0


# --- what it rests on -----------------------------------------------------------------------------------------------


class Changing:
    """A view whose cluster is replaced as a whole."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.now = Snapshot.from_documents(documents)

    def __getattr__(self, name: str) -> Callable[..., object]:
        def ask(*arguments: object) -> object:
            answer: object = getattr(self.now, name)(*arguments)
            return answer

        self.__dict__[name] = ask
        return ask


def without(kind: str) -> list[dict[str, Any]]:
    return [each for each in (*_copies.CLUSTER, _copies.VPA) if each["kind"] != kind]


LESS = changed(_copies.VPA, ("status", "recommendation", "containerRecommendations", 0, "target", "cpu"), "200m")


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(without("VerticalPodAutoscaler"), id="the VPA is deleted"),
        pytest.param([*without("VerticalPodAutoscaler"), LESS], id="the VPA recommends less"),
        pytest.param([*_copies.CLUSTER, _copies.VPA, _copies.LIMIT_RANGE], id="a LimitRange appears"),
        pytest.param([*_copies.CLUSTER, _copies.VPA, _copies.HPA], id="an HPA appears"),
        pytest.param(without("Lease"), id="the scheduler loses its Lease"),
        pytest.param(
            [*without("Namespace"), factories.namespace("team-alpha", {"cost-center": "beta"})],
            id="the namespace moves to another cost-center",
        ),
        pytest.param(without("Namespace"), id="the namespace is not known any more"),
        pytest.param(without("ReplicaSet"), id="the owner is not known any more"),
    ],
)
def test_what_changes_in_the_cluster_counts_from_the_next_review_on(after: list[dict[str, Any]]) -> None:
    view = Changing([*_copies.CLUSTER, _copies.VPA])
    world = factories.World(*EVERYTHING, view=cast("View", view))
    before = world.mutate(_copies.deployed())
    for _ in range(2):
        assert world.mutate(_copies.deployed()).response == before.response
    assert hits(world) == 1

    view.now = Snapshot.from_documents(after)

    expected = factories.World(*EVERYTHING, cluster=after, cache_bytes=0).mutate(_copies.deployed())
    assert world.mutate(_copies.deployed()).response == expected.response
    # Without its ReplicaSet the Deployment is derived from the name, which is another answer with the same outcome.
    assert (expected.response == before.response) is (after == without("ReplicaSet"))


def test_the_policies_that_are_put_in_force_count_from_the_next_review_on() -> None:
    world = factories.World(CAPPED)
    assert [world.validate(_copies.deployed()).allowed for _ in range(3)] == [True] * 3
    world.engine.put_in_force(factories.ruleset(CAPPED.replace("250", "100")))
    assert not world.validate(_copies.deployed()).allowed


def test_an_exception_that_expires_is_not_outlived() -> None:
    moment = [datetime(2026, 12, 1, 23, 59, tzinfo=factories.NOON.tzinfo)]
    exception = (
        "apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: old, namespace: team-alpha}\n"
        "spec: {guardrails: [podSecurity], owner: a@b.example, reason: vendor, expires: '2026-12-01'}\n"
    )
    world = factories.World(SECURE, exception, cluster=_copies.CLUSTER, now=lambda: moment[0])
    assert [world.validate(_copies.deployed()).allowed for _ in range(3)] == [True] * 3
    moment[0] += timedelta(minutes=1)
    assert not world.validate(_copies.deployed()).allowed


# --- money ----------------------------------------------------------------------------------------------------------


def budget(amount: str, **fields: str) -> str:
    more = "".join(f"\n{key}: {value}" for key, value in fields.items())
    return factories.policy(
        f"mode: enforce\nscope: {{namespaces: [team-alpha]}}\namount: '{amount}'\ncurrency: USD{more}",
        "alpha",
        "Budget",
    )


@pytest.mark.parametrize(
    "fields", [{}, {"warnAt": "[50, 90]"}, {"warnAt": "[150]", "rejectAt": "120"}, {"basis": "monthEnd"}]
)
@pytest.mark.parametrize("amount", ["999.99", "1000", "1000.01", "1"])
def test_budgets_say_the_same_of_every_copy_as_without_a_cache(amount: str, fields: dict[str, str]) -> None:
    worlds = [
        factories.World(SIZED, budget(amount, **fields), cluster=_copies.CLUSTER, cache_bytes=size)
        for size in (0, review_cache.MAXIMUM_BYTES)
    ]
    for number in range(9):
        plain, kept = (world.validate(_copies.deployed(), pod_uid=f"pod-{number}") for world in worlds)
        assert kept.response == plain.response, number
        assert worlds[0].ledger.committed("alpha") == worlds[1].ledger.committed("alpha")
    assert hits(worlds[1]) > 0 or amount == "1" or fields


def test_the_reservation_is_made_for_each_copy() -> None:
    world = factories.World(SIZED, budget("1000"), cluster=_copies.CLUSTER)
    assert [world.validate(_copies.deployed(), pod_uid=f"pod-{number}").allowed for number in range(7)] == [
        True
    ] * 5 + [False] * 2
    assert hits(world) > 2


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_it_never_holds_more_than_its_bytes() -> None:
    world = factories.World(CAPPED, cache_bytes=20_000)
    for number in range(200):
        for _ in range(2):
            world.validate(_copies.deployed(nodeSelector={"n": str(number)}))
        assert world.engine.sizes()["reviews"] < 60
    assert world.engine.sizes()["reviews"] > 10
    # What is asked for again and again stays.
    before = hits(world)
    for number in range(200, 400):
        for _ in range(2):
            world.validate(_copies.deployed(nodeSelector={"n": str(number)}))
        world.validate(_copies.deployed())
    assert hits(world) - before > 190


def test_a_huge_pod_is_judged_each_time() -> None:
    world = factories.World(CAPPED)
    pod = _copies.deployed(nodeSelector={"n": "x" * review_cache.MAXIMUM_POD})
    for _ in range(3):
        world.validate(pod)
    assert world.engine.sizes()["reviews"] == 0


def test_a_fault_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [[], RuntimeError("once"), []]
    real = guardrail_registry.discover()
    flaky = tuple(
        item._replace(inspect=Mock(side_effect=answers)) if item.name == "costCeiling" else item for item in real
    )
    monkeypatch.setattr(guardrail_registry, "discover", lambda: flaky)
    world = factories.World(CAPPED)
    outcomes = [world.validate(_copies.deployed()).outcome("costCeiling") for _ in range(4)]
    assert outcomes == ["passed", "fault_allowed", "passed", "passed"]


def test_the_pods_that_were_seen_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_cache, "MAXIMUM_SEEN", 10)
    world = factories.World(CAPPED)
    for number in range(100):
        for _ in range(2):
            world.validate(_copies.deployed(nodeSelector={"n": str(number)}))
    assert 80 <= world.engine.sizes()["reviews"] <= 100


def test_the_end_of_a_budgets_grace_counts_from_the_next_pod_on() -> None:
    now = [factories.NOON]
    world = factories.World(
        SIZED, budget("1000", graceUntil="'2026-11-22'"), cluster=_copies.CLUSTER, now=lambda: now[0]
    )
    for number in range(3):
        assert world.validate(_copies.deployed(), pod_uid=f"pod-{number}").allowed
    # A kept decision would go on booking without a limit.
    assert hits(world) == 0
    now[0] = factories.NOON.replace(day=23)
    verdicts = [world.validate(_copies.deployed(), pod_uid=f"later-{number}").allowed for number in range(20)]
    assert verdicts[0]
    assert not verdicts[-1]


def test_a_replacement_is_let_in_however_many_copies_were_judged_before() -> None:
    worlds = [
        test_replacement.Cluster(test_replacement.FULL, cache_bytes=size) for size in (0, review_cache.MAXIMUM_BYTES)
    ]
    for cluster in worlds:
        cluster.has(test_replacement.deployment(4), test_replacement.replica_set("old", 4))
        cluster.run("old", 4)
        assert not cluster.create(test_replacement.pod_of("ReplicaSet", "old")).allowed
        cluster.ledger.release("pod-1")
        assert cluster.create(factories.pod(), user="jane").allowed
        assert cluster.create(test_replacement.pod_of("ReplicaSet", "old")).allowed
        assert not cluster.create(test_replacement.pod_of("ReplicaSet", "old")).allowed
