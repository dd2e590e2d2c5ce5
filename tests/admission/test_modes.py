"""What a mode means for a mutation and for a violation, per policy and per guardrail, and what a fault means."""

import json
from typing import Any

import pytest

from tests import factories
from webhook.guardrails.base import registry as guardrail_registry
from webhook.guardrails.base.contract import Context, Finding, Guardrail
from webhook.kube.patch import Draft

MODES = ["enforce", "warn", "audit", "off"]


def sections(mode: str, where: str, body: str, more: str = "") -> str:
    """Return a policy with the mode on the policy or on the guardrail, in which case the policy says another one."""
    name, _, rest = body.partition(": ")
    outer = mode if where == "policy" else ("audit" if mode == "enforce" else "enforce")
    inner = "" if where == "policy" else f"mode: {mode}, "
    return factories.policy(f"mode: {outer}\n{name}: {{{inner}{more}{rest}}}")


MUTATING = {
    "costLabels": "costLabels: required: [{key: cost-center, source: pod, default: shared}]",
    "spot": "spot: tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]",
    "podSecurity": "podSecurity: level: restricted, harden: true",
    "binPacking": "binPacking: schedulerName: packer",
    "rightSizing": "rightSizing: when: always",
}
WORDS = {
    "costLabels": "label cost-center=shared",
    "spot": "toleration spot:NoSchedule",
    "podSecurity": "securityContext",
    "binPacking": "schedulerName=packer",
    "rightSizing": "app requests.cpu=250m",
}
CLUSTER: list[dict[str, Any]] = [
    factories.namespace("team-alpha"),
    {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "packer", "namespace": "kube-system"},
        "spec": {"holderIdentity": "packer-0"},
    },
    factories.deployment(),
    {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "shop", "namespace": "team-alpha"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "updatePolicy": {"updateMode": "Off"},
        },
        "status": {
            "recommendation": {
                "containerRecommendations": [{"containerName": "app", "target": {"cpu": "250m", "memory": "256Mi"}}]
            }
        },
    },
]
CLUSTER[2]["metadata"]["namespace"] = "team-alpha"


def new_pod() -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-7d9c8b6f5", "uid": "rs", "controller": True}
    return factories.pod(labels={"pod-template-hash": "7d9c8b6f5"}, metadata={"ownerReferences": [owner]})


@pytest.mark.parametrize("where", ["policy", "guardrail"])
@pytest.mark.parametrize("guardrail", MUTATING)
def test_a_mutation_is_applied_by_enforce_told_by_warn_recorded_by_audit(guardrail: str, where: str) -> None:
    answers = {
        mode: factories.World(sections(mode, where, MUTATING[guardrail]), cluster=CLUSTER).mutate(new_pod())
        for mode in MODES
    }
    patch = answers["enforce"].patch
    assert patch
    assert answers["enforce"].outcome(guardrail) == "changed"
    for mode in ("warn", "audit", "off"):
        assert answers[mode].allowed
        assert answers[mode].patch == []
    for mode in ("warn", "audit"):
        assert answers[mode].outcome(guardrail) == "would_change"
        assert answers[mode].entry is not None
        assert answers[mode].entry["wouldPatch"] == patch  # type: ignore[index]  # asserted a line above
        assert json.loads(answers[mode].notes["patch"]) == patch
    (warning,) = answers["warn"].warnings
    assert warning.startswith(f"policy team, {guardrail}: would set ")
    assert WORDS[guardrail] in warning
    assert answers["enforce"].warnings == answers["audit"].warnings == answers["off"].warnings == []
    assert answers["off"].outcome(guardrail) is None
    assert "patch" not in answers["off"].notes


VIOLATED = {
    "costCeiling": 'costCeiling: podMonthly: "199.99"',
    "podSecurity": "podSecurity: level: restricted",
    "costLabels": "costLabels: required: [{key: cost-center, source: pod}]",
}


