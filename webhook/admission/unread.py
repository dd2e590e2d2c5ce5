"""The answer to a review that was recognised and not read: too large, broken, or too many at a time.

What the object says is unknown, and with it whether it breaks a rule. To let it pass unseen would make its shape a way
around every guardrail, so it is refused wherever a policy enforces something that this call asks about, and elsewhere
let in with a warning. Its labels are unknown as well: a policy that selects pods counts as if it selected this one, and
no exception speaks for it. What is never judged (other kinds, other operations, excluded namespaces) passes as always.

Where it was not read for want of memory or time, a guardrail's ``onFault`` decides, as in `webhook.admission.overload`.
A budget has no say in it: what is not read cannot be priced and is not booked, and nobody spends unbooked because many
ask at once. So where a budget enforces, a pod that it may pay for is refused and may be sent again.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple, get_args

from webhook.admission.decision import ALLOWED, Decision, GuardrailResult, OutcomeName, Severity, decide, one_line
from webhook.admission.outcomes import fault
from webhook.admission.policy_binding import PolicyBinding
from webhook.admission.request_fields import OtherRequest
from webhook.admission.review import Environment, ReviewPhase
from webhook.admission.subject import UNJUDGED_SUBRESOURCES, Subject, requester_of
from webhook.guardrails import budget
from webhook.guardrails.base.contract import Finding, WorkloadScale
from webhook.kube.objects import WORKLOAD_KINDS, Pod
from webhook.policy.model.sections import MODE_RANK, Mode, OnFault

UnjudgedReason = Literal[
    "not_a_review", "no_policies", "undecodable", "too_large", "too_many_containers", "too_slow", "overloaded", "fault"
]
"""Why a call got no verdict that comes from judging; the closed list behind the metric label."""

REASONS: Final[tuple[UnjudgedReason, ...]] = get_args(UnjudgedReason)

MOST_CONTAINERS: Final = 10_000
"""Of a pod that is judged. An API server stores objects of 1.5 MiB, and a container takes some 200 bytes there."""


class UnreadReview(NamedTuple):
    """Why a review was not read."""

    reason: UnjudgedReason
    what: str
    """One line."""
    cure: str
    by_fault: bool = False
    """Whether each guardrail's ``onFault`` decides, budgets apart: it is no property of the object."""


def undecodable(why: str) -> UnreadReview:
    """The object is nothing that an API server sends; `why` is one line."""
    return UnreadReview("undecodable", why, "mend that field, see kubectl explain")


def too_large(mebibytes: int) -> UnreadReview:
    """The body has more than so many MiB."""
    cure = "shorten what is written into it: commands, environment, annotations and managedFields"
    return UnreadReview("too_large", f"the review is larger than {mebibytes} MiB", cure)


def too_many_containers(count: int) -> UnreadReview:
    """The pod has more than `MOST_CONTAINERS`."""
    what = f"it has {count:,} containers, and more than {MOST_CONTAINERS:,} fit into no object that is stored"
    return UnreadReview("too_many_containers", what, "split it into several pods")


def too_slow(seconds: float) -> UnreadReview:
    """The body did not arrive in time."""
    return UnreadReview(
        "too_slow", f"the review did not arrive within {seconds:.0f} seconds", "try again", by_fault=True
    )


OVERLOADED: Final = UnreadReview(
    "overloaded",
    "Podgate reads as many large reviews as its memory allows",
    "try again, or give it more replicas",
    by_fault=True,
)

WAITED: Final = UnreadReview(
    "overloaded",
    "it waited too long among other large reviews",
    "try again, or give Podgate more CPU or replicas",
    by_fault=True,
)


def subject_of(request: OtherRequest) -> Subject | None:
    """Return what the review is about, with an empty pod; None where nothing of it is ever judged."""
    kind, subresource = request.kind, request.sub_resource or ""
    if request.operation not in ("CREATE", "UPDATE"):
        return None
    is_pod = kind.kind == "Pod" and not kind.group
    is_workload = kind.kind in WORKLOAD_KINDS and kind.group in ("apps", "batch", "") and not subresource
    is_scale = kind.kind == "Scale" and kind.group == "autoscaling" and subresource == "scale"
    if not (is_workload or is_scale or (is_pod and subresource not in UNJUDGED_SUBRESOURCES)):
        return None
    return Subject(
        kind=kind.kind,
        name=request.name or "",
        namespace=request.namespace or "",
        operation=request.operation,
        subresource=subresource,
        dry_run=bool(request.dry_run),
        requester=requester_of(request),
        pod=Pod(),
        scale=None if is_pod else WorkloadScale(kind.kind, 0),
    )


