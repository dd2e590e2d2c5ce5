"""Turns a Decision into an `ResultItem`: what every command that runs the review needs before it can write a report."""

from collections.abc import Iterator
from typing import Final

from webhook.admission.decision import Cost, Decision, GuardrailResult, OutcomeName, finding_text, one_line, summary
from webhook.pricing import money
from webhook.simulate.formats.result import ItemVerdict, Monthly, ResultFinding, ResultItem, Weight, split_origin

_ORDER: Final[tuple[tuple[OutcomeName, ItemVerdict], ...]] = (
    ("refused", "refused"),
    ("fault_denied", "refused"),
    ("would_refuse", "would refuse"),
    ("warned", "warned"),
    ("changed", "changed"),
    ("would_change", "would change"),
)
_WEIGHTS: Final[dict[str, Weight]] = {
    "refused": "error",
    "fault_denied": "error",
    "would_refuse": "warning",
    "warned": "warning",
    "fault_allowed": "warning",
}


def verdict(decision: Decision) -> ItemVerdict:
    """Return the most serious thing that was said."""
    outcomes = {outcome.outcome for outcome in decision.outcomes}
    return next((word for name, word in _ORDER if name in outcomes), "passed")


def of_decision(
    kind: str, namespace: str, name: str, decision: Decision, *, origin: str = "", counted: bool = True
) -> ResultItem:
    """Return one judged object.

    Args:
        kind, namespace, name: the object.
        decision: what was decided about it.
        origin: ``file:line``; empty where it came from no file.
        counted: False where its cost is part of another item's.
    """
    file, line = split_origin(origin)
    return ResultItem(
        kind=kind,
        namespace=namespace,
        name=name,
        verdict=verdict(decision),
        told=tuple(told for outcome in decision.outcomes for told in _told(outcome)),
        changes=one_line(summary([*decision.operations, *decision.withheld_operations])),
        monthly=monthly(decision.cost),
        counted=counted,
        file=file,
        line=line,
    )


def monthly(cost: Cost | None) -> Monthly | None:
    """Return a cost as amounts a month."""
    if cost is None:
        return None
    return Monthly(money.over_hours(cost.before, cost.hours), money.over_hours(cost.after, cost.hours))


def _told(outcome: GuardrailResult) -> Iterator[ResultFinding]:
    weight = _WEIGHTS.get(outcome.outcome, "note")
    for finding in outcome.findings:
        yield ResultFinding(
            policy=outcome.policy,
            guardrail=outcome.guardrail,
            rule=finding.rule,
            weight="note" if finding.notice else weight,
            text=one_line(finding_text(outcome, finding)),
            cure=one_line(finding.cure),
            paths=tuple(finding.paths),
        )
    if outcome.note:
        words = f"{outcome.outcome.replace('_', ' ')}: {outcome.note}"
        rule = "exempt" if outcome.outcome == "exempt" else "fault"
        yield ResultFinding(outcome.policy, outcome.guardrail, rule, weight, one_line(words))
