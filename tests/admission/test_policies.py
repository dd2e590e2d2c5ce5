"""Which policy speaks for an object, who is left alone, and what an exception loosens."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import factories
from webhook.policy.model.sections import Mode

CLUSTER = [
    factories.namespace("team-alpha", {"tier": "gold"}),
    factories.namespace("team-beta", {"tier": "silver"}),
    factories.namespace("other"),
]


def ceiling(name: str, spec: str = "", mode: Mode = "enforce") -> str:
    """Return a policy that refuses every pod, so that the denial tells which policy spoke."""
    return factories.policy(f'mode: {mode}\n{spec}\ncostCeiling: {{podMonthly: "0.01"}}', name=name)


def spoke(*policies: str, pod: dict[str, Any] | None = None, **request: Any) -> str:  # noqa: ANN401  request fields
    """Return the name of the policy whose ceiling refused the pod; empty where it was let in."""
    answer = factories.World(*policies, cluster=CLUSTER).validate(pod or factories.pod(), **request)
    return "" if answer.allowed else answer.message.removeprefix("policy ").partition(",")[0]


PRECEDENCE = {
    "the higher priority wins": ([ceiling("a"), ceiling("b", "priority: 1")], "b"),
    "of equal ones the smaller name wins": ([ceiling("b"), ceiling("a")], "a"),
    "priority goes before the name": ([ceiling("a", "priority: -1"), ceiling("z")], "z"),
    "the winner's off disables": ([ceiling("a"), ceiling("b", "priority: 1", "off")], ""),
    "the loser's off does nothing": ([ceiling("a", "", "off"), ceiling("b", "priority: 1")], "b"),
    "a policy that does not match cannot win": (
        [ceiling("a"), ceiling("b", "priority: 1\nmatch: {namespaces: [other]}")],
        "a",
    ),
    "a policy without the guardrail cannot win": (
        [ceiling("a"), factories.policy("priority: 9\nmode: off\nbinPacking: {schedulerName: x}", name="b")],
        "a",
    ),
    "one whose pod selector does not match cannot win": (
        [ceiling("a"), ceiling("b", "priority: 1\nmatch: {podSelector: {matchLabels: {app: else}}}")],
        "a",
    ),
    "one whose pod selector matches wins": (
        [ceiling("a"), ceiling("b", "priority: 1\nmatch: {podSelector: {matchLabels: {app: shop}}}")],
        "b",
    ),
    "a weaker mode of the winner counts": ([ceiling("a"), ceiling("b", "priority: 1", "audit")], ""),
}


@pytest.mark.parametrize("name", PRECEDENCE)
def test_one_policy_speaks_for_a_pod(name: str) -> None:
    policies, expected = PRECEDENCE[name]
    assert spoke(*policies) == expected
    assert spoke(*reversed(policies)) == expected


MATCHES = {
    "empty": ("{}", {"team-alpha", "team-beta", "other", "unknown"}),
    "a glob": ('{namespaces: ["team-*"]}', {"team-alpha", "team-beta"}),
    "a question mark": ('{namespaces: ["othe?"]}', {"other"}),
    "globs match whole names": ("{namespaces: [team]}", set()),
    "excluded": ('{excludeNamespaces: ["team-*"]}', {"other", "unknown"}),
    "given and excluded": ('{namespaces: ["team-*"], excludeNamespaces: [team-beta]}', {"team-alpha"}),
    "by label": ("{namespaceSelector: {matchLabels: {tier: gold}}}", {"team-alpha"}),
    "by expression": (
        "{namespaceSelector: {matchExpressions: [{key: tier, operator: Exists}]}}",
        {"team-alpha", "team-beta"},
    ),
    "by absence": (
        "{namespaceSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}}",
        {"other"},
    ),
    "all that is given must hold": (
        '{namespaces: ["team-*"], namespaceSelector: {matchLabels: {tier: silver}}}',
        {"team-beta"},
    ),
}


@pytest.mark.parametrize("name", MATCHES)
def test_a_policy_is_for_the_namespaces_that_it_names(name: str) -> None:
    match, expected = MATCHES[name]
    policy = ceiling("p", f"match: {match}")
    found = {
        namespace for namespace in ("team-alpha", "team-beta", "other", "unknown") if spoke(policy, namespace=namespace)
    }
    assert found == expected


def test_the_namespace_of_the_request_counts_and_never_that_of_the_object() -> None:
    policy = ceiling("p", "match: {namespaces: [team-alpha]}")
    pod = factories.pod(metadata={"namespace": "team-alpha"})
    assert spoke(policy, pod=pod, namespace="other") == ""
    assert spoke(policy, pod=factories.pod(metadata={"namespace": "other"})) == "p"


def test_the_pod_is_matched_as_received_and_not_as_mutated() -> None:
    labels = factories.policy(
        "mode: enforce\npriority: 5\ncostLabels: {required: [{key: team, source: pod, default: x}]}", name="labels"
    )
    selecting = ceiling("p", "match: {podSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}")
    assert factories.World(labels, selecting).mutate(factories.pod()).patch
    assert spoke(labels, selecting) != ""


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease", "podgate", "ci-1"])
@pytest.mark.parametrize("path", ["/mutate", "/validate", "/validate/security", "/validate/cost"])
def test_excluded_namespaces_are_never_judged(namespace: str, path: str) -> None:
    world = factories.World(ceiling("p"), excluded=("podgate", "ci-*"))
    for document in (factories.pod(), factories.deployment()):
        answer = world.call(path, factories.review(document, namespace=namespace))
        assert answer.response == {"uid": "review-1", "allowed": True}
        assert answer.entry is None


# --- unknown namespaces -----------------------------------------------------------------------------------------------

SELECTED = """
mode: {mode}
match: {{namespaceSelector: {{matchLabels: {{tier: gold}}}}}}
podSecurity: {{level: {level}}}
costCeiling: {{podMonthly: "0.01"}}
"""


def test_an_unknown_namespace_gets_the_policies_without_namespace_selectors() -> None:
    selected = ceiling("selected", "priority: 5\nmatch: {namespaceSelector: {matchLabels: {tier: gold}}}")
    assert spoke(selected, ceiling("general"), namespace="unknown") == "general"
    assert spoke(selected, namespace="unknown") == ""
    assert spoke(selected, ceiling("general"), namespace="team-alpha") == "selected"


@pytest.mark.parametrize(
    ("general", "selected", "refuses"),
    [
        ("mode: audit\npodSecurity: {level: baseline}", ("enforce", "baseline"), True),
        ("mode: enforce\npodSecurity: {level: restricted}", ("audit", "baseline"), True),
        ("mode: off\npodSecurity: {level: baseline}", ("enforce", "restricted"), True),
        ("mode: audit\npodSecurity: {level: baseline}", ("audit", "restricted"), False),
    ],
)
def test_an_unknown_namespace_never_gets_less_pod_security(
    general: str, selected: tuple[str, str], refuses: bool
) -> None:
    mode, level = selected
    world = factories.World(
        factories.policy(general, name="general"),
        factories.policy(SELECTED.format(mode=mode, level=level), name="selected"),
        cluster=CLUSTER,
    )
    answer = world.validate(factories.pod(hostNetwork=True), namespace="unknown")
    assert answer.allowed is not refuses
    assert answer.outcome("costCeiling") is None


# --- requesters -------------------------------------------------------------------------------------------------------

SUBJECTS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "a user": ("{users: [jane]}", {"user": "jane"}, True),
    "another user": ("{users: [jane]}", {"user": "joe"}, False),
    "a group": ("{groups: [ops]}", {"groups": ["dev", "ops"]}, True),
    "another group": ("{groups: [ops]}", {"groups": ["opss"]}, False),
    "a service account": ("{serviceAccounts: [ci/runner]}", {"user": "system:serviceaccount:ci:runner"}, True),
    "its namesake elsewhere": ("{serviceAccounts: [ci/runner]}", {"user": "system:serviceaccount:cd:runner"}, False),
    "a user that looks like it": ("{serviceAccounts: [ci/runner]}", {"user": "ci/runner"}, False),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_excluded_subjects_are_left_alone(name: str) -> None:
    subjects, request, excluded = SUBJECTS[name]
    assert (spoke(ceiling("p", f"match: {{excludeSubjects: {subjects}}}"), **request) == "") is excluded


def test_a_policy_that_excludes_the_requester_leaves_the_next_one_to_speak() -> None:
    first = ceiling("first", "priority: 1\nmatch: {excludeSubjects: {users: [jane]}}")
    assert spoke(first, ceiling("second"), user="jane") == "second"
    assert spoke(first, ceiling("second"), user="joe") == "first"


MIRROR = {"kubernetes.io/config.mirror": "abc"}


@pytest.mark.parametrize(
    ("annotations", "request_fields", "judged"),
    [
        (MIRROR, {"user": "system:node:n1", "groups": ["system:nodes"]}, False),
        (MIRROR, {"user": "jane"}, True),
        (MIRROR, {"user": "system:serviceaccount:team-alpha:node"}, True),
        ({}, {"user": "system:node:n1", "groups": ["system:nodes"]}, True),
    ],
    ids=["a node's mirror pod", "a user's", "a service account's", "a node's ordinary pod"],
)
def test_mirror_pods_pass_only_when_a_node_asks(
    annotations: dict[str, str], request_fields: dict[str, Any], judged: bool
) -> None:
    pod = factories.pod(annotations=annotations)
    assert (spoke(ceiling("p"), pod=pod, **request_fields) == "p") is judged


# --- exceptions -------------------------------------------------------------------------------------------------------

STRICT = """
mode: enforce
exceptions: {exceptions}
podSecurity: {{level: restricted}}
costCeiling: {{podMonthly: "0.01"}}
"""


def exception(spec: str, expires: str = "2026-12-31", namespace: str = "team-alpha") -> str:
    return (
        f"apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: legacy, namespace: {namespace}}}\n"
        f"spec: {{{spec}, owner: a@b.example, reason: vendor, expires: '{expires}'}}\n"
    )


def judged(
    *exceptions: str, terms: str = "{maxDays: 90}", pod: dict[str, Any] | None = None, now: datetime = factories.NOON
) -> factories.Answer:
    world = factories.World(
        factories.policy(STRICT.format(exceptions=terms)), *exceptions, cluster=CLUSTER, now=lambda: now
    )
    return world.validate(pod or factories.pod())


def test_an_exception_for_whole_guardrails_lets_the_pod_in_and_is_named() -> None:
    answer = judged(exception("guardrails: [podSecurity, costCeiling]"))
    assert answer.allowed
    assert answer.warnings == []
    for guardrail in ("podSecurity", "costCeiling"):
        assert answer.outcome(guardrail) == "exempt"
    assert answer.entry is not None
    assert {item.get("note") for item in answer.entry["guardrails"]} == {
        "PolicyException team-alpha/legacy of a@b.example"
    }


def test_an_exception_loosens_only_the_guardrails_that_it_names() -> None:
    answer = judged(exception("guardrails: [podSecurity]"))
    assert not answer.allowed
    assert "podSecurity" not in answer.message
    assert "costCeiling" in answer.message


WITHOUT_CEILING = "guardrails: [costCeiling]"


def test_an_exception_for_controls_lets_only_these_checks_off() -> None:
    pod = factories.safe_pod()
    pod["spec"]["securityContext"].pop("runAsNonRoot")
    excepted = "guardrails: [podSecurity], controls: [runAsNonRoot]"
    whole = exception(WITHOUT_CEILING).replace("name: legacy", "name: cost")
    assert not judged(whole, pod=pod).allowed
    assert judged(whole, exception(excepted), pod=pod).allowed
    pod["spec"]["hostNetwork"] = True
    refused = judged(whole, exception(excepted), pod=pod)
    assert not refused.allowed
    assert "runAsNonRoot" not in refused.message


def test_an_exception_for_containers_lets_only_these_off() -> None:
    def pod() -> dict[str, Any]:
        made = factories.safe_pod(factories.container("old"), factories.container("new"))
        made["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        return made

    whole = exception(WITHOUT_CEILING).replace("name: legacy", "name: cost")
    assert not judged(whole, pod=pod()).allowed
    assert judged(whole, exception("guardrails: [podSecurity], containers: [old]"), pod=pod()).allowed
    assert not judged(whole, exception("guardrails: [podSecurity], containers: [new]"), pod=pod()).allowed


@pytest.mark.parametrize(
    ("selector", "allowed"), [("app: shop", True), ("app: else", False), ("app: shop, x: y", False)]
)
def test_an_exception_covers_the_pods_that_it_selects(selector: str, allowed: bool) -> None:
    both = "guardrails: [podSecurity, costCeiling]"
    assert judged(exception(f"{both}, podSelector: {{matchLabels: {{{selector}}}}}")).allowed is allowed


BOTH = "guardrails: [podSecurity, costCeiling]"


def test_an_exception_covers_pods_of_its_own_namespace_only() -> None:
    assert not judged(exception(BOTH, namespace="team-beta")).allowed
    own = exception("guardrails: [spot]").replace("name: legacy", "name: own")
    assert not judged(own, exception(BOTH, namespace="team-beta")).allowed


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), True),
        (datetime(2027, 1, 1, tzinfo=UTC), False),
        (datetime(2027, 1, 1, 0, 30, tzinfo=UTC).astimezone(tz=None), False),
    ],
)
def test_an_exception_holds_to_the_end_of_its_last_day_in_utc(now: datetime, allowed: bool) -> None:
    assert judged(exception(BOTH), now=now).allowed is allowed


@pytest.mark.parametrize(("days", "allowed"), [(0, True), (1, True), (90, True), (91, False), (400, False)])
def test_an_exception_beyond_the_longest_time_that_the_policy_allows_has_no_effect(days: int, allowed: bool) -> None:
    expires = (factories.NOON + timedelta(days=days)).date().isoformat()
    assert judged(exception(BOTH, expires)).allowed is allowed


@pytest.mark.parametrize(
    ("terms", "allowed"),
    [
        ("{}", True),
        ("{allowed: false}", False),
        ('{namespaces: ["team-*"]}', True),
        ("{namespaces: [team-beta]}", False),
        ("{maxDays: 10}", False),
    ],
)
def test_the_policy_says_where_exceptions_count(terms: str, allowed: bool) -> None:
    assert judged(exception(BOTH), terms=terms).allowed is allowed


def test_the_terms_are_those_of_the_policy_that_speaks() -> None:
    lenient = factories.policy(STRICT.format(exceptions="{}"), name="lenient")
    strict = factories.policy("priority: 1\n" + STRICT.format(exceptions="{allowed: false}"), name="strict")
    world = factories.World(lenient, strict, exception(BOTH), cluster=CLUSTER)
    assert not world.validate(factories.pod()).allowed


def test_an_exempt_guardrail_does_not_change_the_pod_either() -> None:
    policy = factories.policy("mode: enforce\npodSecurity: {level: restricted, harden: true}")
    assert factories.World(policy).mutate(factories.pod()).patch
    assert not factories.World(policy, exception("guardrails: [podSecurity]")).mutate(factories.pod()).patch
