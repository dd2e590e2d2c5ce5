"""What a pod's node selector and required affinity prove about its node, and what they leave open."""

from itertools import chain, combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.kube.objects import LabelSelector, PodSpec
from webhook.kube.selectors import compile_selector
from webhook.pricing import placement

POOL = "karpenter.sh/nodepool"


def required(*terms: list[dict[str, Any]], fields: bool = False) -> dict[str, Any]:
    """Return the affinity of a pod that requires one of the terms."""
    listed = [{"matchFields" if fields else "matchExpressions": term} for term in terms]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": listed}}}


def where(key: str, operator: str, *values: str) -> dict[str, Any]:
    """Return one requirement."""
    return {"key": key, "operator": operator, "values": list(values) or None}


def spec(**fields: object) -> PodSpec:
    """Return the spec of a pod."""
    return msgspec.convert(fields, PodSpec)


def selector(*requirements: dict[str, Any], **labels: str) -> LabelSelector:
    """Return a selector over nodes."""
    return msgspec.convert({"matchLabels": labels, "matchExpressions": list(requirements)}, LabelSelector)


_GPU = where(POOL, "In", "gpu")


def _is_bound(pod: PodSpec, wanted: LabelSelector) -> bool:
    found = placement.terms(pod)
    return bool(found) and all(placement.implies(term, wanted) for term in found)


@pytest.mark.parametrize(
    ("pod", "wanted", "bound"),
    [
        pytest.param(spec(), selector(_GPU), False, id="anywhere"),
        pytest.param(spec(nodeSelector={POOL: "gpu"}), selector(_GPU), True, id="selector"),
        pytest.param(spec(nodeSelector={POOL: "gpu"}), selector(**{POOL: "gpu"}), True, id="match labels"),
        pytest.param(spec(nodeSelector={POOL: "cpu"}), selector(_GPU), False, id="another pool"),
        pytest.param(spec(affinity=required([_GPU])), selector(_GPU), True, id="required affinity"),
        pytest.param(spec(affinity=required([_GPU], [where("a", "Exists")])), selector(_GPU), False, id="alternatives"),
        pytest.param(spec(affinity=required([_GPU], [])), selector(_GPU), True, id="an empty term matches nothing"),
        pytest.param(
            spec(affinity=required([where(POOL, "In", "gpu", "cpu"), where(POOL, "NotIn", "cpu")])),
            selector(_GPU),
            True,
            id="what is left",
        ),
        pytest.param(
            spec(nodeSelector={POOL: "gpu"}, affinity=required([where("a", "Exists")])),
            selector(_GPU, where("a", "Exists")),
            True,
            id="selector and affinity together",
        ),
        pytest.param(
            spec(nodeSelector={POOL: "gpu"}, affinity=required([where(POOL, "In", "cpu")])),
            selector(_GPU),
            False,
            id="a contradiction proves nothing",
        ),
        pytest.param(
            spec(affinity=required([where("a", "NotIn", "x", "y")])),
            selector(where("a", "NotIn", "x")),
            True,
            id="never x",
        ),
        pytest.param(
            spec(affinity=required([where("a", "DoesNotExist")])),
            selector(where("a", "NotIn", "x")),
            True,
            id="no label is not x",
        ),
        pytest.param(
            spec(affinity=required([where("a", "Gt", "4")])), selector(where("a", "Exists")), True, id="greater"
        ),
        pytest.param(
            spec(affinity=required([where("a", "NotIn", "x")])),
            selector(where("a", "Exists")),
            False,
            id="perhaps none",
        ),
    ],
)
def test_a_pod_is_bound_only_to_what_all_its_nodes_have(pod: PodSpec, wanted: LabelSelector, *, bound: bool) -> None:
    assert _is_bound(pod, wanted) is bound


_requirements = st.builds(
    where,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["In", "NotIn"]),
    st.sampled_from(["x", "y"]),
) | st.builds(where, st.sampled_from(["a", "b"]), st.sampled_from(["Exists", "DoesNotExist"]))
_NODES = [
    dict(zip(keys, values, strict=True))
    for keys in chain.from_iterable(combinations("ab", n) for n in range(3))
    for values in ([[]] if not keys else [[x, y][: len(keys)] for x in "xyz" for y in "xyz"])
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(_requirements, min_size=1, max_size=3), min_size=1, max_size=3), st.lists(_requirements))
def test_no_node_that_a_pod_accepts_contradicts_what_is_proved(
    terms: list[list[dict[str, Any]]], wanted: list[dict[str, Any]]
) -> None:
    pod, asked = spec(affinity=required(*terms)), selector(*wanted)
    accepts = [compile_selector(selector(*term)) for term in terms]
    if _is_bound(pod, asked):
        is_asked = compile_selector(asked)
        assert all(is_asked(node) for node in _NODES if any(accept(node) for accept in accepts))