def unread(subject: Subject, around: Environment, phase: ReviewPhase, why: UnreadReview) -> Decision:
    """Decide about a review that nobody has read.

    Args:
        subject: of `subject_of`.
        around: policies, cluster, clock.
        phase: the call.
        why: the reason.
    """
    if around.rules.is_excluded(subject):
        return ALLOWED
    asked = list(_asked(subject, around, phase))
    if why.by_fault:
        may_refuse = phase != "mutate" and subject.scale is None
        note = f"{why.what}; {why.cure}"
        faults = [
            fault(each.policy, each.guardrail, each.on_fault if may_refuse else "allow", each.mode, each.severity, note)
            for each in asked
        ]
        return decide(faults, (), (), None) if faults else ALLOWED
    # The finding is the same for all of them, so it is told once, by the strictest.
    asked.sort(key=lambda each: -MODE_RANK[each.severity])
    outcomes = [_outcome(each, why, is_told=index == 0) for index, each in enumerate(asked)]
    text = f"not judged, because {why.what}; to fix: {why.cure}"
    if not asked:
        text = f"Podgate: {text}"
    elif asked[0].severity == "audit":
        text = f"policy {asked[0].policy}, {asked[0].guardrail}: {text}"
    else:
        text = ""
    return decide(outcomes, (), (), None, [one_line(text)] if text else ())


class _MatchingGuardrail(NamedTuple):
    """A guardrail or budget that would have looked at the object."""

    policy: str
    guardrail: str
    mode: Mode
    severity: Severity
    on_fault: OnFault


def _asked(subject: Subject, around: Environment, phase: ReviewPhase) -> Iterator[_MatchingGuardrail]:
    namespace = subject.namespace or None
    info = around.view.namespace(subject.namespace) if namespace is not None else None
    for entry in around.rules.matcher.possible(namespace, info, subject.requester):
        if _is_asked(entry, subject, phase):
            yield _MatchingGuardrail(entry.policy, entry.guardrail.name, entry.mode, entry.severity, entry.on_fault)
    if phase not in ("validate", "cost", "offline") or subject.subresource not in ("", "resize", "scale"):
        return
    labels = info.labels if info is not None else None
    for rule in around.rules.budgets:
        if _may_cover(rule, namespace, labels):
            # Its `onFault` is about bookings that fail. Whoever makes reviews large and many must not spend unbooked.
            yield _MatchingGuardrail(rule.name, "budget", rule.mode, _SEVERITIES[rule.mode], "deny")


def _is_asked(entry: PolicyBinding, subject: Subject, phase: ReviewPhase) -> bool:
    guardrail = entry.guardrail
    is_new = subject.operation == "CREATE" or subject.scale is not None
    if phase == "mutate":
        return guardrail.propose is not None and is_new
    # Updates of pods are looked at by those alone that say which ones.
    return (is_new or guardrail.judges is not None) and (phase in ("validate", "offline") or guardrail.half == phase)


def _may_cover(rule: budget.BudgetRule, namespace: str | None, labels: Mapping[str, str] | None) -> bool:
    """Whether the budget pays for some pod of the namespace; None stands for a name, or labels, that nobody knows."""
    if rule.scope.label is not None or namespace is None:
        return True
    if rule.scope.namespace_selector is not None and labels is None:
        return True
    return rule.covers(namespace, labels or {}, {})


_SEVERITIES: Final[Mapping[Mode, Severity]] = {"enforce": "enforce", "warn": "warn", "audit": "audit", "off": "audit"}
_NAMES: Final[Mapping[Severity, OutcomeName]] = {"enforce": "refused", "warn": "warned", "audit": "would_refuse"}


def _outcome(asked: _MatchingGuardrail, why: UnreadReview, *, is_told: bool) -> GuardrailResult:
    finding = Finding(rule=why.reason, message=f"not judged, because {why.what}", cure=why.cure)
    findings = (finding,) if is_told else ()
    return GuardrailResult(
        asked.policy, asked.guardrail, asked.mode, _NAMES[asked.severity], asked.severity, findings, note=why.what
    )
