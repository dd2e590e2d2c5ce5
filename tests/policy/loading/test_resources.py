"""Policies as custom resources: each object is judged alone, and the last good version of each stays."""

import json
from typing import Any

import msgspec
import pytest

from webhook.kube.watch_wire import Malformed, meta_of
from webhook.policy.loading import loader
from webhook.policy.loading.resources import KindSource, ResourcePolicies

Object = dict[str, Any]


def policy(name: str, **spec: object) -> Object:
    return {
        "apiVersion": "podgate.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": {"name": name, "uid": "u", "resourceVersion": "7", "generation": 2, "managedFields": []},
        "spec": {"mode": "audit", "podSecurity": {"level": "baseline"}, **spec},
    }


def budget(name: str, currency: str = "USD") -> Object:
    return {
        "kind": "Budget",
        "metadata": {"name": name},
        "spec": {"mode": "warn", "scope": {"cluster": True}, "amount": "10", "currency": currency},
    }


def prices(currency: str = "USD") -> Object:
    rates = {"cpuCoreHour": "1", "memoryGiBHour": "1", "gpuHour": "1"}
    return {"kind": "PriceList", "metadata": {"name": "default"}, "spec": {"currency": currency, "onDemand": rates}}


def exception(namespace: str) -> Object:
    spec = {"guardrails": ["podSecurity"], "owner": "a", "reason": "b", "expires": "2027-01-01"}
    return {"kind": "PolicyException", "metadata": {"name": "x", "namespace": namespace}, "spec": spec}


class Cluster(ResourcePolicies):
    """Resources that tests apply as a reflector would."""

    def source(self, each: Object) -> KindSource:
        return next(source for source in self.sources if source.kind == each["kind"])

    def apply(self, each: Object) -> str | None:
        """Add or change one; return what is wrong with it."""
        source, raw = self.source(each), msgspec.Raw(json.dumps(each).encode())
        meta = meta_of(raw)
        kept = source.decode(raw, meta)
        source.put(f"{meta.namespace}/{meta.name}", kept)
        return " ".join(map(str, kept.judged.problems)) or None

    def names(self) -> list[str]:
        return [f"{each.namespace}/{each.name}".lstrip("/") for each in self.combine().set.documents]


def test_objects_of_every_kind_hold_together() -> None:
    cluster = Cluster()
    for each in (policy("p"), budget("b"), prices(), exception("team-a"), exception("team-b")):
        assert cluster.apply(each) is None
    assert cluster.names() == ["b", "p", "team-a/x", "team-b/x", "default"]
    assert cluster.combine().problems == ()
    assert len(cluster) == 5


def test_a_malformed_object_affects_itself_alone() -> None:
    cluster = Cluster()
    cluster.apply(policy("good"))
    told = cluster.apply(policy("bad", mode="strict"))
    assert told is not None
    assert told.startswith("GuardrailPolicy bad: spec.mode: ")
    assert "\n" not in told
    assert cluster.names() == ["good"]
    assert [str(problem) for problem in cluster.combine().problems] == [
        f"{told} Nothing of it is in force, for no valid version is known."
    ]


def test_the_last_good_version_stays_until_the_object_is_mended_or_gone() -> None:
    cluster = Cluster()
    cluster.apply(policy("p", priority=1))
    cluster.apply(policy("p", priority="high"))
    assert [each.spec.priority for each in cluster.combine().set.policies] == [1]
    assert len(cluster.combine().problems) == 1
    cluster.apply(policy("p", priority=2))
    assert [each.spec.priority for each in cluster.combine().set.policies] == [2]
    assert cluster.combine().problems == ()
    cluster.apply(policy("p", priority="high"))
    cluster.source(policy("p")).drop("/p")
    assert cluster.names() == []
    assert cluster.combine().problems == ()


def test_a_new_list_keeps_the_last_good_version_of_what_is_malformed() -> None:
    cluster = Cluster()
    cluster.apply(policy("p"))
    cluster.apply(policy("gone"))
    cluster.apply(policy("p", mode="strict"))
    cluster.source(policy("p")).replace({}, frozenset({"/p"}))
    assert cluster.names() == ["p"]
    assert len(cluster.combine().problems) == 1
    cluster.source(policy("p")).replace({}, frozenset())
    assert cluster.names() == []
    assert cluster.combine().problems == ()


def test_every_change_is_told_by_a_number_that_grows() -> None:
    cluster = Cluster()
    seen = [cluster.changes]
    steps = [policy("p"), policy("p", mode="strict"), policy("p"), policy("p", priority=3)]
    for each in steps:
        cluster.apply(each)
        seen.append(cluster.changes)
    cluster.source(policy("p")).drop("/p")
    seen.append(cluster.changes)
    assert seen == sorted(set(seen))


