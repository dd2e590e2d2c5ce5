"""After another webhook has inserted a sidecar, the second mutating call adds only what is missing.

An API server calls again (``reinvocationPolicy: IfNeeded``) where a later webhook has changed the pod. What the first
call wrote must then stand, nothing is multiplied or said twice, and a third call has nothing to do.
"""

import copy
import functools
import gzip
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories as make
from tests.guardrails import _api_rules as api
from webhook import assembly
from webhook.admission.ruleset import Ruleset
from webhook.cluster.snapshot import Snapshot

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
ORIGINALS = "podgate.dev/original-resources"
SIDECAR = "mesh-proxy"


def sidecar(**fields: Any) -> Json:  # noqa: ANN401  JSON fields of a container
    """Return a container as a service mesh inserts it."""
    return {"name": SIDECAR, "image": "registry.example/mesh:1", **fields}


BARE = sidecar()
ASKING = sidecar(resources={"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}})
HARDENED = sidecar(
    securityContext={
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
)
UNHELPFUL = sidecar(securityContext={"privileged": True})
NATIVE = sidecar(restartPolicy="Always", resources={"requests": {"cpu": "10m"}})
SHAPES = {"bare": BARE, "asking": ASKING, "hardened": HARDENED, "unhelpful": UNHELPFUL, "native": NATIVE}


def with_sidecar(document: Json, container: Json, *, first: bool) -> Json:
    """Return a copy with the container inserted before or behind the others of its list."""
    changed = copy.deepcopy(document)
    place = "initContainers" if "restartPolicy" in container else "containers"
    others = changed["spec"].get(place) or []
    changed["spec"][place] = [container, *others] if first else [*others, container]
    return changed


def sizes(document: Json) -> list[Json]:
    """Return the resources of all containers."""
    spec = document["spec"]
    return [item.get("resources", {}) for item in (*spec.get("initContainers", ()), *spec["containers"])]


def without_sidecar(document: Json, *, and_sizes: bool = False) -> Json:
    """Return the pod without the sidecar and the note of what containers had before; without any sizes, too."""
    rest = copy.deepcopy(document)
    if and_sizes:
        for item in (*rest["spec"].get("initContainers", ()), *rest["spec"]["containers"]):
            item.pop("resources", None)
    for place in ("initContainers", "containers"):
        if place in rest["spec"]:
            rest["spec"][place] = [item for item in rest["spec"][place] or () if item["name"] != SIDECAR]
            if not rest["spec"][place]:
                del rest["spec"][place]
    annotations = rest["metadata"].pop("annotations", None) or {}
    annotations.pop(ORIGINALS, None)
    rest["metadata"]["annotations"] = annotations
    return rest


def container_of(document: Json) -> Json:
    """Return the sidecar as it stands in the pod."""
    spec = document["spec"]
    found: Json = next(
        item for place in ("initContainers", "containers") for item in spec.get(place) or () if item["name"] == SIDECAR
    )
    return found


def mutated(world: make.World, review: Json, document: Json) -> tuple[Json, list[Json]]:
    """Return the object as patched, and the patch."""
    answer = world.call("/mutate", {**review, "request": {**review["request"], "object": document}})
    return make.patched_with(document, answer.patch), answer.patch


def _with_pod_values(between: Json, twice: Json) -> Json:
    """Return the pod of the second call with the values that hardening gives to the pod where a container lacks them;
    the other containers had their own."""
    added = {key: twice["spec"].get("securityContext", {}).get(key) for key in ("runAsNonRoot", "seccompProfile")}
    present = between["spec"].get("securityContext") or {}
    context = {key: value for key, value in added.items() if value is not None} | present
    return {**between, "spec": {**between["spec"], "securityContext": context}}


def check(world: make.World, review: Json, container: Json, *, first: bool) -> tuple[Json, Json]:
    """Let a pod live through two calls with a sidecar between them, and see that the second only adds.

    Returns:
        The pod as it was when it came to the second call, and as it left.
    """
    once, _ = mutated(world, review, review["request"]["object"])
    between = with_sidecar(once, container, first=first)
    twice, patch = mutated(world, review, between)
    is_sized_anew = api.qos(once) == "Guaranteed"
    kept, left = (without_sidecar(each, and_sizes=is_sized_anew) for each in (_with_pod_values(between, twice), twice))
    assert kept == left, patch
    if is_sized_anew:
        # The sidecar has made it Burstable, so it is sized as if it had never been anything else.
        together, _ = mutated(world, review, with_sidecar(review["request"]["object"], container, first=first))
        assert sizes(twice) == sizes(together), patch
    again, third = mutated(world, review, twice)
    assert third == []
    assert again == twice
    return between, twice


# --- recorded pods --------------------------------------------------------------------------------------------------


@functools.cache
def recorded() -> list[Json]:
    """Return the reviews of new pods that a real API server sent to a mutating webhook, each shape once."""
    found: dict[str, Json] = {}
    with gzip.open(ROOT / "manifests" / "recorded" / "reviews.jsonl.gz") as lines:
        for line in lines:
            review = msgspec.json.decode(line)
            request = review["request"]
            is_new = request["operation"] == "CREATE" and not request.get("subResource")
            if is_new and request["kind"]["kind"] == "Pod":
                spec = request["object"]["spec"]
                names = [item["name"] for item in (*spec.get("initContainers", ()), *spec["containers"])]
                found.setdefault("/".join(names), review)
    # Half of them, so that the suite stays fast.
    return list(found.values())[::2]


@functools.cache
def shipped() -> make.World:
    """Return an engine with the shipped policies over the embedded cluster."""
    rules = Ruleset(assembly.load_policies(ROOT / "policies"), ("podgate",))
    return make.World(rules=rules, view=Snapshot.from_directory(ROOT / "manifests" / "embedded"))


@pytest.mark.parametrize("namespace", ["team-alpha", "team-beta", "batch-jobs"])
@pytest.mark.parametrize("shape", SHAPES)
def test_recorded_pods_get_only_what_their_new_sidecar_lacks(shape: str, namespace: str) -> None:
    reviews = recorded()
    assert len(reviews) > 20
    changed = 0
    for number, review in enumerate(reviews):
        moved = {**review, "request": {**review["request"], "namespace": namespace}}
        between, twice = check(shipped(), moved, SHAPES[shape], first=number % 2 == 0)
        changed += between != twice
    # Only teams have their containers hardened and sized.
    assert changed > len(reviews) // 2 or namespace == "batch-jobs" or shape in ("hardened", "unhelpful")


# --- generated pods -------------------------------------------------------------------------------------------------

POLICY = make.policy(
    "mode: enforce\n"
    "rightSizing: {limitFloor: {cpu: 200m}}\n"
    "costLabels: {required: [{key: cost-center, source: namespace}]}\n"
    "spot: {tolerations: [{key: spot, operator: Exists}], nodeAffinity: {weight: 9, key: lifecycle, values: [spot]}}\n"
    "binPacking: {schedulerName: packer, topologySpread: {maxSkew: 3, topologyKey: kubernetes.io/hostname}}\n"
    "podSecurity: {level: restricted, harden: true}"
)
AMOUNTS = ("50m", "100m", "250m", "1"), ("64Mi", "128Mi", "300Mi", "1Gi")


def autoscaler(random: Random) -> Json:
    """Return a VPA of the Deployment, with recommendations for some of the containers."""
    entries = [
        {"containerName": name, "target": {"cpu": random.choice(AMOUNTS[0]), "memory": random.choice(AMOUNTS[1])}}
        for name in ("app", "job", "setup", SIDECAR)
        if random.random() < 0.7
    ]
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "shop", "namespace": "team-alpha"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "updatePolicy": {"updateMode": random.choice(["Off", "Initial", "Recreate"])},
        },
        "status": {"recommendation": {"containerRecommendations": entries}},
    }


def generated(random: Random) -> Json:
    """Return a pod of the Deployment."""

    def one(name: str) -> Json:
        made: Json = {"name": name, "image": "registry.example/app:1"}
        requests = {"cpu": random.choice(AMOUNTS[0]), "memory": random.choice(AMOUNTS[1])}
        made["resources"] = {"requests": {key: value for key, value in requests.items() if random.random() < 0.7}}
        if random.random() < 0.4:
            made["securityContext"] = random.choice(
                [{"runAsNonRoot": True}, {"allowPrivilegeEscalation": False}, {"runAsUser": 5}, {"privileged": True}]
            )
        return made

    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-7d9c8b6f5", "uid": "rs", "controller": True}
    document = make.pod(
        *(one(name) for name in ("app", "job")[: random.randint(1, 2)]),
        metadata={"ownerReferences": [owner]},
        labels={"pod-template-hash": "7d9c8b6f5"},
    )
    if random.random() < 0.4:
        document["spec"]["initContainers"] = [one("setup")]
    return document


def world_of(random: Random) -> make.World:
    """Return an engine over a cluster with that VPA."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "packer", "namespace": "kube-system"},
        "spec": {"holderIdentity": "packer-0"},
    }
    namespace = make.namespace("team-alpha", {"cost-center": "alpha"})
    return make.World(rules=_rules(), view=Snapshot.from_documents([namespace, lease, autoscaler(random)]))


@functools.cache
def _rules() -> Ruleset:
    return make.ruleset(POLICY)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**48), st.sampled_from(sorted(SHAPES)), st.booleans())
def test_a_sidecar_between_two_calls_is_completed_and_nothing_else_is_touched(
    seed: int, shape: str, first: bool
) -> None:
    random = Random(seed)  # noqa: S311  not for secrets
    world = world_of(random)
    document = generated(random)
    _, twice = check(world, make.review(document), SHAPES[shape], first=first)
    if shape in ("hardened", "unhelpful"):
        return
    # What is written for the sidecar is what it had got, had it been there from the beginning.
    together, _ = mutated(world, make.review(document), with_sidecar(document, SHAPES[shape], first=first))
    assert container_of(twice).get("resources") == container_of(together).get("resources")


def test_the_original_values_of_the_first_call_are_kept_by_the_second() -> None:
    random = Random(3)  # noqa: S311  not for secrets
    world = world_of(random)
    document = make.pod(make.container("app", "1", "1Gi"), metadata=generated(random)["metadata"])
    once, _ = mutated(world, make.review(document), document)
    twice, _ = mutated(world, make.review(document), with_sidecar(once, ASKING, first=True))
    before = msgspec.json.decode(once["metadata"]["annotations"][ORIGINALS])
    after = msgspec.json.decode(twice["metadata"]["annotations"][ORIGINALS])
    assert before["app"]["requests"]["cpu"] == "1"
    assert after["app"] == before["app"]
