"""Which devices are paid for with a pod, so that each is counted once and none is free."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.guardrails._money_world import PRICES, World, context, pod
from webhook.cluster.view import ClusterPod
from webhook.guardrails import cost_ceiling
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context, WorkloadScale
from webhook.kube.objects import Pod, PodStatus
from webhook.pricing import book

Json = dict[str, Any]

DEVICES = msgspec.structs.replace(
    PRICES, on_demand=PRICES.on_demand._replace(claims={"gold": book.pico(Decimal(50)), "tin": book.pico(Decimal(2))})
)
POD = 3_000_000
GOLD = 50_000_000
TIN = 2_000_000


def _claim(name: str, device_class: str = "gold", count: int = 1, owner: str = "") -> Json:
    metadata: Json = {"name": name, "namespace": "team"}
    if owner:
        metadata["ownerReferences"] = [{"kind": "Pod", "name": "p", "uid": owner, "controller": True}]
    spec = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": device_class, "count": count}}]}}
    return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": metadata, "spec": spec}


def _template(name: str, device_class: str = "gold", count: int = 1) -> Json:
    claim = _claim(name, device_class, count)
    return {**claim, "kind": "ResourceClaimTemplate", "spec": {"spec": claim["spec"]}}


def _user(uid: str, claim: str, day: int = 1, labels: dict[str, str] | None = None) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": uid,
            "namespace": "team",
            "uid": uid,
            "labels": labels or {},
            "creationTimestamp": f"2026-01-{day:02d}T00:00:00Z",
        },
        "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimName": claim}]},
    }


def _pod(*claims: str, **templates: str) -> Pod:
    return _labelled({}, *claims, **templates)


def _labelled(labels: dict[str, str], *claims: str, **templates: str) -> Pod:
    listed = [{"name": f"c{n}", "resourceClaimName": name} for n, name in enumerate(claims)]
    listed += [{"name": name, "resourceClaimTemplateName": template} for name, template in templates.items()]
    return pod(labels=labels, resourceClaims=listed)


def _judged(created: Pod, *objects: Json, uid: str = "", **more: Any) -> Context:  # noqa: ANN401
    if uid:
        assert created.metadata is not None
        created.metadata.uid = uid
    return context(created, world=World(devices=objects), prices=DEVICES, **more)


def _cost(judged: Context) -> int:
    return pod_cost.context_price(judged).micros - POD


# --- templates ------------------------------------------------------------------------------------------------------


def test_a_claim_of_a_template_is_paid_for_by_its_pod() -> None:
    objects = [_template("two", count=2), _template("one", "tin")]
    assert _cost(_judged(_pod(gpu="two"), *objects)) == 2 * GOLD
    assert _cost(_judged(_pod(a="two", b="two", c="one"), *objects)) == 4 * GOLD + TIN


def test_a_claim_that_was_made_counts_and_not_what_its_template_says_by_now() -> None:
    objects = [_template("t", count=1), _claim("p-gpu-x", count=8, owner="u-1")]
    created = _pod(gpu="t")
    running = ClusterPod("u-1", "team", created, made_claims=(("gpu", "p-gpu-x"),))
    assert _cost(_judged(created, *objects, running=running)) == 8 * GOLD
    made = {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu-x"}]}
    created.status = msgspec.convert(made, PodStatus)
    assert _cost(_judged(created, *objects, uid="u-1")) == 8 * GOLD


def test_a_claim_of_another_pod_in_the_status_is_not_believed() -> None:
    objects = [_template("t", count=8), _claim("cheap", "tin", owner="u-2"), _claim("free", owner="")]
    for name in ("cheap", "free", "no-such-claim", None):
        created = _pod(gpu="t")
        said = {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": name}]}
        created.status = msgspec.convert(said, PodStatus)
        assert _cost(_judged(created, *objects, uid="u-1")) == 8 * GOLD


def test_a_pod_that_runs_and_needs_no_claim_pays_for_none() -> None:
    created = _pod(gpu="t")
    running = ClusterPod("u-1", "team", created, made_claims=(("gpu", ""),))
    assert _cost(_judged(created, _template("t"), running=running)) == 0


# --- claims by name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("users", "uid", "micros"),
    [
        pytest.param([], "u-1", GOLD, id="nobody uses it yet"),
        pytest.param([_user("u-9", "shared")], "u-1", 0, id="another pod uses it"),
        pytest.param([_user("u-9", "shared", 2), _user("u-1", "shared", 1)], "u-1", GOLD, id="the oldest is this one"),
        pytest.param([_user("u-9", "shared", 1), _user("u-1", "shared", 2)], "u-1", 0, id="the oldest is another"),
        pytest.param([_user("u-9", "other")], "u-1", GOLD, id="another claim"),
    ],
)
def test_a_shared_claim_is_paid_for_by_the_oldest_pod(users: list[Json], uid: str, micros: int) -> None:
    created = _pod("shared")
    assert _cost(_judged(created, _claim("shared"), *users, uid=uid)) == micros
    running = ClusterPod(uid, "team", created)
    assert _cost(_judged(created, _claim("shared"), *users, running=running)) == micros


def test_of_all_pods_that_share_a_claim_exactly_one_pays() -> None:
    users = [_user(f"u-{n}", "shared", day) for n, day in enumerate((3, 1, 2, 1))]
    paid = [_cost(_judged(_pod("shared"), _claim("shared"), *users, uid=f"u-{n}")) for n in range(4)]
    assert paid == [0, GOLD, 0, 0]


def test_two_entries_that_name_one_claim_get_the_same_devices() -> None:
    assert _cost(_judged(_pod("shared", "shared"), _claim("shared"))) == GOLD


def test_who_uses_the_claim_of_another_pod_shares_it() -> None:
    owner = _user("u-9", "else")
    owner["spec"] = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}
    owner["status"] = {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "made"}]}
    objects = [_template("t"), _claim("made", owner="u-9"), owner]
    assert _cost(_judged(_pod("made"), *objects, uid="u-1")) == 0


def _in_budgets(judged: Context, *keys: str) -> Context:
    """Let there be budgets by a label of the pod; the last one is for the whole namespace."""

    def by_label(key: str) -> Any:  # noqa: ANN401
        return lambda _namespace, _namespace_labels, labels: labels.get(key) == "yes"

    judged.budget_scopes = [*map(by_label, keys), lambda _namespace, _namespace_labels, _labels: True]
    return judged


@pytest.mark.parametrize(
    ("labels", "user", "micros"),
    [
        pytest.param({"a": "yes"}, {"a": "yes"}, 0, id="the same budgets"),
        pytest.param({"a": "yes"}, {"a": "yes", "b": "yes"}, 0, id="all of its budgets, and another one"),
        pytest.param({}, {"a": "yes"}, 0, id="all of its budgets"),
        pytest.param({"a": "yes"}, {}, GOLD, id="in none of its own"),
        pytest.param({"a": "yes"}, {"b": "yes"}, GOLD, id="other budgets"),
        pytest.param({"a": "yes", "b": "yes"}, {"a": "yes"}, GOLD, id="one of two"),
    ],
)
def test_no_pod_gets_devices_past_its_budgets_because_another_has_paid_elsewhere(
    labels: dict[str, str], user: dict[str, str], micros: int
) -> None:
    judged = _judged(_labelled(labels, "shared"), _claim("shared"), _user("u-9", "shared", labels=user), uid="u-1")
    assert _cost(_in_budgets(judged, "a", "b")) == micros


# --- workloads ------------------------------------------------------------------------------------------------------


def test_a_workload_pays_for_claims_of_templates_with_each_pod_and_for_named_ones_once() -> None:
    scale = WorkloadScale("Deployment", 3, "3 replicas")
    judged = _judged(
        _pod("shared", gpu="t"), _claim("shared"), _template("t", "tin"), _user("u", "shared"), scale=scale
    )
    price = pod_cost.context_price(judged)
    assert price.of(3) == 3 * (POD + TIN) + GOLD
    assert price.of(1) == POD + TIN + GOLD
    rule = cost_ceiling.CostCeilingRule(pod_monthly=None, workload_monthly=6_000_000_000)
    (finding,) = cost_ceiling.inspect(rule, judged)
    assert finding.message.startswith(
        "costs $6,500.00 a month (3 replicas), above the ceiling of $6,000.00 ($500.00 a pod, and $5,000.00 for claims "
        "that they share: 2 CPU, 10Gi, 1 device of class gold, 1 device of class tin by requests"
    )
    assert not cost_ceiling.inspect(rule._replace(workload_monthly=price.of(3) * 100), judged)


# --- what is not known ----------------------------------------------------------------------------------------------


def test_what_does_not_exist_is_named_and_never_free_unseen() -> None:
    judged = _judged(_pod("a", "a", gpu="t", other="u"), _template("u", "lead", 2))
    price = pod_cost.context_price(judged)
    assert price.micros == POD
    assert price.unpriced == (
        "2 devices of class lead",
        "claim a, which does not exist",
        "claim template t, which does not exist",
    )
    assert price.source == (
        "requests, on-demand, price list default, 2 devices of class lead, claim a, which does not exist and claim "
        "template t, which does not exist, not priced"
    )


def test_an_entry_that_names_nothing_is_named() -> None:
    price = pod_cost.context_price(_judged(pod(resourceClaims=[{"name": "gpu"}])))
    assert price.unpriced == ("claim gpu, which names no ResourceClaim and no template",)


@pytest.mark.parametrize("kind", ["claim", "template"])
def test_ten_thousand_claims_are_priced_in_one_line(kind: str) -> None:
    names = [f"claim-{n}" for n in range(10_000)]
    created = _pod(*names) if kind == "claim" else _pod(**dict.fromkeys(names, "t"))
    missing = pod_cost.context_price(_judged(created))
    assert len(missing.source) < 2_000
    objects = [_claim(name) for name in names] if kind == "claim" else [_template("t")]
    found = pod_cost.context_price(_judged(created, *objects))
    assert found.micros == POD + 10_000 * GOLD
    assert found.devices == (("gold", 10_000),)


def test_a_name_that_is_no_name_stays_short() -> None:
    price = pod_cost.context_price(_judged(_pod("x" * 100_000)))
    assert len(price.source) < 300


def test_where_devices_cost_most_the_cure_is_about_them() -> None:
    dear = _judged(_pod(gpu="t"), _template("t"))
    assert pod_cost.how_to_cost_less(dear) == "claim fewer devices, or devices of a cheaper class"
    cheap = _judged(_pod(gpu="t"), _template("t", "tin"))
    assert pod_cost.how_to_cost_less(cheap) == 'lower the requests of container "app"'


@pytest.mark.parametrize("denies", [True, False])
def test_what_has_no_price_is_told_or_refused_with_what_mends_it(*, denies: bool) -> None:
    judged = _judged(_pod("a", gpu="t", other="u"), _template("u", "lead", 2))
    (finding,) = pod_cost.unpriced(judged, denies=denies)
    assert finding.message == (
        "asks for 2 devices of class lead, which the price list has no price of, and for claim a, which does not exist "
        "and claim template t, which does not exist"
    )
    assert finding.cure == (
        "add a price of devices of class lead to the PriceList, or remove the request; create what the pod claims "
        "before the pod, or correct spec.resourceClaims"
    )
    assert finding.notice is not denies
