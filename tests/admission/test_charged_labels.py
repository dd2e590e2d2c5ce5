"""Budgets that go by a label which policies write: who is charged, and what a change of a workload is told."""

import copy
from typing import Any

import pytest

from tests import factories
from tests.admission.test_budgets import RATE
from webhook.admission.bookings import bookings

LABELS = "mode: {mode}\ncostLabels: {{required: [{{key: cost-center, source: {source}{more}}}]}}"
CLUSTER = [factories.namespace("team-alpha", {"cost-center": "alpha"})]


def labels(mode: str = "enforce", source: str = "namespace", more: str = "") -> str:
    return factories.policy(LABELS.format(mode=mode, source=source, more=more), name="labels")


def budget(amount: str, mode: str = "enforce", value: str = "alpha", **fields: str) -> str:
    more = "".join(f"\n{key}: {text}" for key, text in fields.items())
    scope = f"scope: {{label: {{key: cost-center, value: {value}}}}}"
    return factories.policy(
        f"mode: {mode}\n{scope}\namount: '{amount}'\ncurrency: USD{more}",
        name=value,
        kind="Budget",
    )


def world(*policies: str, cluster: list[dict[str, Any]] | None = None) -> factories.World:
    return factories.World(*policies, cluster=[*CLUSTER, *(cluster or [])])


def told(answer: factories.Answer) -> list[str]:
    assert answer.allowed
    return [each for each in answer.warnings if "budget" in each]


# --- a mutating call that did not come through ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "more"), [("namespace", ""), ("pod", ""), ("namespace", ", default: shared"), ("pod", ", default: x")]
)
@pytest.mark.parametrize("path", ["/validate", "/validate/cost"])
def test_a_label_that_was_to_be_written_is_nobodys_fault(path: str, source: str, more: str) -> None:
    scene = world(labels(source=source, more=more))
    answer = scene.call(path, factories.review(factories.stored(factories.pod())))
    assert answer.allowed
    (warning,) = answer.warnings
    assert 'the mutating call did not come through: label cost-center="alpha" was not written; to fix: ' in warning
    assert "metadata.labels[" not in warning


def test_the_pod_is_charged_as_if_it_had_the_label_when_it_comes_and_while_it_runs() -> None:
    scene = world(labels(), budget("300"))
    verdicts = [scene.validate(factories.pod(), pod_uid=f"p-{number}").allowed for number in range(2)]
    assert verdicts == [True, False]
    assert scene.ledger.committed("alpha") == RATE
    running = factories.stored(factories.pod(), "p-0")
    running["metadata"].update(namespace="team-alpha")
    seen = world(labels(), budget("300"), cluster=[running])
    assert seen.ledger.committed("alpha") == RATE
    assert [each.budgets for each in bookings(seen.view, seen.rules, lambda: factories.NOON)] == [("alpha",)]


@pytest.mark.parametrize("mode", ["warn", "audit"])
def test_a_label_that_is_not_written_yet_charges_nobody(mode: str) -> None:
    scene = world(labels(mode), budget("300"))
    assert scene.validate(factories.pod(), pod_uid="p").allowed
    assert scene.ledger.committed("alpha") == 0


def test_a_resize_of_such_a_pod_is_charged_as_well() -> None:
    scene = world(labels(), budget("300"))
    old = factories.stored(factories.pod(), "p")
    assert scene.call("/validate", factories.review(old)).allowed
    bigger = factories.stored(factories.pod(factories.container(cpu="2", memory="20Gi")), "p")
    answer = scene.call("/validate", factories.review(bigger, operation="UPDATE", old=old, subResource="resize"))
    assert not answer.allowed
    assert "this resize adds $200.00" in answer.message


@pytest.mark.parametrize(
    ("spec", "labels_", "rule"),
    [
        pytest.param("", {"cost-center": "other"}, "belongs to", id="another value"),
        pytest.param(", pattern: '^[b-z]+$'", {}, "which does not match", id="a namespace with a bad value"),
    ],
)
def test_what_is_the_authors_or_the_namespaces_is_refused(spec: str, labels_: dict[str, str], rule: str) -> None:
    answer = world(labels(more=spec)).validate(factories.pod(labels=labels_))
    assert not answer.allowed
    assert rule in answer.message


def test_without_a_value_from_anywhere_the_label_is_missing() -> None:
    answer = factories.World(labels(), cluster=[factories.namespace("team-alpha")]).validate(factories.pod())
    assert not answer.allowed
    assert "label cost-center is missing" in answer.message


def test_taking_the_label_off_a_pod_is_refused() -> None:
    old = factories.stored(factories.pod(labels={"cost-center": "alpha"}), "p")
    answer = world(labels()).call(
        "/validate", factories.review(factories.stored(factories.pod(), "p"), operation="UPDATE", old=old)
    )
    assert not answer.allowed
    assert "label cost-center is missing" in answer.message


