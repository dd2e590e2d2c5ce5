"""What is valid in policies and yet not meant; and what must not be remarked on."""

from datetime import datetime
from pathlib import Path

import pytest

from tests import factories
from webhook import assembly
from webhook.admission.ruleset import check_section
from webhook.cluster.snapshot import Snapshot
from webhook.policy.loading import loader
from webhook.simulate import lint

ROOT = Path(__file__).parents[2]
SECURITY = "podSecurity: {level: baseline}"


def policy(spec: str, name: str = "team", mode: str = "enforce", more: str = SECURITY) -> str:
    return factories.policy(f"mode: {mode}\n{spec}\n{more}", name)


def exception(spec: str = "guardrails: [podSecurity]", expires: str = "2026-12-31", namespace: str = "team-a") -> str:
    return (
        f"apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: legacy, namespace: {namespace}}}\n"
        f"spec: {{{spec}, owner: a@b.example, reason: vendor, expires: '{expires}'}}\n"
    )


BUDGET = (
    "apiVersion: podgate.dev/v1alpha1\nkind: Budget\nmetadata: {name: all}\n"
    "spec: {mode: warn, scope: {cluster: true}, amount: '5', currency: USD}\n"
)
BY_LABEL = (
    "apiVersion: podgate.dev/v1alpha1\nkind: Budget\nmetadata: {name: alpha}\n"
    "spec: {mode: enforce, scope: {label: {key: cost-center, value: a}}, amount: '5', currency: USD}\n"
)
TEAM = "match: {namespaces: ['team-*']}"


def remarks(
    *documents: str,
    now: datetime = factories.NOON,
    cluster: lint.LintCluster | None = None,
    prices: str = factories.PRICES,
) -> list[lint.Remark]:
    text = "\n---\n".join((*documents, prices) if prices else documents)
    return lint.lint(loader.load_text(text, "test.yaml", check=check_section), now, cluster)


