"""A Decision as the AdmissionReview that goes back to the API server.

Audit annotations end up in the API server's audit log under the webhook's name: ``decision`` (the id that the log line
carries too), ``verdict``, ``would``, ``findings``, ``patch`` (held back by warn or audit), ``cost``; and where
`podSecurity` follows the labels of namespaces, the built-in plugin's own: ``enforce-policy``, ``audit-violations``,
``exempt``, ``error``.
"""

from typing import Final

import msgspec

from webhook.admission.decision import Cost, Decision, bounded
from webhook.kube.caches import remembered
from webhook.pricing import money


class Status(msgspec.Struct, omit_defaults=True):
    code: int = 0
    reason: str = ""
    message: str = ""


class Response(msgspec.Struct, rename="camel", omit_defaults=True):
    """``AdmissionReview.response``; `patch` is encoded as base64."""

    uid: str
    allowed: bool
    patch_type: str | None = None
    patch: bytes | None = None
    status: Status | None = None
    warnings: tuple[str, ...] = ()
    audit_annotations: dict[str, str] = {}


class Review(msgspec.Struct, rename="camel"):
    response: Response
    api_version: str = "admission.k8s.io/v1"
    kind: str = "AdmissionReview"


_ENCODER = msgspec.json.Encoder()

LONGEST_WARNING: Final = 2_048
MOST_WARNINGS: Final = 50


def encode(uid: str, decision: Decision, currency: str) -> bytes:
    """Return the body of the answer; `uid` is echoed from the request."""
    response = Response(uid=uid, allowed=decision.allowed)
    if decision.warnings:
        response.warnings = bounded_warnings(decision.warnings)
    if decision.patch and decision.allowed:
        response.patch_type = "JSONPatch"
        response.patch = decision.patch
    if not decision.allowed:
        response.status = Status(403, "Forbidden", bounded(decision.message))
    if decision.outcomes or decision.cost is not None:
        response.audit_annotations = annotations(uid, decision, currency)
    return _ENCODER.encode(Review(response))


def bounded_warnings(warnings: tuple[str, ...]) -> tuple[str, ...]:
    """Return warnings that a terminal can take: each of at most `LONGEST_WARNING` characters, and `MOST_WARNINGS`."""
    if len(warnings) > MOST_WARNINGS:
        left = len(warnings) - MOST_WARNINGS
        warnings = (*warnings[:MOST_WARNINGS], f"{left} more warnings are in the decision log")
    return tuple([each if len(each) <= LONGEST_WARNING else bounded(each, LONGEST_WARNING) for each in warnings])


def annotations(uid: str, decision: Decision, currency: str) -> dict[str, str]:
    """Return the audit annotations of a decision."""
    notes = {"decision": uid, **decision.audit_notes}
    if decision.cost is not None:
        notes["cost"] = cost_text(decision.cost, currency)
    return notes


@remembered("cost_texts", 4096)
def cost_text(cost: Cost, currency: str) -> str:
    """Return a cost as JSON: monthly amounts as decimal strings. Pods of one workload ask again and again."""
    fields: dict[str, object] = {
        "currency": currency,
        "monthlyBefore": money.decimal_text(money.over_hours(cost.before, cost.hours)),
        "monthlyAfter": money.decimal_text(money.over_hours(cost.after, cost.hours)),
        "pods": cost.pods,
        "source": cost.source,
    }
    if cost.most_pods:
        fields["maxPods"] = cost.most_pods
        fields["monthlyMax"] = money.decimal_text(money.over_hours(cost.most, cost.hours))
    return _ENCODER.encode(fields).decode()