# --- workloads --------------------------------------------------------------------------------------------------------


def changed(document: dict[str, Any], *, template: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:  # noqa: ANN401
    made = copy.deepcopy(document)
    made["spec"].update(spec)
    made["spec"]["template"]["metadata"].update(template or {})
    return made


def of_kind(kind: str, replicas: int = 4) -> dict[str, Any]:
    made = {**factories.deployment(replicas, uid="w", namespace="team-alpha"), "kind": kind}
    if kind == "DaemonSet":
        del made["spec"]["replicas"]
    return made


NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
RESTART = {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-22T12:00:00Z"}}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
@pytest.mark.parametrize("modes", [("enforce", "enforce"), ("enforce", "warn"), ("warn", "warn")])
def test_an_update_that_costs_nothing_is_not_announced(kind: str, modes: tuple[str, str]) -> None:
    scene = world(labels(modes[0]), budget("1", modes[1]), cluster=[NODE])
    old = of_kind(kind)
    for new in (
        changed(old),
        changed(old, template=RESTART),
        {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}},
    ):
        assert told(scene.validate(new, operation="UPDATE", old=old)) == []


def test_a_scale_down_is_not_announced_and_a_scale_up_tells_the_increase() -> None:
    old = of_kind("Deployment", 40)
    scene = world(labels(), budget("100"), cluster=[old])
    assert told(scene.validate(changed(old, replicas=2), operation="UPDATE", old=old)) == []
    (warning,) = told(scene.validate(changed(old, replicas=41), operation="UPDATE", old=old))
    assert "this Deployment adds $200.00 " in warning


@pytest.mark.parametrize(("wanted", "increase"), [(1, None), (3, None), (4, None), (5, "$200.00"), (6, "$400.00")])
def test_the_scale_subresource_tells_the_increase(wanted: int, increase: str | None) -> None:
    scene = world(labels(), budget("100"), cluster=[of_kind("Deployment")])
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "shop"},
        "spec": {"replicas": wanted},
    }
    answer = scene.call(
        "/validate",
        factories.review(
            scale,
            operation="UPDATE",
            old={**scale, "spec": {"replicas": 4}},
            name="shop",
            subResource="scale",
            resource={"group": "apps", "version": "v1", "resource": "deployments"},
        ),
    )
    found = told(answer)
    assert len(found) == (increase is not None)
    assert all(f"this Deployment adds {increase} " in each for each in found)


def test_a_template_that_moves_to_another_budget_is_told_its_whole_cost() -> None:
    scene = world(labels(source="pod"), budget("100", value="beta"))
    old = of_kind("Deployment")
    (warning,) = told(
        scene.validate(
            changed(old, template={"labels": {"app": "shop", "cost-center": "beta"}}), operation="UPDATE", old=old
        )
    )
    assert "this Deployment adds $800.00 " in warning


def test_a_new_workload_is_told_its_whole_cost() -> None:
    (warning,) = told(world(labels(), budget("100")).validate(of_kind("Deployment")))
    assert "this Deployment adds $800.00 " in warning


# --- values that no budget names --------------------------------------------------------------------------------------


REST = factories.policy(
    "mode: enforce\nscope: {label: {key: cost-center, unlabelled: true}}\namount: '300'\ncurrency: USD",
    name="rest",
    kind="Budget",
)


@pytest.mark.parametrize(
    ("value", "pays"),
    [(None, "rest"), ("", "rest"), ("nobody", "rest"), ("ALPHA", "rest"), ("alpha", "alpha"), ("closed", "closed")],
)
def test_a_value_that_no_budget_names_is_charged_to_the_budget_of_the_rest(value: str | None, pays: str) -> None:
    off = budget("1", "off", value="closed")
    scene = world(factories.policy("mode: audit\ncostCeiling: {podMonthly: '9999'}"), budget("900"), REST, off)
    labelled = {} if value is None else {"cost-center": value}
    assert scene.validate(factories.pod(labels=labelled)).allowed
    committed = {name: scene.ledger.committed(name) for name in ("alpha", "rest")}
    assert committed == {name: RATE if name == pays else 0 for name in committed}


def test_a_new_value_moves_a_pod_to_the_budget_of_the_rest_and_not_past_it() -> None:
    scene = world(factories.policy("mode: audit\ncostCeiling: {podMonthly: '9999'}"), budget("900"), REST)
    verdicts = []
    for number in range(2):
        old = factories.stored(factories.pod(labels={"cost-center": "alpha"}), f"p-{number}")
        assert scene.call("/validate", factories.review(old)).allowed
        new = factories.stored(factories.pod(labels={"cost-center": "nobody"}), f"p-{number}")
        verdicts.append(scene.call("/validate", factories.review(new, operation="UPDATE", old=old)).allowed)
    assert verdicts == [True, False]
