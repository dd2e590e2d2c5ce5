"""Which requests Pod Security judges."""

from typing import Any

import pytest

from tests.guardrails.pod_security.tables import Json, container, context_of, decode, pod
from webhook.guardrails.base.contract import WorkloadScale
from webhook.guardrails.pod_security._significance import judges

OLD = pod(container("a"), initContainers=[container("i")], ephemeralContainers=[container("e")])


def _update(new: Json, subresource: str = "", old: Json | None = OLD) -> bool:
    stored = decode(old) if old is not None else None
    return judges(context_of(new, operation="UPDATE", subresource=subresource, old_pod=stored))


def _changed(**spec: Any) -> Json:  # noqa: ANN401  any JSON value
    return OLD | {"spec": OLD["spec"] | spec}


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        _changed(hostUsers=False, securityContext={"runAsNonRoot": False}),
        _changed(volumes=[{"name": "v", "hostPath": {}}]),
        _changed(containers=[container("renamed", securityContext={"privileged": True})]),
        _changed(ephemeralContainers=[]),
        OLD | {"metadata": {"labels": {"a": "b"}}},
    ],
    ids=["nothing", "pod fields", "volumes", "name and context", "ephemeral container removed", "labels"],
)
def test_updates_that_change_no_code_are_not_judged(new: Json) -> None:
    assert not _update(new)


@pytest.mark.parametrize(
    "new",
    [
        _changed(containers=[container("a", image="other")]),
        _changed(containers=[container("a"), container("b")]),
        _changed(containers=[]),
        _changed(initContainers=[container("i", image="other")]),
        _changed(initContainers=None),
        _changed(ephemeralContainers=[container("e", image="other")]),
        _changed(ephemeralContainers=[container("e"), container("f")]),
        _changed(ephemeralContainers=[container("e"), {"name": "without-image"}]),
    ],
    ids=["image", "more", "fewer", "init image", "init gone", "debugger image", "debugger", "debugger without image"],
)
def test_updates_that_bring_other_code_are_judged(new: Json) -> None:
    assert _update(new)
    assert _update(new, "ephemeralcontainers")


def test_the_first_ephemeral_container_of_a_name_is_compared() -> None:
    twice = _changed(ephemeralContainers=[container("e", image="1"), container("e", image="2")])
    assert not _update(_changed(ephemeralContainers=[container("e", image="1")]), old=twice)
    assert _update(_changed(ephemeralContainers=[container("e", image="2")]), old=twice)


def test_an_update_of_an_unknown_pod_is_judged() -> None:
    assert _update(OLD, old=None)


@pytest.mark.parametrize("subresource", ["resize", "binding", "exec", "status", "eviction"])
def test_subresources_that_cannot_change_the_verdict_are_never_judged(subresource: str) -> None:
    assert not _update(_changed(containers=[container("a", image="other")]), subresource)
    assert not judges(context_of(OLD, operation="CREATE", subresource=subresource))


def test_new_pods_are_judged_and_deleted_ones_are_not() -> None:
    assert judges(context_of(OLD))
    assert not judges(context_of(OLD, operation="DELETE"))


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_templates_of_workloads_are_always_judged(operation: str) -> None:
    stored = decode(OLD)
    assert judges(context_of(OLD, operation=operation, old_pod=stored, scale=WorkloadScale("Deployment", 3)))