@pytest.mark.parametrize("where", ["policy", "guardrail"])
@pytest.mark.parametrize("guardrail", VIOLATED)
def test_a_violation_is_refused_by_enforce_told_by_warn_recorded_by_audit(guardrail: str, where: str) -> None:
    answers = {}
    for mode in MODES:
        world = factories.World(sections(mode, where, VIOLATED[guardrail]))
        answers[mode] = world.validate(factories.pod())
        outcome = {"enforce": "refused", "warn": "warned", "audit": "would_refuse"}.get(mode)
        assert answers[mode].outcome(guardrail) == outcome
        if outcome:
            labels = {"policy": "team", "guardrail": guardrail, "mode": mode, "outcome": outcome}
            assert world.sample("podgate_decisions_total", **labels) == 1
        if mode == "off":
            assert answers[mode].entry is None, "off tells nobody"
            assert not answers[mode].notes
            continue
        verdict = "refused" if mode == "enforce" else "allowed"
        assert world.sample("podgate_reviews_total", path="/validate", verdict=verdict, would="refused") == 1
        assert answers[mode].notes["would"] == "refused"
    refused = answers["enforce"]
    assert not refused.allowed
    assert refused.response["status"]["code"] == 403
    assert refused.message.startswith(f"policy team, {guardrail}: ")
    assert "; to fix: " in refused.message
    for mode in ("warn", "audit", "off"):
        assert answers[mode].allowed
    (warning,) = answers["warn"].warnings
    assert warning.startswith(f"policy team, {guardrail}: ")
    assert refused.warnings == answers["audit"].warnings == answers["off"].warnings == []
    assert answers["audit"].notes["findings"].startswith(f"policy team, {guardrail}: ")


@pytest.mark.parametrize(("later", "outcome"), [("warn", "warned"), ("audit", "would_refuse"), (None, "refused")])
def test_on_violation_lets_a_policy_inject_now_and_refuse_later(later: str | None, outcome: str) -> None:
    more = f"onViolation: {later}, " if later else ""
    world = factories.World(
        sections(
            "enforce",
            "policy",
            "costLabels: required: [{key: team, source: pod, default: x}, {key: cost-center, source: pod}]",
            more,
        )
    )
    mutated, validated, stored = world.create(factories.pod())
    assert stored["metadata"]["labels"]["team"] == "x"
    assert mutated.allowed
    assert validated.allowed is (later is not None)
    assert validated.outcome("costLabels") == outcome
    assert bool(validated.warnings) is (later == "warn")


@pytest.mark.parametrize("mode", ["warn", "audit"])
def test_on_violation_is_never_stricter_than_the_mode_of_the_policy(mode: str) -> None:
    world = factories.World(factories.policy(f"mode: {mode}\ncostCeiling: {{onViolation: enforce, podMonthly: '1'}}"))
    assert world.validate(factories.pod()).allowed


# --- faults -----------------------------------------------------------------------------------------------------------


def _boom(*_: object) -> list[Finding]:
    raise RuntimeError("boom\nin two lines")


def _half_done(_rule: object, _context: Context, draft: Draft) -> list[Finding]:
    draft.set_label("half", "done")
    raise KeyError("half way")


def _break(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:  # noqa: ANN401  fields of a Guardrail
    real = guardrail_registry.discover()
    broken: list[Guardrail[Any, Any]] = [item._replace(**changes) if item.name == name else item for item in real]
    monkeypatch.setattr(guardrail_registry, "discover", lambda: tuple(broken))


FAULTS = """
mode: {mode}
costLabels: {{required: [{{key: cost-center, source: pod, default: shared}}]}}
spot: {{onFault: {on_fault}, tolerations: [{{key: spot, operator: Exists, effect: NoSchedule}}]}}
"""


@pytest.mark.parametrize("path", ["/mutate", "/validate", "/validate/cost"])
@pytest.mark.parametrize("on_fault", ["allow", "deny"])
@pytest.mark.parametrize("mode", ["enforce", "warn", "audit"])
def test_a_fault_while_inspecting_is_what_on_fault_says_capped_by_the_mode(
    monkeypatch: pytest.MonkeyPatch, path: str, on_fault: str, mode: str
) -> None:
    _break(monkeypatch, "spot", inspect=_boom, propose=None)
    world = factories.World(factories.policy(FAULTS.format(mode=mode, on_fault=on_fault)))
    answer = world.call(path, factories.review(factories.pod(labels={"cost-center": "x"})))
    if path == "/mutate":
        assert answer.allowed  # Nothing is inspected there.
        return
    denied = mode == "enforce" and on_fault == "deny"
    assert answer.allowed is not denied
    assert answer.outcome("spot") == ("fault_denied" if denied else "fault_allowed")
    said = [answer.message] if denied else answer.warnings
    expected = (
        "policy team, spot: could not judge this object (RuntimeError: boom in two lines); "
        "to fix: tell the platform team, who find it in Podgate's log"
    )
    assert said == ([] if mode == "audit" else [expected])
    assert answer.outcome("costLabels") == "passed"


@pytest.mark.parametrize("on_fault", ["allow", "deny"])
@pytest.mark.parametrize("mode", ["enforce", "warn", "audit"])
def test_a_fault_while_proposing_leaves_nothing_half_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, on_fault: str, mode: str
) -> None:
    _break(monkeypatch, "spot", propose=_half_done)
    world = factories.World(factories.policy(FAULTS.format(mode=mode, on_fault=on_fault)))
    answer = world.mutate(factories.pod())
    assert answer.allowed is not (mode == "enforce" and on_fault == "deny")
    assert "guardrail spot failed on review review-1" in caplog.text
    assert answer.entry is not None
    told = answer.entry.get("patch") or answer.entry.get("wouldPatch")
    assert told == [{"op": "add", "path": "/metadata/labels/cost-center", "value": "shared"}]
    assert answer.outcome("spot") == ("fault_allowed" if answer.allowed else "fault_denied")


