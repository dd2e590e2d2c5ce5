"""From a pod to its controller: the rules that go beyond VPA's, whose cases are run by ``tests/conformance``."""

from typing import Any

import pytest

from tests.conformance import vpa as vpa_cases
from tests.conformance._cases import stored_rows
from tests.contracts.view import LABELS, NS, WEB, WEB_RS, obj, owned_by, owner, vpa
from webhook.cluster.snapshot import Snapshot
from webhook.cluster.view import Controller
from webhook.kube.objects import OwnerReference

CASES = {row["id"]: row for row in stored_rows(vpa_cases.FILES[0])}

OFF_COUNTS = "a VPA in recommendation mode (Off) counts where none acts"
OVERRULED: dict[str, tuple[str | None, str]] = {
    "vpa-138": ("off-vpa", OFF_COUNTS),
    "vpa-321": ("on-deployment", "an owner that cannot be asked about its scale is no reason to forget the Deployment"),
    "vpa-175": ("Deployment/test-deployment", "a custom resource counts only where an autoscaler targets it"),
    "vpa-177": ("NotScalingResource/iCanNotScale", "an owner of which nothing is known stands for itself"),
}
"""Cases of VPA's own tests where this project's rule differs: the answer here, and why."""


@pytest.mark.parametrize("case", OVERRULED)
def test_where_the_rule_differs_from_vpas_the_answer_is_ours(case: str) -> None:
    answer, reason = OVERRULED[case]
    assert vpa_cases.of_row(CASES[case]), reason
    expect: dict[str, Any] = {"matchedVpa": answer}
    if answer is not None and "/" in answer:
        kind, _, name = answer.partition("/")
        expect = {"controller": {"kind": kind, "name": name}}
    assert vpa_cases.of_row({**CASES[case], "expect": expect}) == [], reason


def climb(objects: list[dict[str, Any]], start: OwnerReference | None, labels: dict[str, str] | None = None) -> str:
    """Return the controller as short text: ``Deployment/web``, with ``?`` behind it where it is derived."""
    found = Snapshot.from_documents(objects).top_controller(NS, start, labels or {})
    return f"{found.kind}/{found.name}{'?' if found.derived else ''}" if found is not None else "-"


def rs(name: str, owners: list[dict[str, Any]] | None = None, uid: str = "") -> dict[str, Any]:
    return obj("ReplicaSet", name, {"selector": {"matchLabels": {"app": "web"}}}, uid=uid, ownerReferences=owners)


ROLLOUT = owned_by("Rollout", "web")
ROLLOUT_LABELS = {"app": "web", "rollouts-pod-template-hash": "7d4b9c"}
ROLLOUT_TARGET = {"scaleTargetRef": {"kind": "Rollout", "name": "web"}}


