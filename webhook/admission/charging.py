"""By which labels an object is charged, and whether there will be anything to charge.

Budgets go by labels, and policies write labels to pods that lack them. What counts is the label that a pod gets by the
policies in force: a mutating call that did not come through makes no pod free, and a template that is stored without
the label costs its budget what its pods do.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from webhook.admission.policy_binding import PolicyBinding
from webhook.guardrails.base.contract import ChargedBy, Context, is_creation
from webhook.kube.selectors import Labels


def charged_labels(
    entries: Sequence[PolicyBinding],
    exempt: Mapping[str, str],
    context: Context,
    labels: Labels,
    *,
    held_back: bool = False,
) -> Labels:
    """Return the labels with those that policies write.

    Args:
        entries: that speak for the object.
        exempt: guardrails that it is let off.
        context: the object.
        labels: of the object, or of what is stored of it.
        held_back: whether those count, too, that are only warned about or recorded.
    """
    for entry in entries:
        writes = entry.guardrail.labels
        if writes is None or entry.guardrail.name in exempt or not (held_back or entry.mode == "enforce"):
            continue
        written = writes(entry.rule, context, labels)
        if written:
            labels = {**labels, **written}
    return labels


class OfReview(NamedTuple):
    """By which labels the pods of a review are charged: its own by the policies that speak for its requester."""

    entries: Sequence[PolicyBinding]
    exempt: Mapping[str, str]
    others: ChargedBy

    def own(self, context: Context) -> Labels:
        """Return those of the pod under review."""
        return charged_labels(self.entries, self.exempt, context, context.labels)

    def stored(self, context: Context, labels: Labels) -> Labels:
        """Return those of a stored pod of the namespace."""
        return self.others.stored(context, labels)


def prices_as_spot(
    entries: Sequence[PolicyBinding], exempt: Mapping[str, str], context: Context, *, would: bool = False
) -> bool:
    """Whether one of these entries prices the pod as spot capacity, be it by what the pod says alone.

    Args:
        entries: that speak for the object.
        exempt: guardrails that it is let off.
        context: the object.
        would: whether those count, too, that are only warned about or recorded.
    """
    return any(
        entry.guardrail.prices_as_spot is not None
        and (would or entry.mode == "enforce")
        and entry.guardrail.name not in exempt
        and entry.guardrail.prices_as_spot(entry.rule, context)
        for entry in entries
    )


def is_refused_by_security(entries: Sequence[PolicyBinding], exempt: Mapping[str, str], context: Context) -> bool:
    """Whether the other half of the validating call refuses the pod: then it will not come, and holds no money.

    A guardrail that fails here may succeed there, so a failure refuses nothing.
    """
    for entry in entries:
        guardrail = entry.guardrail
        if guardrail.half != "security" or entry.severity != "enforce" or guardrail.name in exempt:
            continue
        if not (guardrail.judges or is_creation)(context):
            continue
        try:
            found = guardrail.inspect(entry.rule, context)
        except Exception:  # noqa: BLE001, S112  the half that it belongs to tells of it
            continue
        if any(not finding.notice for finding in found):
            return True
    return False