def test_what_the_directory_says_comes_before_a_resource_of_the_same_name() -> None:
    base = loader.load_text(
        "{apiVersion: podgate.dev/v1alpha1, kind: GuardrailPolicy, metadata: {name: p}, "
        "spec: {mode: warn, podSecurity: {level: baseline}}}",
        "policies/p.yaml",
    )
    cluster = Cluster()
    cluster.apply(policy("p"))
    cluster.apply(policy("q"))
    combined = cluster.combine(base)
    assert [(each.name, each.spec.mode) for each in combined.set.policies] == [("p", "warn"), ("q", "audit")]
    assert [str(each) for each in combined.problems] == [
        "GuardrailPolicy p: metadata.name: is defined in policies/p.yaml:1 as well. Rename or remove one of them."
    ]


def test_a_budget_in_another_currency_than_the_prices_is_set_aside_alone() -> None:
    cluster = Cluster()
    for each in (budget("dollars"), budget("euros", "EUR"), prices()):
        cluster.apply(each)
    assert cluster.names() == ["dollars", "default"]
    (problem,) = cluster.combine().problems
    assert str(problem).startswith("Budget euros: spec.currency: must be the currency of PriceList default")


def test_prices_that_break_the_budgets_of_the_directory_are_set_aside() -> None:
    text = json.dumps({"apiVersion": "podgate.dev/v1alpha1", **budget("b")})
    cluster = Cluster()
    cluster.apply(prices("EUR"))
    combined = cluster.combine(loader.load_text(text, "b.yaml"))
    assert [each.name for each in combined.set.documents] == ["b"]
    assert [str(each) for each in combined.problems] == [
        "PriceList default: spec.currency: differs from that of b.yaml:1. Use one currency for all."
    ]


def test_an_object_without_a_spec_is_told_so() -> None:
    cluster = Cluster()
    without = {name: each for name, each in policy("p").items() if name != "spec"}
    assert (
        cluster.apply(without) == "GuardrailPolicy p: spec: is required. Add `spec:` (what a GuardrailPolicy asks for; "
        "each guardrail that is configured has a section of its own name)."
    )
    assert cluster.names() == []


@pytest.mark.parametrize("content", [b'{"metadata":{"name":"p"},"spec":', b"[]"])
def test_what_is_no_object_at_all_is_malformed(content: bytes) -> None:
    source = Cluster().source(policy("p"))
    with pytest.raises(Malformed):
        source.decode(msgspec.Raw(content), meta_of(msgspec.Raw(b'{"metadata":{"name":"p"}}')))


def test_equal_content_has_an_equal_fingerprint() -> None:
    one, other = Cluster(), Cluster()
    one.apply(policy("p"))
    other.apply({**policy("p"), "metadata": {"name": "p", "resourceVersion": "8"}})
    assert one.combine().set.fingerprint == other.combine().set.fingerprint
    other.apply(policy("p", priority=4))
    assert one.combine().set.fingerprint != other.combine().set.fingerprint


def test_a_budget_is_out_of_force_while_its_price_list_is_gone() -> None:
    cluster = Cluster()
    cluster.apply(prices("EUR"))
    cluster.apply(budget("b", "EUR"))
    assert not cluster.combine().problems
    cluster.source(prices()).drop("/default")
    combined = cluster.combine()
    assert not combined.set.budgets
    (problem,) = combined.problems
    assert "is EUR, but there is no PriceList default" in str(problem)
    (condition,) = combined.refused.values()
    assert condition.reason == "NoPrices"
    cluster.apply(prices("EUR"))
    assert len(cluster.combine().set.budgets) == 1


def test_a_budget_of_a_file_waits_for_a_price_list_that_is_a_resource() -> None:
    text = "apiVersion: podgate.dev/v1alpha1\nkind: Budget\nmetadata: {name: b}\n"
    text += 'spec: {mode: enforce, scope: {cluster: true}, amount: "1", currency: EUR}\n'
    base = loader.load_text(text, "b.yaml")
    cluster = Cluster()
    combined = cluster.combine(base)
    assert not combined.set.budgets
    assert [str(each).partition(", but")[0] for each in combined.problems] == ["b.yaml:1: spec.currency: is EUR"]
    cluster.apply(prices("EUR"))
    assert [each.name for each in cluster.combine(base).set.budgets] == ["b"]


def test_a_list_of_a_pool_that_breaks_a_rule_of_prices_affects_itself_alone() -> None:
    pool = prices("USD")
    pool["metadata"]["name"] = "arm"
    pool["spec"]["hoursPerMonth"] = 720
    cluster = Cluster()
    cluster.apply(pool)
    cluster.apply(prices("USD"))
    combined = cluster.combine()
    assert [each.name for each in combined.set.price_lists] == ["default"]
    (condition,) = combined.refused.values()
    assert condition.reason == "PriceListClash"
