"""costLabels: where the value comes from, what is refused, and what is never overwritten."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from tests.guardrails import _scene

KEY = "cost-center"
LABELLED = factories.namespace("team-alpha", {KEY: "alpha"})
ANNOTATED = factories.namespace("team-alpha", {}, annotations={KEY: "annotated"})
BARE = factories.namespace("team-alpha")


def section(**fields: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in fields.items())
    return f"{{required: [{{key: {KEY}{more}}}]}}"


def seen(required: str, own: str | None = None, namespace: dict[str, Any] | None = None) -> _scene.Seen:
    labels = {} if own is None else {KEY: own}
    return _scene.judge("costLabels", required, factories.pod(labels=labels), [namespace] if namespace else [])


FILLED: dict[str, tuple[str, str | None, dict[str, Any] | None, str]] = {
    "from the namespace's label": (section(source="namespace"), None, LABELLED, "alpha"),
    "from the namespace's annotation": (section(source="namespace"), None, ANNOTATED, "annotated"),
    "from the default": (section(source="namespace", default="shared"), None, BARE, "shared"),
    "from the default, namespace unknown": (section(source="namespace", default="shared"), None, None, "shared"),
    "the namespace before the default": (section(source="namespace", default="shared"), None, LABELLED, "alpha"),
    "the pod's own, namespace silent": (section(source="namespace", default="shared"), "own", BARE, "own"),
    "the pod's own is the namespace's": (section(source="namespace"), "alpha", LABELLED, "alpha"),
    "source pod: its own": (section(source="pod"), "own", LABELLED, "own"),
    "source pod: the namespace fills in": (section(source="pod", default="shared"), None, LABELLED, "alpha"),
    "source pod: the default": (section(source="pod", default="shared"), None, BARE, "shared"),
    "an empty value is none": (section(source="pod", default="shared"), "", BARE, "shared"),
    "allowed": (section(source="pod", allowed="[own, x]"), "own", BARE, "own"),
    "matching": (section(source="pod", pattern='"^[a-z]+$"'), "own", BARE, "own"),
}


@pytest.mark.parametrize("name", FILLED)
def test_a_pod_gets_the_label_or_keeps_it(name: str) -> None:
    required, own, namespace, expected = FILLED[name]
    result = seen(required, own, namespace)
    assert result.findings == []
    assert result.patched["metadata"]["labels"] == {"app": "shop", KEY: expected}
    assert bool(result.operations) is (own != expected)


REFUSED: dict[str, tuple[str, str | None, dict[str, Any] | None, str, str]] = {
    "no value anywhere": (section(source="pod"), None, BARE, "missing", f"label {KEY} is missing"),
    "no value, namespace unknown": (section(source="namespace"), None, None, "missing", "is missing"),
    "an empty value": (section(source="pod"), "", BARE, "missing", "is missing"),
    "contradicts the namespace": (
        section(source="namespace"),
        "marketing",
        LABELLED,
        "contradicts",
        'label cost-center is "marketing" but namespace team-alpha belongs to "alpha"',
    ),
    "contradicts its annotation": (section(source="namespace"), "x", ANNOTATED, "contradicts", '"annotated"'),
    "not allowed": (section(source="pod", allowed="[a, b]"), "c", BARE, "value", "not one of the allowed values"),
    "not matching": (section(source="pod", pattern='"^[a-z]+$"'), "C3", BARE, "value", "does not match ^[a-z]+$"),
    "matching in part": (section(source="pod", pattern='"^[a-z]+$"'), "ok-3", BARE, "value", "does not match"),
    "the namespace's value is bad": (
        section(source="namespace", allowed="[a]"),
        None,
        LABELLED,
        "namespaceValue",
        'namespace team-alpha has cost-center="alpha", which is not one of the allowed values',
    ),
    "no label value": (section(source="pod"), "-x-", BARE, "value", "is not a valid label value"),
    "too long": (section(source="pod"), "x" * 64, BARE, "value", "is not a valid label value"),
    "an annotation that is no label value": (
        section(source="namespace"),
        None,
        factories.namespace("team-alpha", annotations={KEY: "two words"}),
        "namespaceValue",
        "is not a valid label value",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_pod_is_refused_and_its_label_left_as_it_is(name: str) -> None:
    required, own, namespace, rule, words = REFUSED[name]
    result = seen(required, own, namespace)
    (finding,) = result.findings
    assert finding.rule == rule
    assert words in finding.message
    assert finding.cure
    assert not finding.notice
    assert result.operations == []


def test_every_required_label_is_judged_by_itself() -> None:
    others = "{key: team, source: pod, default: x}, {key: app, source: pod}"
    required = f"{{required: [{{key: {KEY}, source: pod}}, {others}]}}"
    result = _scene.judge("costLabels", required, factories.pod())
    assert [finding.message for finding in result.findings] == [f"label {KEY} is missing"]
    assert result.patched["metadata"]["labels"] == {"app": "shop", "team": "x"}


def test_a_pod_without_metadata_gets_its_label() -> None:
    pod = factories.pod()
    del pod["metadata"]
    result = _scene.judge("costLabels", section(source="pod", default="shared"), pod)
    assert result.patched["metadata"] == {"labels": {KEY: "shared"}}


def changed(before: str | None, after: str | None) -> _scene.Seen:
    old = factories.pod(labels={KEY: before} if before else {})
    new = factories.pod(labels={KEY: after} if after else {})
    return _scene.judge("costLabels", section(source="namespace"), new, [LABELLED], old, operation="UPDATE")


def test_an_update_is_refused_where_the_label_changes_for_the_worse_and_never_patched() -> None:
    assert [finding.rule for finding in changed("alpha", "beta").findings] == ["contradicts"]
    assert [finding.rule for finding in changed("alpha", None).findings] == ["missing"]
    assert changed("beta", "alpha").findings == []
    # What is wrong already may stay: running pods are not punished for a new policy.
    assert changed("beta", "beta").findings == []
    assert changed(None, None).findings == []
    assert not any(changed(*pair).operations for pair in (("alpha", None), (None, None)))


@settings(max_examples=60, deadline=None)
@given(
    own=st.none() | st.sampled_from(["", "a", "B", "a-b", "x" * 64]) | st.text(max_size=8),
    truth=st.none() | st.sampled_from(["a", "B", "bad value"]),
    default=st.sampled_from(["", "default: a", "default: c"]),
    source=st.sampled_from(["pod", "namespace"]),
)
def test_whatever_is_there_a_pod_ends_with_a_good_label_or_a_finding(
    own: str | None, truth: str | None, default: str, source: str
) -> None:
    required = f"{{required: [{{key: {KEY}, source: {source}, allowed: [a, B, c]{', ' if default else ''}{default}}}]}}"
    namespace = factories.namespace("team-alpha", {} if truth is None else {KEY: truth})
    result = seen(required, own, namespace)
    label = result.patched["metadata"]["labels"].get(KEY)
    assert bool(result.findings) is (
        label not in ("a", "B", "c") or (source == "namespace" and bool(truth) and label != truth)
    )
    if own:
        assert label == own