@pytest.mark.parametrize(
    ("objects", "start", "labels", "expected"),
    [
        pytest.param([], None, {}, "-", id="no controller"),
        pytest.param([], OwnerReference(kind="", name="x"), {}, "-", id="a reference without kind"),
        pytest.param([], owner("StatefulSet", "db"), {}, "StatefulSet/db", id="unknown owner stands for itself"),
        pytest.param([], owner("Node", "n1"), {}, "Node/n1", id="mirror pod"),
        pytest.param([], owner("ReplicaSet", "web-7d4b9c"), LABELS, "Deployment/web?", id="hash ends the name"),
        pytest.param([], owner("ReplicaSet", "web"), LABELS, "ReplicaSet/web", id="a name without the hash"),
        pytest.param([], owner("ReplicaSet", "web7d4b9c"), LABELS, "ReplicaSet/web7d4b9c", id="hash without a dash"),
        pytest.param([], owner("ReplicaSet", "-7d4b9c"), LABELS, "ReplicaSet/-7d4b9c", id="nothing but the hash"),
        pytest.param([], owner("ReplicaSet", "web-7d4b9c"), {}, "ReplicaSet/web-7d4b9c", id="no hash label"),
        pytest.param(
            [], owner("ReplicaSet", "web-"), {"pod-template-hash": ""}, "ReplicaSet/web-", id="an empty hash label"
        ),
        pytest.param([rs("web-7d4b9c")], owner("ReplicaSet", "web-7d4b9c"), LABELS, "ReplicaSet/web-7d4b9c",
                     id="a known ReplicaSet without owner is not derived"),
        pytest.param([rs("web-7d4b9c", owned_by("Deployment", "web"))], owner("ReplicaSet", "web-7d4b9c"), {},
                     "Deployment/web", id="a Deployment that is not known yet"),
        pytest.param([rs("web-1", owned_by("Deployment", "web", controller=False))], owner("ReplicaSet", "web-1"), {},
                     "ReplicaSet/web-1", id="an owner that is no controller"),
        pytest.param([WEB, WEB_RS], owner("ReplicaSet", "web-7d4b9c", "rs-0"), LABELS, "Deployment/web?",
                     id="another ReplicaSet has the name now"),
        pytest.param([WEB, rs("web-1", owned_by("Deployment", "web", "d-0"))], owner("ReplicaSet", "web-1"), {},
                     "ReplicaSet/web-1", id="another Deployment has the name now"),
        pytest.param([rs("web-1", ROLLOUT)], owner("ReplicaSet", "web-1"), {}, "ReplicaSet/web-1",
                     id="a custom resource that nothing scales"),
        pytest.param([rs("web-1", ROLLOUT), vpa("v", "Rollout", "web")], owner("ReplicaSet", "web-1"), {},
                     "Rollout/web", id="a custom resource that a VPA targets"),
        pytest.param(
            [rs("web-1", ROLLOUT), obj("HorizontalPodAutoscaler", "h", ROLLOUT_TARGET)],
            owner("ReplicaSet", "web-1"), {}, "Rollout/web", id="a custom resource that an HPA targets"),
        pytest.param([vpa("v", "Rollout", "web")], owner("ReplicaSet", "web-7d4b9c"), ROLLOUT_LABELS, "Rollout/web?",
                     id="a Rollout that a VPA targets"),
        pytest.param([obj("ScaledObject", "s", ROLLOUT_TARGET)], owner("ReplicaSet", "web-7d4b9c"), ROLLOUT_LABELS,
                     "Rollout/web?", id="a Rollout that KEDA scales"),
        pytest.param([vpa("v", "Rollout", "api")], owner("ReplicaSet", "web-7d4b9c"), ROLLOUT_LABELS,
                     "ReplicaSet/web-7d4b9c", id="a Rollout of another name"),
        pytest.param([vpa("v", "Deployment", "web")], owner("ReplicaSet", "web-7d4b9c"), ROLLOUT_LABELS,
                     "ReplicaSet/web-7d4b9c", id="the hash of a Rollout names no Deployment"),
        pytest.param([vpa("v", "Rollout", "web")], owner("ReplicaSet", "web-1"), ROLLOUT_LABELS, "ReplicaSet/web-1",
                     id="the hash of another revision"),
        pytest.param([rs("web-7d4b9c"), vpa("v", "Rollout", "web")], owner("ReplicaSet", "web-7d4b9c"), ROLLOUT_LABELS,
                     "ReplicaSet/web-7d4b9c", id="a known ReplicaSet that no Rollout owns"),
        pytest.param([obj("CronJob", "nightly")], owner("Job", "nightly-28475"), {}, "CronJob/nightly?",
                     id="a Job of a known CronJob"),
        pytest.param([], owner("Job", "nightly-28475"), {}, "Job/nightly-28475", id="a Job like a CronJob's"),
        pytest.param([obj("CronJob", "nightly")], owner("Job", "nightly-x1"), {}, "Job/nightly-x1", id="no number"),
        pytest.param([rs("a", owned_by("ReplicaSet", "b")), rs("b", owned_by("ReplicaSet", "a"))],
                     owner("ReplicaSet", "a"), {}, "ReplicaSet/a", id="owners in a circle end"),
        pytest.param([rs("a", owned_by("ReplicaSet", "a"))], owner("ReplicaSet", "a"), {}, "ReplicaSet/a",
                     id="its own owner"),
    ],
)  # fmt: skip
def test_the_walk_ends_at_the_top_most_known_controller(
    objects: list[dict[str, Any]], start: OwnerReference | None, labels: dict[str, str], expected: str
) -> None:
    assert climb(objects, start, labels) == expected


def test_the_version_is_that_of_the_known_object() -> None:
    view = Snapshot.from_documents([WEB])
    reference = OwnerReference(api_version="extensions/v1beta1", kind="Deployment", name="web", controller=True)
    assert view.top_controller(NS, reference, {}) == Controller("Deployment", "web", "apps/v1")
