"""Findings and modes to one frozen Decision.

What a mode means is decided here and nowhere else:

=========  ==================  ===========================  ==========================
mode       mutation            violation                    notice
=========  ==================  ===========================  ==========================
enforce    in the patch        refused                      admission warning
warn       recorded            admission warning            admission warning
audit      recorded            recorded                     recorded
=========  ==================  ===========================  ==========================
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec

from webhook.cluster.view import Controller
from webhook.guardrails.base.contract import ExceptionUse, Finding, WorkloadScale
from webhook.kube.patch import Operation
from webhook.ledger.store import Charge, ProvenOwner
from webhook.pricing import money

_ENCODER = msgspec.json.Encoder()

_LIMIT = 16_384
"""Characters of one audit annotation, and of a denial: an audit log and a terminal are no place for megabytes."""

OutcomeName = Literal[
    "passed", "changed", "would_change", "refused", "warned", "would_refuse", "exempt", "fault_allowed", "fault_denied"
]
"""What became of one guardrail on one object; the closed list behind the metric label."""

Severity = Literal["enforce", "warn", "audit"]


T = TypeVar("T")


class _kept(Generic[T]):  # noqa: N801  a decorator
    """A property that is worked out once. That of functools takes a lock, which costs more than most of these."""

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self._name = work_out.__name__
        self.__doc__ = work_out.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> T:  # noqa: ANN401  of whichever class
        value = instance.__dict__[self._name] = self._work_out(instance)
        return value


class GuardrailResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One guardrail (or budget) that looked at the object; this is also its form in the log."""

    policy: str
    guardrail: str
    mode: str
    outcome: OutcomeName
    severity: Severity
    findings: Sequence[Finding] = ()
    operations: Sequence[Operation] = ()
    note: str = ""
    """Why it was exempt, or what the fault was."""


class Cost(NamedTuple):
    """What the object costs, in micro-units of the currency per hour, for all its pods."""

    before: int
    """As received."""
    after: int
    """As it will be, or as it would be where a mode holds changes back."""
    pods: int
    source: str
    hours: int
    """Hours of a month that it is expected to run."""
    unpriced: tuple[str, ...] = ()
    """What it asks for that has no price, and is not in these figures."""
    once: int = 0
    """Of `after` what all its pods share."""
    most_pods: int = 0
    """Pods that an autoscaler may raise it to; 0 where that is no more than `pods`."""
    most: int = 0
    """What it costs with so many."""


class Decision(msgspec.Struct, frozen=True, dict=True):
    """What is answered, and everything that is told about it afterwards.

    One decision may serve many pods that are alike (`webhook.admission.review_cache`), so what is told of it is put
    together when it is asked for first, and kept.
    """

    allowed: bool
    message: str = ""
    """The denial: one line."""
    warnings: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()
    """The patch that is applied where the object is let in."""
    patch: bytes = b""
    """`operations` as JSON, encoded once for the answer and the log; empty where there are none."""
    withheld_operations: tuple[Operation, ...] = ()
    """The further patch that warn and audit hold back; of a workload, all that its pods will get or would get, with
    paths in the pod."""
    outcomes: tuple[GuardrailResult, ...] = ()
    cost: Cost | None = None
    rate: int = 0
    """Micro-units per hour that the object is booked with, as enforced guardrails leave it."""
    charges: tuple[Charge, ...] = ()
    """The budgets that pay for it; booked where the decision stands."""
    deny_on_fault: tuple[str, ...] = ()
    """Those of them that refuse what cannot be booked."""
    owner: ProvenOwner | None = None
    """Its controller, where that is proven: what it replaces is no budget question."""
    controller: Controller | None = None
    """The top-most known controller of what was judged; None where nothing of the review hung on it."""
    would_allow: bool = True
    """Whether the object would be let in if everything were enforced."""
    reservation_fault: str = ""
    """Why a budget could not be booked; empty where it was, or needed not be."""
    exceptions: tuple[ExceptionUse, ...] = ()
    """PolicyExceptions that loosened what was judged."""

    @_kept
    def series(self) -> tuple[tuple[str, str, str, str], ...]:
        """Policy, guardrail, mode and outcome of each outcome: what metrics count."""
        return tuple([(each.policy, each.guardrail, each.mode, each.outcome) for each in self.outcomes])

    @_kept
    def unusual(self) -> tuple[GuardrailResult, ...]:
        """The outcomes that are no plain passes."""
        return tuple([each for each in self.outcomes if each.outcome != "passed"])

    @_kept
    def outcomes_json(self) -> msgspec.Raw:
        """The outcomes as the log has them."""
        return msgspec.Raw(_ENCODER.encode(self.outcomes))

    @_kept
    def audit_notes(self) -> Mapping[str, str]:
        """The audit annotations that depend on nothing else."""
        return _audit_notes(self)

    @_kept
    def without_price(self) -> tuple[str, ...]:
        """The guardrails that were asked about something without a price: what a metric counts."""
        return tuple(
            [
                each.guardrail
                for each in self.outcomes
                if each.findings and any(found.rule == "unpriced" for found in each.findings)
            ]
        )

    @_kept
    def signature(self) -> int:
        """The same number for decisions of which the same is told."""
        told: list[object] = [self.message, self.patch, self.cost]
        for each in self.unusual:
            told += (each.guardrail, each.outcome, each.note, *(finding.message for finding in each.findings))
        return hash(tuple(told))


