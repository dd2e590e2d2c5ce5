"""What a pod that runs uses of a ResourceQuota is not in the way of its successor."""

from typing import Any

import pytest

from tests import factories
from tests.reporting import _scene
from webhook.reporting.fold import ObjectResult

SIZED = "mode: enforce\nrightSizing: {recommendation: target, when: always, limitHeadroom: {cpu: 2, memory: 2}}"
VPA = {
    "apiVersion": "autoscaling.k8s.io/v1",
    "kind": "VerticalPodAutoscaler",
    "metadata": {"name": "web", "namespace": "team-a"},
    "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}},
    "status": {
        "recommendation": {
            "containerRecommendations": [{"containerName": "app", "target": {"cpu": "250m", "memory": "256Mi"}}]
        }
    },
}


def quota(used: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of the spec
    hard = {"limits.cpu": "1"}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "team-a"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": {"limits.cpu": used}},
    }


def audited(*cluster: dict[str, Any], limits: str = "500m", request: str = "250m") -> ObjectResult:
    """Audit one of two pods that were sized as the recommendation says."""
    resources = {"requests": {"cpu": request, "memory": "256Mi"}, "limits": {"cpu": limits, "memory": "512Mi"}}
    owner = {**factories.deployment(name="web", uid="owner-uid", namespace="team-a"), "kind": "StatefulSet"}
    pod = factories.pod({"name": "app", "image": "i", "resources": resources})
    pod["metadata"].update(
        name="web-0", namespace="team-a", uid="u", ownerReferences=_scene.owned("StatefulSet", "web")
    )
    rules = factories.policy(SIZED)
    found = _scene.judge(_scene.policies(rules), owner, VPA, pod, *cluster).judge(pod, "web-0")
    assert isinstance(found, ObjectResult)
    return found


@pytest.mark.parametrize("used", ["1", "500m", "1200m", "0"])
def test_a_pod_that_is_as_it_would_be_made_again_does_not_change(used: str) -> None:
    found = audited(quota(used))
    assert found.verdict.patch == b""
    assert not any("quota" in note.rule.lower() for note in found.verdict.notes)


def test_what_others_use_is_not_given_back() -> None:
    # It may grow to 500m only where others leave that much.
    assert any(
        "quota" in note.rule.lower() for note in audited(quota("1"), limits="300m", request="150m").verdict.notes
    )
    assert not any(
        "quota" in note.rule.lower() for note in audited(quota("800m"), limits="300m", request="150m").verdict.notes
    )


def test_a_quota_that_does_not_count_the_pod_gets_nothing_back() -> None:
    ending = quota("1", scopes=["Terminating"])
    ending["metadata"]["name"] = "ending"
    assert audited(ending).verdict.patch == b""
    assert audited(quota("1"), ending).verdict.patch == b""
