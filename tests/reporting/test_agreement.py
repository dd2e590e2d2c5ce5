"""`podgate audit` and the webhook in audit mode agree on every recorded object: the same findings, patch and money."""

import functools
from typing import Any

import msgspec
import pytest

from tests import factories
from tests.admission.test_recorded import ROOT, _reviews, _rules, _view
from webhook import assembly
from webhook.admission.bookings import bookings
from webhook.ledger.memory import MemoryLedger
from webhook.reporting.fold import ObjectResult, Verdict
from webhook.reporting.judge import Judge, Skipped
from webhook.reporting.render.text import exact
from webhook.reporting.scan_input import load_policies

Said = tuple[object, ...]


@functools.cache
def _objects() -> tuple[dict[str, Any], ...]:
    """Return recorded requests to create pods and workloads, each with the name and UID that it was stored under."""
    requests = []
    for number, text in enumerate(_reviews()):
        request = msgspec.json.decode(text)["request"]
        if request["operation"] != "CREATE" or request.get("subResource") or not request.get("object"):
            continue
        # Under the policies of a team, where the most happens.
        request["namespace"] = request["object"]["metadata"]["namespace"] = ("team-alpha", "batch-jobs")[number % 2]
        metadata = request["object"]["metadata"]
        metadata["uid"] = f"uid-{number}"
        metadata.setdefault("name", f"{metadata.get('generateName', 'object-')}{number}")
        # Nobody in particular asks: an audit does not know who created what runs.
        request["userInfo"] = {"username": "", "groups": []}
        requests.append(request)
    return tuple(requests)


def _budgetless(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in outcomes if each["guardrail"] != "budget"]


def _of_webhook(world: factories.World, request: dict[str, Any]) -> tuple[Said, dict[str, Any]] | None:
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    mutated, validated = world.call("/mutate", review), world.call("/validate", review)
    entries = [entry for entry in (mutated.entry, validated.entry) if entry is not None]
    if not entries:
        return None
    findings = {
        (each["policy"], each["guardrail"], item["rule"], item.get("would") or item["message"], item["cure"])
        for entry in entries
        for each in _budgetless(entry["guardrails"])
        for item in each.get("findings", ())
    }
    first = entries[0]
    cost = first.get("cost") or {}
    patch = [*first.get("patch", ()), *first.get("wouldPatch", ())]
    return (frozenset(findings), patch, cost.get("monthlyBefore"), cost.get("monthlyAfter")), entries[-1]


def _of_audit(verdict: Verdict) -> Said:
    findings = {
        (note.policy, note.guardrail, note.rule, note.text, note.cure)
        for note in verdict.notes
        if note.guardrail != "budget"
    }
    patch = msgspec.json.decode(verdict.patch) if verdict.patch else []
    return frozenset(findings), patch, _text(verdict.before), _text(verdict.after)


def _text(micros: int) -> str:

    return exact(micros)


def _is_orphan(document: dict[str, Any], namespace: str) -> bool:
    """Whether a ReplicaSet or a Job names a Deployment or CronJob that the cluster does not have."""
    if document["kind"] not in ("ReplicaSet", "Job"):
        return False
    owners = [each for each in document["metadata"].get("ownerReferences", ()) if each.get("controller")]
    return any(_view().head(namespace, each["kind"], each["name"]) is None for each in owners)


@pytest.fixture(scope="module")
def judge() -> Judge:
    ledger = MemoryLedger(clock=lambda: factories.NOON)
    ledger.recount(bookings(_view(), _rules("audit"), lambda: factories.NOON))
    policies = load_policies(ROOT / "policies")
    return Judge(policies, _view(), ledger, lambda: factories.NOON, excluded=("podgate",), counts_uses=False)


def test_the_audit_and_the_webhook_in_audit_mode_agree_on_every_recorded_object(judge: Judge) -> None:
    world = factories.World(rules=_rules("audit"), view=_view())
    compared = refused = changed = 0
    for request in _objects():
        said = _of_webhook(world, request)
        found = judge.judge(request["object"], "recorded")
        if said is None:
            assert isinstance(found, Skipped), request["object"]["metadata"]
            continue
        if _is_orphan(request["object"], request["namespace"]):
            # Made by a controller that is not there: about to be created, or about to be removed.
            assert isinstance(found, Skipped), request["object"]["metadata"]
            continue
        assert isinstance(found, ObjectResult), (found, request["object"]["metadata"])
        expected, entry = said
        assert _of_audit(found.verdict) == expected, request["object"]["metadata"]
        # What is refused for a budget alone is a question of new pods, which an audit asks of nothing that runs.
        would = [each for each in _budgetless(entry["guardrails"]) if each["outcome"] == "would_refuse"]
        assert found.verdict.is_refused is bool(would) or found.kind != "Pod"
        compared += 1
        refused += found.verdict.is_refused
        changed += found.verdict.is_changed
    assert compared > 400
    assert refused > 10
    assert changed > 300


def test_the_audit_loads_policies_as_serve_does() -> None:
    assert load_policies(ROOT / "policies").fingerprint == assembly.load_policies(ROOT / "policies").fingerprint