_SAID_ONCE: Final = frozenset({"unpriced", "runtimeClass"})
"""Rules of notices about the price itself."""
_WOULD_REFUSE = frozenset({"refused", "warned", "would_refuse", "fault_denied"})

ALLOWED = Decision(allowed=True)
"""The answer where nothing was judged."""


def decide(
    outcomes: Sequence[GuardrailResult],
    operations: Sequence[Operation],
    withheld_operations: Sequence[Operation],
    cost: Cost | None,
    extra_warnings: Sequence[str] = (),
    controller: Controller | None = None,
) -> Decision:
    """Put the outcomes of all guardrails together."""
    denials: list[str] = []
    warnings: list[str] = list(extra_warnings)
    would_allow = True
    told: set[str] = set()
    for outcome in outcomes:
        if outcome.outcome == "passed" and not outcome.findings:
            continue
        if outcome.outcome in _WOULD_REFUSE:
            would_allow = False
        if outcome.outcome == "fault_denied":
            denials.append(_fault_line(outcome))
        elif outcome.outcome == "fault_allowed" and outcome.mode != "audit":
            warnings.append(_fault_line(outcome))
        for finding in outcome.findings:
            if finding.quiet or finding.annotation:
                continue
            severity = "warn" if finding.notice and outcome.severity == "enforce" else outcome.severity
            if severity == "warn" and finding.rule in _SAID_ONCE:
                # A ceiling and each budget say the same of it.
                if finding.message in told:
                    continue
                told.add(finding.message)
            if severity == "enforce":
                denials.append(format_finding(outcome, finding, finding.message))
            elif severity == "warn":
                warnings.append(format_finding(outcome, finding, finding.would or finding.message))
        if outcome.mode == "warn" and outcome.operations:
            text = f"policy {outcome.policy}, {outcome.guardrail}: would set {summary(outcome.operations)}"
            warnings.append(one_line(text))
    return Decision(
        allowed=not denials,
        message=" | ".join(denials),
        warnings=tuple(warnings),
        operations=tuple(operations),
        patch=_ENCODER.encode(operations) if operations else b"",
        withheld_operations=tuple(withheld_operations),
        outcomes=tuple(outcomes),
        cost=cost,
        controller=controller,
        would_allow=would_allow and not denials,
    )


def with_exceptions(decision: Decision, uses: Sequence[ExceptionUse], *, warns: bool) -> Decision:
    """Return the decision with the exceptions that loosened it.

    Args:
        decision: what was decided.
        uses: exceptions that speak for the object, for any guardrail.
        warns: whether people are told of exceptions that end soon; never about a guardrail in audit.
    """
    if not uses:
        return decision
    modes = {outcome.guardrail: outcome.mode for outcome in decision.outcomes}
    kept = tuple(use for use in uses if use.guardrail in modes)
    ending = [use for use in kept if warns and use.ends_soon and modes[use.guardrail] != "audit"]
    if not kept:
        return decision
    warnings = tuple(
        one_line(
            f"PolicyException {use.name} of {use.owner} ends on {use.last_day}, and {use.guardrail} holds from then "
            "on; to fix: mend what it excuses, or ask for a new one"
        )
        for use in ending
    )
    return msgspec.structs.replace(decision, exceptions=kept, warnings=decision.warnings + warnings)


def _audit_notes(decision: Decision) -> dict[str, str]:
    notes = {
        "verdict": "allowed" if decision.allowed else "refused",
        "would": "allowed" if decision.would_allow else "refused",
    }
    findings: list[str] = []
    for outcome in decision.outcomes:
        for finding in outcome.findings:
            if finding.annotation:
                notes[finding.annotation] = bounded(finding.message)
            else:
                findings.append(format_finding(outcome, finding, finding_text(outcome, finding)))
    if findings:
        notes["findings"] = bounded("\n".join(findings))
    if decision.withheld_operations:
        notes["patch"] = bounded(_ENCODER.encode(decision.withheld_operations).decode())
    return notes


def bounded(text: str, most: int = _LIMIT) -> str:
    """Return a text that fits into an audit annotation, or a denial."""
    if len(text) <= most:
        return text
    return f"{text[:most]}... ({len(text) - most} more characters are in the decision log)"


def finding_text(outcome: GuardrailResult, finding: Finding) -> str:
    """Return what is wrong, as fits the outcome: "violates" where it was refused, else "would violate"."""
    return finding.message if outcome.outcome == "refused" else finding.would or finding.message