FOUND: dict[str, tuple[list[str], str, str]] = {
    "everything is excluded": (
        [policy("match: {excludeNamespaces: ['*']}")],
        "neverMatches",
        "can never match: excludeNamespaces holds *",
    ),
    "its only namespace is excluded": (
        [policy("match: {namespaces: [a, b], excludeNamespaces: [a, b]}")],
        "neverMatches",
        "all of its namespaces are excluded",
    ),
    "its glob is excluded": (
        [policy("match: {namespaces: ['a-*'], excludeNamespaces: ['a-*']}")],
        "neverMatches",
        "all of its namespaces are excluded",
    ),
    "only a namespace that is never judged": (
        [policy("match: {namespaces: [kube-system]}")],
        "neverMatches",
        "all of its namespaces are excluded",
    ),
    "a label that has two values": (
        [
            policy(
                "match: {namespaceSelector: {matchLabels: {a: b}, "
                "matchExpressions: [{key: a, operator: In, values: [c]}]}}"
            )
        ],
        "neverMatches",
        "namespaceSelector contradicts itself about a",
    ),
    "a label that is there and is not": (
        [
            policy(
                "match: {podSelector: {matchExpressions: [{key: a, operator: Exists}, "
                "{key: a, operator: DoesNotExist}]}}"
            )
        ],
        "neverMatches",
        "podSelector contradicts itself about a",
    ),
    "a label without a value left": (
        [
            policy(
                "match: {namespaceSelector: {matchLabels: {a: b}, "
                "matchExpressions: [{key: a, operator: NotIn, values: [b, c]}]}}"
            )
        ],
        "neverMatches",
        "contradicts itself about a",
    ),
    "a preference that says nothing of capacity": (
        [policy(TEAM, more="spot: {nodeAffinity: {key: kubernetes.io/hostname, values: [a]}}")],
        "spotPreference",
        "prefers spot nodes by kubernetes.io/hostname, which says nothing of a node's capacity",
    ),
    "no guardrail": ([policy(TEAM, more="priority: 1")], "noGuardrail", "configures no guardrail"),
    "a namespace that a cluster needs": (
        [policy("match: {namespaces: [kube-system, a]}")],
        "systemNamespace",
        "names kube-system, which Podgate never judges",
    ),
    "a fault refuses everything": (
        [policy("", more="costCeiling: {podMonthly: '5', onFault: deny}")],
        "lockOut",
        "refuses every pod of every namespace while costCeiling has a fault",
    ),
    "node agents are refused": ([policy("")], "lockOut", "enforces podSecurity in every namespace"),
    "a higher policy for everything": (
        [policy("priority: 5", "all", "warn"), policy(TEAM, "low")],
        "shadowed",
        "never decides about podSecurity: all (test.yaml:1) matches all of its pods and ranks higher",
    ),
    "the same match with a higher priority": (
        [policy(f"{TEAM}\npriority: 5", "high"), policy(TEAM, "low")],
        "shadowed",
        "never decides about podSecurity",
    ),
    "two globs for one namespace": (
        [policy(TEAM, "a"), policy("match: {namespaces: ['team-a*']}", "b")],
        "overlap",
        "have the same priority and both configure podSecurity for namespaces such as team-a; a wins",
    ),
    "no prices": ([BUDGET], "noPrices", "there is no PriceList default"),
    "an expired exception": (
        [policy(TEAM), exception(expires="2026-11-21")],
        "expired",
        "of a@b.example expired on 2026-11-21",
    ),
    "an exception that ends soon": (
        [policy(TEAM), exception(expires="2026-11-30")],
        "endsSoon",
        "of a@b.example ends on 2026-11-30",
    ),
    "an exception for too long": (
        [policy(TEAM), exception(expires="2027-12-31")],
        "noEffect",
        "it ends later than in 90 days",
    ),
    "an exception that no policy allows": (
        [policy(f"{TEAM}\nexceptions: {{allowed: false}}"), exception()],
        "noEffect",
        "no policy allows exceptions from it in team-a",
    ),
    "an exception in a namespace where none is allowed": (
        [policy(f"{TEAM}\nexceptions: {{namespaces: ['team-b']}}"), exception()],
        "noEffect",
        "no policy allows exceptions from it in team-a",
    ),
    "an exception from nothing": (
        [policy(TEAM), exception("guardrails: [spot]")],
        "noEffect",
        "has no effect on spot: no policy configures it",
    ),
    "an exception that is above what a budget allows": (
        [
            policy(TEAM),
            BUDGET.replace("spec: {", "spec: {exceptions: {allowed: true, maxDays: 5, namespaces: ['*']}, "),
            exception("guardrails: [budget]"),
        ],
        "noEffect",
        "has no effect on budget: it ends later than in 5 days, which is all that a budget allows",
    ),
    "an exception from an enforced budget": (
        [policy(TEAM), BUDGET.replace("mode: warn", "mode: enforce"), exception("guardrails: [budget]")],
        "noEffect",
        "has no effect on budget: no budget allows exceptions from it in team-a",
    ),
    "a label whose other values cost nobody anything": (
        [policy(TEAM), BY_LABEL],
        "freeValues",
        "goes by label cost-center, and a pod with another value of it, or with none, is charged to no budget",
    ),
    "an exception from no budget": (
        [policy(TEAM), exception("guardrails: [budget]")],
        "noEffect",
        "has no effect on budget: there is no Budget",
    ),
}
QUIET: dict[str, list[str]] = {
    "a label whose other values are somebody's": [
        BY_LABEL,
        BY_LABEL.replace("value: a", "unlabelled: true").replace("name: alpha", "name: rest"),
    ],
    "a label that the namespace decides": [
        BY_LABEL,
        policy(TEAM, more="costLabels: {required: [{key: cost-center, source: namespace}]}"),
    ],
    "a label of which every value is paid for": [
        BY_LABEL,
        policy(TEAM, more="costLabels: {required: [{key: cost-center, source: pod, allowed: [a]}]}"),
    ],
    "a policy for some namespaces": [policy(TEAM)],
    "everything, in audit": [policy("", mode="audit")],
    "everything but the node agents": [policy("match: {excludeNamespaces: [storage]}")],
    "a higher policy for other pods": [policy(f"{TEAM}\npriority: 5", "a"), policy("match: {namespaces: [b]}", "b")],
    "globs that may or may not meet": [policy(TEAM, "a"), policy("match: {namespaces: ['*-b']}", "b")],
    "selectors that may or may not meet": [
        policy("match: {namespaceSelector: {matchLabels: {a: b}}}", "a"),
        policy("match: {namespaceSelector: {matchLabels: {c: d}}}", "b"),
    ],
    "different guardrails for the same pods": [
        policy(TEAM, "a"),
        policy(TEAM, "b", more="costCeiling: {podMonthly: '5'}"),
    ],
    "a default policy below all others": [policy("priority: -1", "low", "audit"), policy(TEAM)],
    "an exception that holds": [policy(TEAM), exception()],
    "an exception on its last allowed day": [policy(TEAM), exception(expires="2027-02-20")],
    "an exception from a budget": [BUDGET, exception("guardrails: [budget]")],
    "a selector of several values": [
        policy(
            "match: {namespaceSelector: {matchExpressions: [{key: a, operator: In, values: [b, c]}, "
            "{key: a, operator: NotIn, values: [c]}, {key: x, operator: DoesNotExist}]}}"
        )
    ],
}


@pytest.mark.parametrize("name", FOUND)
def test_what_is_not_meant_is_one_line_with_place_and_cure(name: str) -> None:
    documents, rule, told = FOUND[name]
    prices = "" if rule == "noPrices" else factories.PRICES
    found = [remark for remark in remarks(*documents, prices=prices) if remark.rule == rule]
    assert len(found) == 1, remarks(*documents, prices=prices)
    line = str(found[0])
    assert told in line
    assert line.startswith("test.yaml:")
    assert "; to fix: " in line
    assert "\n" not in line


