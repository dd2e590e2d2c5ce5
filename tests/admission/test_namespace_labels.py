"""Pods judged by the labels of their namespace, through the whole pipeline."""

from typing import Any

import pytest

from tests import factories as make
from tests.factories import World
from webhook.policy.model.sections import Mode

PREFIX = "pod-security.kubernetes.io/"
BARE = "allowPrivilegeEscalation != false"
PRIVILEGED = 'privileged (container "app" must not set securityContext.privileged=true)'


def labelled(
    labels: dict[str, str], section: str = "", more: str = "", mode: str = "enforce", cap: Mode = "enforce"
) -> World:
    """Return an engine whose one policy follows the labels of the namespace; labels by short name."""
    fields = "fromNamespaceLabels: true" + (f", {section}" if section else "")
    given = {PREFIX + key: value for key, value in labels.items()}
    documents = [make.policy(f"mode: {mode}\npodSecurity: {{{fields}}}"), *([more] if more else [])]
    return World(*documents, cluster=[make.namespace("team-alpha", given)], cap=cap)


def world(*, section: str = "", mode: str = "enforce", cap: Mode = "enforce", more: str = "", **labels: str) -> World:
    """Return such an engine, labels as keyword arguments."""
    return labelled(labels, section, more, mode, cap)


def privileged_pod() -> dict[str, Any]:
    """Return a pod that breaks baseline, and restricted with it."""
    made = make.safe_pod()
    made["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    return made


def test_a_violation_of_enforce_refuses_and_says_how_to_comply() -> None:
    answer = world(enforce="baseline").validate(privileged_pod())
    assert not answer.allowed
    assert answer.message.startswith(f'policy team, podSecurity: violates PodSecurity "baseline:latest": {PRIVILEGED}')
    assert "; to fix: " in answer.message
    assert answer.warnings == []
    assert answer.notes["enforce-policy"] == "baseline:latest"
    assert answer.outcome("podSecurity") == "refused"


def test_a_violation_of_warn_warns_and_one_of_audit_is_an_annotation() -> None:
    answer = world(warn="restricted", audit="baseline").validate(privileged_pod())
    assert answer.allowed
    [warning] = answer.warnings
    assert warning.startswith('policy team, podSecurity: would violate PodSecurity "restricted:latest": privileged')
    assert answer.notes["audit-violations"] == f'would violate PodSecurity "baseline:latest": {PRIVILEGED}'
    assert answer.notes["enforce-policy"] == "privileged:latest"


def test_a_pod_that_is_refused_gets_no_warning_but_its_audit_annotation() -> None:
    answer = world(enforce="baseline", warn="restricted", audit="restricted").validate(privileged_pod())
    assert not answer.allowed
    assert answer.warnings == []
    assert answer.notes["audit-violations"].startswith('would violate PodSecurity "restricted:latest": privileged')


@pytest.mark.parametrize("labels", [{}, {"enforce": "privileged"}, {"other": "restricted"}])
def test_a_namespace_that_asks_for_nothing_gets_nothing(labels: dict[str, str]) -> None:
    answer = labelled(labels).validate(privileged_pod())
    assert answer.allowed
    assert answer.warnings == []
    assert answer.notes["enforce-policy"] == "privileged:latest"


def test_level_and_version_where_written_hold_for_namespaces_without_labels() -> None:
    section = "level: baseline, version: v1.30"
    answer = world(section=section).validate(privileged_pod())
    assert 'violates PodSecurity "baseline:v1.30"' in answer.message
    assert world(section=section, enforce="privileged").validate(privileged_pod()).allowed
    unlabelled = world(section="defaults: {warn: baseline, warnVersion: v1.25}").validate(privileged_pod())
    assert 'would violate PodSecurity "baseline:v1.25"' in unlabelled.warnings[0]


def test_an_invalid_level_fails_closed_and_the_cure_names_the_labels() -> None:
    answer = world(enforce="Baseline").validate(make.pod())
    assert 'violates PodSecurity "restricted:latest": ' + BARE in answer.message
    assert "correct the labels pod-security.kubernetes.io/* of the namespace" in answer.message
    assert answer.notes["error"].startswith("Failed to parse policy: metadata.labels[")


@pytest.mark.parametrize(("mode", "cap"), [("warn", "enforce"), ("audit", "enforce"), ("enforce", "audit")])
def test_the_mode_of_the_policy_caps_what_labels_ask_for(mode: str, cap: Mode) -> None:
    answer = world(mode=mode, cap=cap, enforce="restricted").validate(privileged_pod())
    assert answer.allowed
    assert bool(answer.warnings) == (mode == "warn")
    assert answer.notes["would"] == "refused"
    assert "would violate PodSecurity" in answer.notes["findings"]


def test_under_audit_not_even_a_violation_of_warn_is_told_to_the_user() -> None:
    answer = world(mode="audit", warn="restricted").validate(privileged_pod())
    assert answer.warnings == []
    assert "would violate PodSecurity" in answer.notes["findings"]


@pytest.mark.parametrize(
    ("section", "request_", "word"),
    [
        ("exemptions: {namespaces: [team-alpha]}", {}, "namespace"),
        ("exemptions: {usernames: [builder]}", {"user": "builder"}, "user"),
        ("exemptions: {usernames: [builder], namespaces: [team-alpha]}", {"user": "builder"}, "namespace"),
        ("exemptions: {runtimeClasses: [kata]}", {}, "runtimeClass"),
    ],
)
def test_who_is_exempt_is_let_in_and_noted(section: str, request_: dict[str, str], word: str) -> None:
    document = privileged_pod()
    document["spec"]["runtimeClassName"] = "kata"
    answer = world(section=section, enforce="restricted").validate(document, **request_)
    assert answer.allowed
    assert answer.notes["exempt"] == word


def test_who_is_not_named_is_not_exempt() -> None:
    section = "exemptions: {usernames: [builder], namespaces: [other], runtimeClasses: [kata]}"
    assert not world(section=section, enforce="restricted").validate(privileged_pod(), user="build").allowed


def test_workloads_are_only_warned_and_warn_follows_enforce() -> None:
    document = make.deployment(template=privileged_pod())
    answer = world(enforce="baseline").call("/validate", make.review(document))
    assert answer.allowed
    assert any(f'would violate PodSecurity "baseline:latest": {PRIVILEGED}' in line for line in answer.warnings)
    assert "enforce-policy" not in answer.notes
    silent = world(enforce="baseline", warn="privileged").call("/validate", make.review(document))
    assert not any("PodSecurity" in line for line in silent.warnings)


def test_scaling_a_workload_is_not_judged_by_labels() -> None:
    document = make.deployment(template=privileged_pod(), namespace="team-alpha")
    labels = {f"{PREFIX}warn": "restricted"}
    engine = World(
        make.policy("mode: enforce\npodSecurity: {fromNamespaceLabels: true}"),
        cluster=[make.namespace("team-alpha", labels), document],
    )
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "shop"}, "spec": {"replicas": 9}}
    resource = {"group": "apps", "version": "v1", "resource": "deployments"}
    body = make.review(scale, operation="UPDATE", subResource="scale", name="shop", resource=resource)
    assert not any("PodSecurity" in line for line in engine.call("/validate", body).warnings)


