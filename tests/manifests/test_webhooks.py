"""The webhook objects: exactly what is judged, nothing that a cluster needs to start, and answers that come in time."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.manifests import _rendered
from webhook.kube.objects import WORKLOAD_KINDS
from webhook.serve import admission_app

WORKLOADS = frozenset(f"{kind.lower()}s" for kind in WORKLOAD_KINDS)
SCALED = frozenset(
    f"{plural}/scale" for plural in ("deployments", "statefulsets", "replicasets", "replicationcontrollers")
)
SYSTEM = ["kube-system", "kube-public", "kube-node-lease"]
GROUPS = {"apps": {"deployments", "statefulsets", "daemonsets", "replicasets"}, "batch": {"jobs", "cronjobs"}}

Judged = frozenset[tuple[str, str]]


def _each(resources: frozenset[str], *operations: str) -> Judged:
    return frozenset((resource, operation) for resource in resources for operation in operations)


EXPECTED: dict[str, Judged] = {
    "mutate.podgate.dev": _each(frozenset({"pods"}), "CREATE"),
    "cost.podgate.dev": _each(frozenset({"pods"}) | WORKLOADS, "CREATE", "UPDATE")
    | _each(frozenset({"pods/resize"}) | SCALED, "UPDATE"),
    "security.podgate.dev": _each(frozenset({"pods"}), "CREATE", "UPDATE")
    | _each(frozenset({"pods/ephemeralcontainers"}), "UPDATE"),
    "security-advice.podgate.dev": _each(WORKLOADS, "CREATE", "UPDATE"),
}
PATHS = {
    "mutate.podgate.dev": "/mutate",
    "cost.podgate.dev": "/validate/cost",
    "security.podgate.dev": "/validate/security",
    "security-advice.podgate.dev": "/validate/security",
}


@pytest.fixture(params=_rendered.RENDERINGS)
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return _rendered.rendered(request.param)


def test_the_entries_judge_exactly_what_podgate_judges(manifests: list[dict[str, Any]]) -> None:
    judged = {
        name: frozenset(
            (resource, operation)
            for rule in entry["rules"]
            for resource in rule["resources"]
            for operation in rule["operations"]
        )
        for name, entry in _rendered.webhooks(manifests).items()
    }
    assert judged == EXPECTED


def test_every_rule_names_the_group_that_its_resources_are_in(manifests: list[dict[str, Any]]) -> None:
    for entry in _rendered.webhooks(manifests).values():
        for rule in entry["rules"]:
            (group,) = rule["apiGroups"]
            for resource in rule["resources"]:
                home = next((name for name, members in GROUPS.items() if resource.split("/")[0] in members), "")
                assert group == home, resource
            assert rule["apiVersions"] == ["v1"]


def test_no_rule_has_a_wildcard_or_reaches_beyond_namespaces(manifests: list[dict[str, Any]]) -> None:
    for entry in _rendered.webhooks(manifests).values():
        for rule in entry["rules"]:
            texts = [*rule["apiGroups"], *rule["apiVersions"], *rule["operations"], *rule["resources"]]
            assert not [text for text in texts if "*" in text]
            assert rule["scope"] == "Namespaced"


def test_every_entry_calls_a_path_that_is_served_through_the_service(manifests: list[dict[str, Any]]) -> None:
    service = _rendered.of_kind(manifests, "Service")
    ports = {port["port"]: port["targetPort"] for port in service["spec"]["ports"]}
    named = {port["name"]: port["containerPort"] for port in _rendered.container(manifests)["ports"]}
    for name, entry in _rendered.webhooks(manifests).items():
        called = entry["clientConfig"]["service"]
        assert called["path"] == PATHS[name]
        assert called["path"] in admission_app.PATHS
        assert (called["name"], called["namespace"]) == ("podgate", service["metadata"]["namespace"])
        assert named[ports[called["port"]]] == 8443


def test_every_entry_spares_the_system_namespaces_and_podgates_own(manifests: list[dict[str, Any]]) -> None:
    own = _rendered.of_kind(manifests, "Deployment")["metadata"]["namespace"]
    for entry in _rendered.webhooks(manifests).values():
        assert entry["namespaceSelector"] == {
            "matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [*SYSTEM, own]},
            ]
        }


def test_the_process_excludes_what_the_webhook_objects_exclude(manifests: list[dict[str, Any]]) -> None:
    arguments = _rendered.container(manifests)["args"]
    excluded = [
        value for flag, _, value in (text.partition("=") for text in arguments) if flag == "--exclude-namespaces"
    ]
    for entry in _rendered.webhooks(manifests).values():
        (expression,) = entry["namespaceSelector"]["matchExpressions"]
        assert [*excluded, "podgate"] == expression["values"]


def test_entries_are_answered_soon_and_only_money_leaves_a_trace(manifests: list[dict[str, Any]]) -> None:
    for name, entry in _rendered.webhooks(manifests).items():
        assert entry["timeoutSeconds"] == 3
        assert entry["matchPolicy"] == "Equivalent"
        assert entry["admissionReviewVersions"] == ["v1"]
        assert entry["sideEffects"] == ("NoneOnDryRun" if name == "cost.podgate.dev" else "None")
        assert entry.get("reinvocationPolicy") == ("IfNeeded" if name == "mutate.podgate.dev" else None)


@pytest.mark.parametrize("name", _rendered.RENDERINGS)
def test_only_the_security_of_pods_ever_fails_closed(name: str) -> None:
    entries = _rendered.webhooks(_rendered.rendered(name))
    closed = [entry for entry, content in entries.items() if content["failurePolicy"] == "Fail"]
    assert closed == (["security.podgate.dev"] if name == "overlays/fail-closed" else [])


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Copy what fail-closed is made of, to be damaged."""
    for part in ("manifests/base", "manifests/components", "manifests/overlays", "policies"):
        shutil.copytree(_rendered.ROOT / part, tmp_path / part)
    return tmp_path


def test_failing_closed_still_renders_with_further_namespaces_excluded(copied: Path) -> None:
    _edit(copied, "kube-node-lease, podgate]", "kube-node-lease, podgate, storage]")
    assert "storage" in _rendered.kustomize(copied / "manifests/overlays/fail-closed")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("[kube-system, ", "[", id="without kube-system"),
        pytest.param("kube-public, ", "", id="without kube-public"),
        pytest.param("kube-node-lease, ", "", id="without kube-node-lease"),
        pytest.param(", podgate]", "]", id="without its own namespace"),
        pytest.param("operator: NotIn", "operator: In", id="with the selector turned round"),
        pytest.param("key: kubernetes.io/metadata.name", "key: name", id="by a label that anybody may change"),
        pytest.param("name: security.podgate.dev", "name: other.podgate.dev", id="with another entry in its place"),
    ],
)
def test_failing_closed_refuses_to_render_without_the_excludes(copied: Path, before: str, after: str) -> None:
    _edit(copied, before, after)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        _rendered.kustomize(copied / "manifests/overlays/fail-closed")
    assert "test" in caught.value.stderr


def _edit(root: Path, before: str, after: str) -> None:
    path = root / "manifests/base/validating-webhook.yaml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