def test_a_term_is_taken_apart_by_the_labels_that_matter() -> None:
    (term,) = placement.terms(spec(affinity=required([where(POOL, "In", "a", "b"), where("zone", "In", "x", "y")])))
    parts = placement.split(term, [POOL])
    assert [sorted(part[POOL].allowed or ()) for part in parts] == [["a"], ["b"]]
    assert all(sorted(part["zone"].allowed or ()) == ["x", "y"] for part in parts)


def test_a_term_of_very_many_values_is_left_as_it_is() -> None:
    (term,) = placement.terms(spec(affinity=required([where(POOL, "In", *map(str, range(65)))])))
    assert placement.split(term, [POOL]) == [term]


@pytest.mark.parametrize(
    ("pod", "names"),
    [
        (spec(), ()),
        (spec(affinity=required([where("metadata.name", "In", "n-1")], fields=True)), ("n-1",)),
        (
            spec(
                affinity=required([where("metadata.name", "In", "a")], [where("metadata.name", "In", "b")], fields=True)
            ),
            ("a", "b"),
        ),
        (spec(affinity=required([where("metadata.name", "NotIn", "n-1")], fields=True)), ()),
        (spec(affinity=required([where("metadata.name", "In", "n-1")])), ()),
        (spec(nodeSelector={"kubernetes.io/hostname": "n-1"}), ("n-1",)),
        (spec(affinity=required([where("kubernetes.io/hostname", "In", "a", "b")])), ("a", "b")),
        (spec(affinity=required([where("kubernetes.io/hostname", "In", "a")], [where("zone", "Exists")])), ()),
        (spec(nodeSelector={"kubernetes.io/hostname": "a"}, affinity=required([where("zone", "Exists")])), ("a",)),
    ],
)
def test_an_author_may_choose_the_nodes_by_name(pod: PodSpec, names: tuple[str, ...]) -> None:
    assert placement.bound_nodes(pod) == set(names)


@pytest.mark.parametrize(
    ("labels", "spot"),
    [
        ({}, False),
        ({"karpenter.sh/capacity-type": "spot"}, True),
        ({"karpenter.sh/capacity-type": "on-demand"}, False),
        ({"eks.amazonaws.com/capacityType": "SPOT"}, True),
        ({"cloud.google.com/gke-spot": "true"}, True),
        ({"kubernetes.azure.com/scalesetpriority": "spot"}, True),
    ],
)
def test_a_node_says_whether_it_is_spot_capacity(labels: dict[str, str], *, spot: bool) -> None:
    assert placement.is_spot(labels) is spot


@pytest.mark.parametrize(
    ("pod", "too_much"),
    [
        pytest.param(spec(), False, id="nothing"),
        pytest.param(spec(nodeSelector={str(number): "x" for number in range(600)}), False, id="selectors are cheap"),
        pytest.param(spec(affinity=required([where("a", "In", *map(str, range(500)))])), False, id="values of one"),
        pytest.param(spec(affinity=required([where("a", "In", *map(str, range(511)))])), True, id="too many values"),
        pytest.param(spec(affinity=required(*([_GPU] for _ in range(171)))), True, id="too many terms"),
        pytest.param(spec(affinity=required([_GPU for _ in range(256)])), True, id="too many requirements"),
        pytest.param(spec(affinity=required([_GPU for _ in range(256)], fields=True)), True, id="too many fields"),
    ],
)
def test_only_what_an_author_might_write_is_taken_apart(pod: PodSpec, *, too_much: bool) -> None:
    assert placement.asks_too_much(pod) is too_much


@pytest.mark.parametrize(("times", "spot"), [(100, True), (256, False)])
def test_what_is_too_long_to_tell_is_not_priced_as_spot(times: int, spot: bool) -> None:
    wanted = where("karpenter.sh/capacity-type", "In", "spot")
    assert (placement.capacity_of(spec(affinity=required([wanted] * times))) == "spot") is spot
