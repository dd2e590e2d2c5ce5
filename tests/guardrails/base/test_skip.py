"""Opting out by annotation: which words count."""

import msgspec
import pytest

from tests import factories
from webhook.admission.ruleset import DEFAULT_PRICES
from webhook.cluster.snapshot import Snapshot
from webhook.guardrails.base import skip
from webhook.guardrails.base.contract import Context
from webhook.kube.objects import Pod


def context(annotations: dict[str, str]) -> Context:
    pod = msgspec.convert(factories.pod(annotations=annotations), Pod)
    return Context(pod=pod, namespace="team-alpha", view=Snapshot.from_documents([]), prices=DEFAULT_PRICES)


@pytest.mark.parametrize("value", ["spot", " spot ", "spot,", "binPacking,spot", "binPacking , spot", ",spot"])
def test_a_named_guardrail_is_skipped(value: str) -> None:
    assert skip.is_skipped(context({"podgate.dev/skip": value}), "spot")


@pytest.mark.parametrize("value", ["", "Spot", "spots", "binPacking", "spot binPacking", "*", "all", "true"])
def test_anything_else_is_not(value: str) -> None:
    assert not skip.is_skipped(context({"podgate.dev/skip": value}), "spot")


def test_another_annotation_is_not() -> None:
    assert not skip.is_skipped(context({"podgate.io/skip": "spot"}), "spot")
    assert not skip.is_skipped(context({}), "spot")


@pytest.mark.parametrize("guardrail", ["costLabels", "podSecurity", "costCeiling", "rightSizing"])
def test_no_other_guardrail_can_be_skipped_by_the_pod(guardrail: str) -> None:
    sections = {
        "costLabels": "costLabels: {required: [{key: cost-center, source: pod}]}",
        "podSecurity": "podSecurity: {level: baseline}",
        "costCeiling": 'costCeiling: {podMonthly: "1"}',
        "rightSizing": "rightSizing: {when: always}",
    }
    world = factories.World(factories.policy(f"mode: enforce\n{sections[guardrail]}"))
    plain = world.validate(factories.pod(hostNetwork=True))
    skipping = world.validate(factories.pod(hostNetwork=True, annotations={"podgate.dev/skip": guardrail}))
    assert skipping.allowed is plain.allowed is (guardrail == "rightSizing")
    assert skipping.outcome(guardrail) == plain.outcome(guardrail)