def test_in_a_namespace_that_is_not_known_pods_are_refused_and_workloads_are_not() -> None:
    engine = world(enforce="privileged")
    refused = engine.validate(make.safe_pod(), namespace="gone")
    assert 'Internal error occurred: failed to lookup namespace "gone"; to fix: try again' in refused.message
    workload = engine.call("/validate", make.review(make.deployment(), namespace="gone"))
    assert workload.allowed
    assert workload.notes["error"] == 'failed to lookup namespace "gone": namespaces "gone" not found'


def test_an_unknown_namespace_gets_labels_rather_than_a_laxer_policy() -> None:
    lax = make.policy(
        "mode: enforce\npriority: 9\nmatch: {namespaceSelector: {matchLabels: {lax: 'yes'}}}\n"
        "podSecurity: {level: baseline}",
        name="lax",
    )
    assert not world(more=lax).validate(make.safe_pod(), namespace="gone").allowed


def test_hardening_helps_to_pass_what_enforce_demands_and_no_more() -> None:
    _, validated, patched = world(section="harden: true", enforce="restricted").create(make.pod())
    assert validated.allowed
    assert patched["spec"]["securityContext"]["runAsNonRoot"] is True
    for labels in ({"enforce": "privileged", "warn": "restricted"}, {"audit": "restricted"}):
        assert labelled(labels, "harden: true").mutate(make.pod()).patch == []
    exempt = world(section="harden: true, exemptions: {namespaces: [team-alpha]}", enforce="restricted")
    assert exempt.mutate(make.pod()).patch == []


def test_an_exception_loosens_all_three_judgements() -> None:
    exception = (
        "apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\n"
        "metadata: {name: legacy, namespace: team-alpha}\n"
        "spec: {guardrails: [podSecurity], controls: [privileged, allowPrivilegeEscalation, capabilities],"
        ' owner: team@company.example, reason: "old image", expires: "2026-12-31"}\n'
    )
    labels = {"enforce": "baseline", "audit": "baseline", "warn": "restricted"}
    answer = labelled(labels, more=exception).validate(privileged_pod())
    assert answer.allowed
    assert answer.warnings == []
    assert "audit-violations" not in answer.notes


def test_a_subresource_that_is_not_known_is_judged_like_a_write_to_the_pod() -> None:
    old = privileged_pod()
    new = privileged_pod()
    new["spec"]["containers"][0]["image"] = "registry.example/app:2"
    engine = world(enforce="baseline")
    assert not engine.validate(new, old=old, operation="UPDATE", subResource="future").allowed
    assert engine.validate(new, old=new, operation="UPDATE", subResource="future").allowed
    assert engine.validate(new, old=old, operation="UPDATE", subResource="status").allowed


def test_what_is_noted_in_annotations_alone_is_no_finding_of_the_answer() -> None:
    answer = world(enforce="baseline").validate(make.safe_pod())
    assert answer.allowed
    assert "findings" not in answer.notes
    assert answer.notes["would"] == "allowed"
    assert answer.outcome("podSecurity") == "passed"
