"""The capacity that a pod can land on, by every label that platforms mark spot nodes with and every operator."""

from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.kube.objects import LabelSelector, PodSpec
from webhook.kube.selectors import compile_selector
from webhook.pricing import placement

OTHERS = {
    "karpenter.sh/capacity-type": ("on-demand", "reserved"),
    "eks.amazonaws.com/capacityType": ("ON_DEMAND", "CAPACITY_BLOCK"),
    "cloud.google.com/gke-spot": ("false",),
    "cloud.google.com/gke-preemptible": ("false",),
    "kubernetes.azure.com/scalesetpriority": ("regular",),
    "node.kubernetes.io/lifecycle": ("normal", "on-demand"),
    "lifecycle": ("Ec2OnDemand",),
    "example.com/market": ("bought",),
}
"""Values of each label that do not mark spot capacity."""
LABELS = {**placement.SPOT_LABELS, "example.com/market": frozenset({"rented"})}
"""Those that are known, and one that only a policy knows."""


def _spec(**fields: object) -> PodSpec:
    return msgspec.convert(fields, PodSpec)


def _where(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values) or None}


def _required(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    listed = [{"matchExpressions": term} for term in terms]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": listed}}}


def _capacity(spec: PodSpec) -> str:
    return placement.capacity_of(spec, LABELS)


def test_every_known_label_is_in_the_table() -> None:
    assert set(OTHERS) == set(LABELS)


@pytest.mark.parametrize("key", OTHERS)
def test_the_capacity_by_each_label_and_operator(key: str) -> None:
    (spot,), others = LABELS[key], OTHERS[key]
    table: list[tuple[dict[str, Any], str]] = [
        ({"nodeSelector": {key: spot}}, "spot"),
        *(({"nodeSelector": {key: other}}, "onDemand") for other in others),
        ({"nodeSelector": {key: ""}}, "onDemand"),
    ]
    expressions: list[tuple[list[dict[str, Any]], str]] = [
        ([_where(key, "In", spot)], "spot"),
        ([_where(key, "In", *others)], "onDemand"),
        ([_where(key, "In", spot, *others)], "any"),
        ([_where(key, "NotIn", spot)], "onDemand"),
        ([_where(key, "NotIn", *others)], "any"),
        ([_where(key, "NotIn", spot, *others)], "onDemand"),
        ([_where(key, "Exists")], "any"),
        ([_where(key, "DoesNotExist")], "onDemand"),
        ([_where(key, "Gt", "1")], "onDemand"),
        ([_where(key, "Lt", "1")], "onDemand"),
        ([_where(key, "In", spot, *others), _where(key, "NotIn", *others)], "spot"),
        ([_where(key, "In", spot, *others), _where(key, "NotIn", spot)], "onDemand"),
        ([_where(key, "Exists"), _where(key, "NotIn", spot)], "onDemand"),
        ([_where(key, "In", spot), _where(key, "DoesNotExist")], "onDemand"),
    ]
    table += [({"affinity": _required(term)}, capacity) for term, capacity in expressions]
    for fields, capacity in table:
        assert (fields, _capacity(_spec(**fields))) == (fields, capacity)


@pytest.mark.parametrize("key", OTHERS)
def test_alternatives_leave_what_any_of_them_leaves(key: str) -> None:
    (spot,), other = LABELS[key], OTHERS[key][0]
    on_spot, elsewhere, open_ = [_where(key, "In", spot)], [_where(key, "In", other)], [_where("zone", "In", "a")]
    table: list[tuple[list[list[dict[str, Any]]], str]] = [
        ([on_spot, on_spot], "spot"),
        ([elsewhere, [_where(key, "DoesNotExist")]], "onDemand"),
        ([on_spot, elsewhere], "any"),
        ([on_spot, open_], "any"),
        ([elsewhere, open_], "any"),
        # An empty term, and one that contradicts itself, match no node.
        ([on_spot, []], "spot"),
        ([elsewhere, [*on_spot, *elsewhere]], "onDemand"),
        ([[]], "onDemand"),
        ([[*on_spot, *elsewhere]], "onDemand"),
    ]
    for terms, capacity in table:
        assert (terms, _capacity(_spec(affinity=_required(*terms)))) == (terms, capacity)
    # A node selector holds beside each of them.
    assert _capacity(_spec(nodeSelector={key: other}, affinity=_required(on_spot, open_))) == "onDemand"
    assert _capacity(_spec(nodeSelector={key: spot}, affinity=_required(open_))) == "spot"


@pytest.mark.parametrize(("key", "another"), [pair for pair in product(OTHERS, OTHERS) if pair[0] != pair[1]])
def test_a_node_that_one_label_calls_spot_and_another_does_not_is_not_paid_as_spot(key: str, another: str) -> None:
    (spot,) = LABELS[key]
    assert _capacity(_spec(nodeSelector={key: spot, another: OTHERS[another][0]})) == "onDemand"
    not_spot = _where(another, "NotIn", *LABELS[another])
    assert _capacity(_spec(nodeSelector={key: spot}, affinity=_required([not_spot]))) == "spot"


def test_other_labels_leave_it_open() -> None:
    assert _capacity(_spec()) == "any"
    assert _capacity(_spec(nodeSelector={"disk": "spot"})) == "any"
    assert _capacity(_spec(affinity={"nodeAffinity": {}})) == "any"
    assert _capacity(_spec(tolerations=[{"key": "spot", "operator": "Exists"}])) == "any"


def test_a_label_that_a_policy_marks_spot_nodes_with_by_a_number_is_compared() -> None:
    def capacity(operator: str, bound: str) -> str:
        spec = _spec(affinity=_required([_where("market", operator, bound)]))
        return placement.capacity_of(spec, {"market": frozenset({"5"})})

    assert [capacity("Gt", "4"), capacity("Gt", "5"), capacity("Lt", "6"), capacity("Lt", "5")] == [
        "any",
        "onDemand",
        "any",
        "onDemand",
    ]


_KEYS = ("karpenter.sh/capacity-type", "lifecycle")
_VALUES = {"karpenter.sh/capacity-type": ("spot", "on-demand"), "lifecycle": ("EC2Spot", "normal")}
_REQUIREMENTS = st.sampled_from(_KEYS).flatmap(
    lambda key: st.one_of(
        st.builds(
            lambda operator, values: _where(key, operator, *values),
            st.sampled_from(["In", "NotIn"]),
            st.lists(st.sampled_from(_VALUES[key]), min_size=1, max_size=2, unique=True),
        ),
        st.sampled_from([_where(key, "Exists"), _where(key, "DoesNotExist")]),
    )
)
_NODES = [
    {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}
    for values in product(*((None, *_VALUES[key], "else") for key in _KEYS))
]
"""All nodes that these labels tell apart."""


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(_REQUIREMENTS, min_size=1, max_size=3), min_size=1, max_size=3))
def test_a_pod_is_only_paid_as_spot_where_every_node_that_it_accepts_is(terms: list[list[dict[str, Any]]]) -> None:
    accepts = [compile_selector(msgspec.convert({"matchExpressions": term}, LabelSelector)) for term in terms]
    accepted = [node for node in _NODES if any(accept(node) for accept in accepts)]
    capacity = placement.capacity_of(_spec(affinity=_required(*terms)))
    if capacity == "spot":
        assert accepted
        assert all(placement.is_spot(node) for node in accepted)
    if capacity == "any":
        assert any(placement.is_spot(node) for node in accepted)
    if accepted and not any(placement.is_spot(node) for node in accepted):
        assert capacity == "onDemand"