@pytest.mark.parametrize("name", QUIET)
def test_what_may_be_meant_is_not_remarked_on(name: str) -> None:
    assert remarks(*QUIET[name]) == []


def test_the_shipped_policies_are_meant() -> None:
    assert lint.lint(assembly.load_policies(ROOT / "policies"), factories.NOON) == []


def cluster(*names: str, used: bool = True) -> lint.LintCluster:
    view = Snapshot.from_documents([factories.namespace(name, {"team": name}) for name in names])
    return lint.LintCluster(view, names, lambda _item: used)


def rules(*documents: str, known: lint.LintCluster) -> list[str]:
    return [remark.rule for remark in remarks(*documents, cluster=known)]


def test_a_policy_that_matches_no_namespace_of_the_cluster_is_noticed() -> None:
    assert rules(policy(TEAM), known=cluster("shop")) == ["matchesNothing"]
    assert rules(policy(TEAM), known=cluster("team-a")) == []
    assert rules(policy(TEAM), known=cluster("kube-system")) == []


def test_with_a_cluster_overlaps_are_those_of_its_namespaces() -> None:
    both = policy(TEAM, "a"), policy("match: {namespaceSelector: {matchLabels: {team: team-a}}}", "b")
    assert rules(*both, known=cluster("team-a")) == ["overlap"]
    assert "matchesNothing" in rules(*both, known=cluster("team-b"))
    assert "overlap" not in rules(*both, known=cluster("team-b"))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("rightSizing: {}", ["severalVpas"]),
        ("rightSizing: {mode: 'off'}", []),
        ("costCeiling: {podMonthly: '5'}", []),
    ],
    ids=["sized", "switched off", "not sized"],
)
def test_several_vpas_of_one_target_are_noticed_where_pods_are_sized_by_them(more: str, expected: list[str]) -> None:
    def vpa(name: str, target: str, created: str) -> dict[str, object]:
        return {
            "apiVersion": "autoscaling.k8s.io/v1",
            "kind": "VerticalPodAutoscaler",
            "metadata": {"name": name, "namespace": "team-a", "creationTimestamp": created},
            "spec": {"targetRef": {"kind": "Deployment", "name": target}, "updatePolicy": {"updateMode": "Off"}},
        }

    old, new = vpa("dashboard", "web", "2025-01-01T00:00:00Z"), vpa("web", "web", "2026-01-01T00:00:00Z")
    names = [factories.namespace("team-a", {"team": "team-a"})]
    view = Snapshot.from_documents([*names, new, old, vpa("api", "api", "2026-01-01T00:00:00Z")])
    known = lint.LintCluster(view, ["team-a"], lambda _item: True)
    found = [each for each in remarks(policy(TEAM, more=more), cluster=known) if each.rule != "noPrices"]
    assert [each.rule for each in found] == expected
    for each in found:
        assert "Deployment team-a/web" in each.text
        assert "'dashboard' and 'web'" in each.text
        assert "'dashboard' counts, because it is older than 'web'" in each.text


def test_an_exception_that_excuses_nothing_is_noticed() -> None:
    assert rules(policy(TEAM), exception(), known=cluster("team-a", used=False)) == ["unused"]
    assert rules(policy(TEAM), exception(), known=cluster("team-a", used=True)) == []
    assert rules(policy(TEAM), exception(expires="2026-01-01"), known=cluster("team-a", used=False)) == ["expired"]


@pytest.mark.parametrize(
    ("documents", "prices", "told"),
    [
        ([policy(TEAM)], factories.PRICES, "PriceList default has no price of google.com/tpu, which Pod team-a/x asks"),
        (
            [policy(TEAM, more="costCeiling: {podMonthly: '5'}")],
            "",
            "GuardrailPolicy team is judged by built-in list prices, which have no price of google.com/tpu, which Pod",
        ),
        ([BUDGET], "", "Budget all is judged by built-in list prices, which have no price of google.com/tpu"),
    ],
)
def test_resources_that_are_used_and_have_no_price_are_noticed(documents: list[str], prices: str, told: str) -> None:
    known = cluster("team-a")._replace(unpriced={"google.com/tpu": "Pod team-a/x"})
    (remark,) = [each for each in remarks(*documents, cluster=known, prices=prices) if each.rule == "unpriced"]
    assert told in str(remark)
    assert "add google.com/tpu to spec.onDemand.resources of the PriceList default" in str(remark)


def test_without_money_nobody_is_told_of_prices() -> None:
    known = cluster("team-a")._replace(unpriced={"google.com/tpu": "Pod team-a/x"})
    assert [each.rule for each in remarks(policy(TEAM), cluster=known, prices="")] == []
