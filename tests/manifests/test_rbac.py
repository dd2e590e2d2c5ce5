"""What the service account may do: a list with a reason for each verb, kept as short as the code allows."""

import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import pytest

from tests.manifests import _rendered
from webhook import settings
from webhook.admission.ruleset import check_section
from webhook.cluster.live import LiveView
from webhook.cluster.watches import Watches
from webhook.kube import budget_ledgers, client
from webhook.policy.loading.resources import ResourcePolicies
from webhook.reporting import policy_reports
from webhook.serve import conditions, secret_tls


class Right(NamedTuple):
    """One verb on one resource; `name` where it holds for that object alone."""

    group: str
    resource: str
    verb: str
    name: str = ""


FOLLOWED = {
    ("", "namespaces"): "labels and annotations that policies select by and cost is booked under",
    ("", "pods"): "what runs already, for budgets",
    ("", "limitranges"): "bounds of what is injected",
    ("policy", "poddisruptionbudgets"): "pods that nobody may evict",
    ("", "resourcequotas"): "how much a namespace has left of what is injected",
    ("", "nodes"): "capacity types, and how many a DaemonSet runs on",
    ("", "persistentvolumeclaims"): "size and class of the storage that pods are priced with",
    ("", "replicationcontrollers"): "owners of pods",
    ("apps", "deployments"): "owners of pods; templates and replicas",
    ("apps", "statefulsets"): "owners of pods; templates and replicas",
    ("apps", "daemonsets"): "owners of pods; templates and replicas",
    ("apps", "replicasets"): "from a pod to its Deployment",
    ("batch", "jobs"): "from a pod to its CronJob",
    ("batch", "cronjobs"): "owners of pods",
    ("autoscaling", "horizontalpodautoscalers"): "requests that an autoscaler steers by",
    ("keda.sh", "scaledobjects"): "what KEDA makes autoscalers of",
    ("autoscaling.k8s.io", "verticalpodautoscalers"): "recommendations",
    ("node.k8s.io", "runtimeclasses"): "what a pod takes beside its containers",
    ("resource.k8s.io", "deviceclasses"): "which class is behind an extended resource",
    ("resource.k8s.io", "resourceclaims"): "devices that pods are priced with",
    ("resource.k8s.io", "resourceclaimtemplates"): "devices that pods are priced with",
    ("resource.k8s.io", "resourceslices"): "how many devices `allocationMode: All` can be",
    ("coordination.k8s.io", "leases"): "whether a scheduler lives",
    ("podgate.dev", "guardrailpolicies"): "policies as custom resources",
    ("podgate.dev", "budgets"): "policies as custom resources",
    ("podgate.dev", "pricelists"): "policies as custom resources",
    ("podgate.dev", "policyexceptions"): "policies as custom resources",
}
LEDGERS = {
    Right("podgate.dev", "budgetledgers", "list"): "what replicas have booked",
    Right("podgate.dev", "budgetledgers", "watch"): "what replicas book",
    Right("podgate.dev", "budgetledgers", "get"): "the newest after a conflict",
    Right("podgate.dev", "budgetledgers", "create"): "of a new budget",
    Right("podgate.dev", "budgetledgers", "delete"): "of a budget that is gone",
    Right("podgate.dev", "budgetledgers/status", "update"): "a booking",
}
CLUSTER = {
    Right(group, resource, verb): why for (group, resource), why in FOLLOWED.items() for verb in ("list", "watch")
}
STATUS = {
    Right("podgate.dev", f"{resource}/status", "patch"): "conditions, which tell authors what came of their policies"
    for group, resource in FOLLOWED
    if group == "podgate.dev"
}
TOLD = {
    Right("", "events", "get"): "the one Event of an owner, to count it up",
    Right("", "events", "create"): "the first refusal of an owner's pods; one a threshold and period of a Budget",
    Right("", "events", "patch"): "further ones",
    **{
        Right(group, resource, *verb): "one report per namespace, where the kind is installed; those of others stay"
        for group, resource in (("wgpolicyk8s.io", "policyreports"), ("openreports.io", "reports"))
        for verb in (("list",), ("create",), ("update", "podgate"), ("delete", "podgate"))
    },
}
_OBJECTS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
TRUST = {
    **{
        Right("admissionregistration.k8s.io", resource, "get", "podgate"): "whether the live bundle verifies the leaf"
        for resource in _OBJECTS
    },
    **{
        Right("admissionregistration.k8s.io", resource, "patch", "podgate"): "the caBundle after a renewal"
        for resource in _OBJECTS
    },
}
SECRET = {
    Right("", "secrets", "get", "podgate-certs"): "the certificate that replicas share",
    Right("", "secrets", "update", "podgate-certs"): "its renewal",
    Right("", "secrets", "create"): "its first making; a name cannot be given for what does not exist",
}
LEADER = {
    Right("coordination.k8s.io", "leases", "get", "podgate-leader"): "who leads",
    Right("coordination.k8s.io", "leases", "update", "podgate-leader"): "to stay the leader",
    Right("coordination.k8s.io", "leases", "create"): "the first election",
}
CONDITIONS = {
    Right("coordination.k8s.io", "leases", "get", "podgate-conditions"): "who writes conditions",
    Right("coordination.k8s.io", "leases", "update", "podgate-conditions"): "to stay the one",
    Right("coordination.k8s.io", "leases", "create"): "the first election",
}
WRITING = {"create", "update", "patch", "delete", "deletecollection", "bind", "escalate", "impersonate"}