@pytest.mark.parametrize("section", ["podSecurity: {level: baseline}", 'costCeiling: {podMonthly: "1"}'])
def test_by_default_only_pod_security_refuses_what_it_could_not_judge(
    monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    name = section.partition(":")[0]
    _break(monkeypatch, name, inspect=_boom)
    world = factories.World(factories.policy(f"mode: enforce\n{section}"))
    assert world.validate(factories.pod()).allowed is (name != "podSecurity")
    assert world.call("/validate", factories.review(factories.deployment())).allowed


# --- the cap of a whole installation ----------------------------------------------------------------------------------

EVERYTHING = factories.policy(
    """
mode: enforce
rightSizing: {when: always}
costLabels: {required: [{key: cost-center, source: pod, default: shared}]}
spot: {tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]}
binPacking: {schedulerName: packer}
podSecurity: {level: restricted}
costCeiling: {podMonthly: "0.01"}
"""
)
BUDGET = factories.policy(
    "mode: enforce\nscope: {cluster: true}\namount: '0.01'\ncurrency: USD", name="tiny", kind="Budget"
)


def test_capped_at_audit_nothing_is_changed_or_refused_and_all_of_it_is_recorded() -> None:
    enforcing = factories.World(EVERYTHING, BUDGET, cluster=CLUSTER)
    capped = factories.World(EVERYTHING, BUDGET, cluster=CLUSTER, cap="audit")
    patch = enforcing.mutate(new_pod()).patch
    mutated, validated, stored = capped.create(new_pod())
    assert stored == new_pod()
    for answer in (mutated, validated):
        assert answer.allowed
        assert answer.warnings == []
        assert set(answer.response) == {"uid", "allowed", "auditAnnotations"}
    assert mutated.entry is not None
    assert mutated.entry["wouldPatch"] == patch
    assert json.loads(mutated.notes["patch"]) == patch
    # One core and 10Gi cost $200 a month; the recommended 250m and 256Mi cost $27.50.
    assert mutated.entry["cost"]["monthlyBefore"] == "200.00"
    assert mutated.entry["cost"]["monthlyAfter"] == "27.50"
    assert json.loads(mutated.notes["cost"])["monthlyAfter"] == "27.50"
    assert capped.sample("podgate_saved_monthly_total", kind="held_back") == 172.5
    assert capped.sample("podgate_saved_monthly_total", kind="applied") == 0
    assert validated.entry is not None
    assert (validated.entry["verdict"], validated.entry["would"]) == ("allowed", "refused")
    assert (validated.notes["verdict"], validated.notes["would"]) == ("allowed", "refused")
    for guardrail in ("podSecurity", "costCeiling", "budget"):
        assert validated.outcome(guardrail) == "would_refuse"
    assert capped.sample("podgate_refused_monthly_total", kind="would_refuse") == 27.5
    assert capped.ledger.size() == 0
    assert enforcing.ledger.size() == 0


def test_the_decision_id_joins_the_answer_and_the_log() -> None:
    world = factories.World(EVERYTHING)
    answer = world.validate(factories.pod(), uid="d-42")
    assert answer.notes["decision"] == "d-42"
    assert answer.entry is not None
    assert answer.entry["decision"] == "d-42"


def test_a_denial_is_one_line_with_policy_guardrail_container_and_cure_but_no_generated_name() -> None:
    world = factories.World(
        factories.policy("mode: enforce\npodSecurity: {level: restricted}\ncostCeiling: {podMonthly: '1'}")
    )
    answer = world.validate(factories.pod(factories.container("web"), factories.container("side-car")))
    assert answer.message.isprintable()
    assert factories.GENERATED not in json.dumps(answer.response)
    for words in ("policy team, podSecurity: ", "policy team, costCeiling: ", '"web"', '"side-car"'):
        assert words in answer.message
    assert answer.message.count("; to fix: ") == 2