def format_finding(outcome: GuardrailResult, finding: Finding, text: str) -> str:
    """Return a finding as people read it: which policy and guardrail, what is wrong, and the cure."""
    cure = f"; to fix: {finding.cure}" if finding.cure else ""
    if finding.annotation:
        text = f"{finding.annotation}: {text}"
    return one_line(f"policy {outcome.policy}, {outcome.guardrail}: {text}{cure}")


def one_line(text: str) -> str:
    """Return a text as one line of printable characters: a value that an author wrote may hold line breaks, or control
    characters that a terminal would obey. What the API server accepts never does."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def workload_line(scale: WorkloadScale, cost: Cost, currency: str) -> str:
    """Return what a workload costs a month, in one line."""
    total = money.format_money(money.over_hours(cost.after, cost.hours), currency)
    text = f"this {scale.kind or 'workload'} costs {total} a month ({scale.source}, {cost.source})"
    if cost.before > cost.after:
        saved = money.format_money(money.over_hours(cost.before - cost.after, cost.hours), currency)
        text += f", {saved} less than as written"
    if cost.most_pods:
        most = money.format_money(money.over_hours(cost.most, cost.hours), currency)
        text += f", and up to {most} at {cost.most_pods} replicas, the {scale.most_source}"
    return text


def summary(operations: Sequence[Operation], most: int = 6) -> str:
    """Return what a patch does in a few words: ``app requests.cpu=120m, label cost-center=shared``."""
    parts: list[str] = []
    names: dict[str, str] = {}
    for operation in operations:
        path = str(operation["path"])
        value = operation.get("value")
        if operation["op"] == "test":
            names[path.rsplit("/", 1)[0]] = str(value)
        elif path in ("/metadata/labels", "/metadata/annotations") and isinstance(value, dict):
            parts.extend(_words(f"{path}/{key}", item, names) for key, item in value.items())
        else:
            parts.extend(_words(inner, item, names) for inner, item in _items(path, value))
    # What Podgate notes down for itself says nothing to people.
    parts = [part for part in parts if not part.startswith("annotation podgate.dev/")]
    shown = parts[:most]
    if len(parts) > most:
        shown.append(f"and {len(parts) - most} more")
    return ", ".join(shown)


def _items(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Take apart what a patch adds as a whole because its parent was missing."""
    if isinstance(value, list) and path in _LISTS:
        for item in value:
            yield f"{path}/-", item
    elif isinstance(value, dict) and path in _PARENTS:
        for key, item in value.items():
            yield from _items(f"{path}/{key}", item)
    elif value not in ({}, []):
        yield path, value


def _words(path: str, value: object, names: dict[str, str]) -> str:
    if isinstance(value, dict) and path in _SAYERS:
        return _SAYERS[path](value)
    parts = path.split("/", 4)
    name = names.get("/".join(parts[:4])) if len(parts) == 5 else None
    if name is not None:
        rest = parts[4].removeprefix("resources/").removesuffix("/-").replace("/", ".")
        return f"{name} {_unescape(rest)}={_short(value)}"
    for prefix, word in (("/metadata/labels/", "label "), ("/metadata/annotations/", "annotation ")):
        if path.startswith(prefix):
            return f"{word}{_unescape(path[len(prefix) :])}={_short(value)}"
    return f"{_unescape(path.removeprefix('/spec/').removesuffix('/-').replace('/', '.'))}={_short(value)}"


def _toleration(item: Mapping[str, Any]) -> str:
    """As `kubectl describe` and `kubectl taint` write it."""
    key = str(item.get("key") or "*")
    value = f"={item['value']}" if item.get("value") else ""
    return f"toleration {key}{value}:{item.get('effect') or '*'}"


def _preference(item: Mapping[str, Any]) -> str:
    terms = item.get("preference", {}).get("matchExpressions", ())
    wanted = [f"{term['key']} {term['operator']} {','.join(term.get('values', ()))}".rstrip() for term in terms]
    return f"prefers nodes with {' and '.join(wanted)}" if wanted else "a node preference"


def _spread(item: Mapping[str, Any]) -> str:
    return f"spread over {item.get('topologyKey')} (maxSkew {item.get('maxSkew')})"


_PREFERRED: Final = "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution"
_LISTS: Final = frozenset({"/spec/tolerations", "/spec/topologySpreadConstraints", _PREFERRED})
_PARENTS: Final = frozenset({"/spec/affinity", "/spec/affinity/nodeAffinity"})
_SAYERS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "/spec/tolerations/-": _toleration,
    "/spec/topologySpreadConstraints/-": _spread,
    f"{_PREFERRED}/-": _preference,
}


def _short(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def _unescape(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")


def _fault_line(outcome: GuardrailResult) -> str:
    return one_line(
        f"policy {outcome.policy}, {outcome.guardrail}: could not judge this object ({outcome.note}); "
        "to fix: tell the platform team, who find it in Podgate's log"
    )