def _rights(role: dict[str, Any]) -> set[Right]:
    return {
        Right(group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def _roles(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in manifests if entry["kind"] in ("Role", "ClusterRole")]


@pytest.fixture(params=[*_rendered.RENDERINGS, "chart", "chart with cert-manager", "chart with a Secret"])
def installation(request: pytest.FixtureRequest) -> tuple[list[dict[str, Any]], bool]:
    """Return the objects, and whether Podgate keeps its certificates itself."""
    if request.param == "chart":
        return _rendered.default_chart(), True
    if request.param == "chart with cert-manager":
        return _rendered.chart().objects({"certificates": {"source": "cert-manager"}}), False
    if request.param == "chart with a Secret":
        return _rendered.chart().objects({"certificates": {"source": "secret", "caBundle": "Zm9v"}}), False
    return _rendered.rendered(request.param), not request.param.endswith("cert-manager")


def test_the_cluster_role_is_the_list_and_nothing_else(installation: tuple[list[dict[str, Any]], bool]) -> None:
    manifests, keeps_certificates = installation
    role = _rendered.of_kind(manifests, "ClusterRole")
    assert _rights(role) == {*CLUSTER, *STATUS, *TOLD, *LEDGERS} | (set(TRUST) if keeps_certificates else set())


def test_the_role_is_the_list_and_nothing_else(installation: tuple[list[dict[str, Any]], bool]) -> None:
    manifests, keeps_certificates = installation
    roles = [entry for entry in manifests if entry["kind"] == "Role"]
    assert [role["metadata"]["namespace"] for role in roles] == ["podgate"]
    assert [_rights(role) for role in roles] == [{*LEADER, *SECRET} if keeps_certificates else set(CONDITIONS)]


def test_nothing_is_granted_by_wildcard_or_by_path(installation: tuple[list[dict[str, Any]], bool]) -> None:
    manifests, _ = installation
    for role in _roles(manifests):
        for rule in role["rules"]:
            assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
            assert "*" not in json.dumps(rule)


def test_no_write_reaches_beyond_the_own_objects(installation: tuple[list[dict[str, Any]], bool]) -> None:
    manifests, _ = installation
    for role in _roles(manifests):
        for right in _rights(role):
            is_first = role["kind"] == "Role" and right.verb == "create"
            mine = {*STATUS, *TOLD, *LEDGERS}
            assert right.verb not in WRITING or right.name or is_first or right in mine, right


def test_both_bindings_give_the_roles_to_the_one_account(installation: tuple[list[dict[str, Any]], bool]) -> None:
    manifests, _ = installation
    account = _rendered.of_kind(manifests, "ServiceAccount")["metadata"]
    assert _rendered.pod_template(manifests)["spec"]["serviceAccountName"] == account["name"]
    for kind in (role["kind"] for role in _roles(manifests)):
        binding = _rendered.of_kind(manifests, f"{kind}Binding")
        assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "podgate"}
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]


def test_the_account_gives_its_token_only_to_pods_that_ask(installation: tuple[list[dict[str, Any]], bool]) -> None:
    manifests, _ = installation
    assert _rendered.of_kind(manifests, "ServiceAccount")["automountServiceAccountToken"] is False
    assert _rendered.pod_template(manifests)["spec"]["automountServiceAccountToken"] is True


def test_what_is_followed_is_what_the_code_watches() -> None:
    # Nothing is started, so no API server is asked.
    watches = Watches(cast("client.Api", None), LiveView(lambda: datetime.now(UTC), frozenset()))
    watched = {report.name for report in watches.report()}
    policies = {source.resource.name for source in ResourcePolicies(check_section).sources}
    policies |= {budget_ledgers.RESOURCE.name}
    followed = {resource for _, resource in FOLLOWED} | {each.resource for each in LEDGERS if each.verb == "watch"}
    assert followed == watched | {"leases"} | {name.split(".")[0] for name in policies}


def test_reports_are_written_as_the_code_names_them() -> None:
    groups = {(dialect.group, dialect.plural) for dialect in policy_reports.DIALECTS}
    assert groups == {(right.group, right.resource) for right in TOLD if right.group}


def test_the_names_are_those_that_the_code_uses() -> None:
    arguments = _rendered.container(_rendered.rendered("base"))["args"]
    secrets = {right.name for right in SECRET if right.name}
    assert {f"--certs-secret={name}" for name in secrets} <= set(arguments)
    assert {right.name for right in LEADER if right.name} == {secret_tls.LEASE}
    assert {right.name for right in CONDITIONS if right.name} == {conditions.LEASE}
    (webhooks,) = [option.default for option in settings.OPTIONS if option.name == "webhooks"]
    assert {right.name for right in TRUST} == {webhooks}


def test_each_rule_of_the_base_has_its_reason_above_it() -> None:
    lines = (_rendered.MANIFESTS / "base" / "rbac.yaml").read_text().splitlines()
    rules = [index for index, line in enumerate(lines) if re.match(r"\s+- apiGroups:", line)]
    assert rules
    for index in rules:
        block = index
        while re.match(r"\s+(- apiGroups|resources|verbs|resourceNames):", lines[block]):
            block -= 1
        assert lines[block].lstrip().startswith("#"), f"line {index + 1}"
