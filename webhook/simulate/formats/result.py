"""The neutral result that all writers take: objects, what was said about them, what they cost, what was not judged."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from webhook.pricing import money

ItemVerdict = Literal["refused", "would refuse", "warned", "changed", "would change", "passed", "not judged"]
"""What became of an object, by the most serious thing that was said about it."""

VERDICTS: tuple[ItemVerdict, ...] = (
    "refused",
    "would refuse",
    "warned",
    "changed",
    "would change",
    "passed",
    "not judged",
)
"""All verdicts, the most serious first."""

Weight = Literal["error", "warning", "note"]


class ResultFinding(NamedTuple):
    """One finding, or one fault."""

    policy: str
    guardrail: str
    rule: str
    """Stable identifier within the guardrail: ``podMonthly``; ``fault`` where the guardrail itself failed."""
    weight: Weight
    """``error`` where the object is refused for it, ``warning`` where people are warned or would be refused,
    ``note`` where it is only said."""
    text: str
    """What is wrong, one line, without the cure."""
    cure: str = ""
    paths: tuple[str, ...] = ()
    """Fields concerned, such as ``spec.containers[0].securityContext``."""
    at: int = 0
    """Line of the first of these fields in the file of the object, from 1; 0 where it is not known."""

    @property
    def line(self) -> str:
        """The finding as people read it elsewhere, on one line."""
        cure = f"; to fix: {self.cure}" if self.cure else ""
        return f"policy {self.policy}, {self.guardrail}: {self.text}{cure}"


class Monthly(NamedTuple):
    """What an object costs a month, all its pods, in units of the currency."""

    before: Decimal
    """As written."""
    after: Decimal
    """As policies make it, or would make it."""


class ResultItem(NamedTuple):
    """One object."""

    kind: str
    namespace: str
    """Empty for what has none."""
    name: str
    verdict: ItemVerdict = "passed"
    told: tuple[ResultFinding, ...] = ()
    changes: str = ""
    """In a few words what policies set in it, or would set."""
    monthly: Monthly | None = None
    """None where it has no price."""
    counted: bool = True
    """False where its cost is part of another item's: a pod beside its Deployment."""
    file: str = ""
    """Empty where it came from no file."""
    line: int = 0
    """From 1; 0 where it is not known."""
    reason: str = ""
    """Why it was not judged."""

    @property
    def label(self) -> str:
        """The object as people name it: ``Deployment team-a/shop``."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name or '(generated name)'}"

    @property
    def change_line(self) -> str:
        """What policies set, as a sentence without its subject; empty where they set nothing."""
        if not self.changes:
            return ""
        verb = "its pods get" if self.kind != "Pod" else "sets" if self.verdict == "changed" else "would set"
        return f"{verb} {self.changes}"


class UnreadInput(NamedTuple):
    """Something that could not be judged because it could not be read: a file, a document, a list of the cluster."""

    place: str
    """A file with or without a line, or the resource."""
    what: str
    """What is wrong, and the cure."""


class Range(NamedTuple):
    """What something costs a month at its smallest and at its largest scale."""

    low: Decimal
    high: Decimal


PatchChange = Literal["added", "removed", "changed"]


class Compared(NamedTuple):
    """One workload whose cost differs between two sets of manifests."""

    kind: str
    namespace: str
    name: str
    change: PatchChange
    before: Range
    after: Range
    scale: str
    """How many pods are paid for, before and after where that differs: ``2 replicas -> 2 to 10 replicas``."""

    @property
    def label(self) -> str:
        """The workload as people name it."""
        return f"{self.kind} {self.namespace}/{self.name or '(generated name)'}"


class Comparison(NamedTuple):
    """What a change of manifests does to the monthly cost, as written."""

    changes: tuple[Compared, ...]
    """The largest increase first."""
    unchanged: int
    """Workloads whose cost is the same."""
    before: Range
    after: Range
    allowed: str = ""
    """The increase that is allowed, in words; empty where none was given."""
    exceeded: bool = False
    """Whether the increase is above it."""


class RunReport(NamedTuple):
    """Everything that one run has to say."""

    tool: str
    """The command, for titles: ``podgate review``."""
    currency: str
    items: Sequence[ResultItem] = ()
    unread: Sequence[UnreadInput] = ()
    version: str = ""
    """Of Podgate; empty where it does not matter."""
    when: datetime | None = None
    """Told where a format asks for a time; a fixed one stands in for None."""
    comparison: Comparison | None = None
    """With another set of manifests; None where there was none."""

    @property
    def total(self) -> Monthly:
        """What all counted objects cost a month together."""
        return total(self.items)


def total(items: Iterable[ResultItem]) -> Monthly:
    """Return what the counted ones of these objects cost a month together."""
    counted = [item.monthly for item in items if item.monthly is not None and item.counted]
    before = sum((each.before for each in counted), Decimal(0))
    return Monthly(before, sum((each.after for each in counted), Decimal(0)))


def delta_words(monthly: Monthly, currency: str) -> str:
    """Return what policies do to a cost: ``$40.00 -> $24.00 (-$16.00)``; one amount where nothing changes."""
    after = money.format_money(monthly.after, currency)
    if monthly.before == monthly.after:
        return after
    return f"{money.format_money(monthly.before, currency)} -> {after} ({signed(monthly, currency)})"


def signed(monthly: Monthly, currency: str) -> str:
    """Return the difference with its sign; ``0`` where there is none."""
    return signed_amount(monthly.after - monthly.before, currency)


def signed_amount(difference: Decimal, currency: str) -> str:
    """Return an amount with its sign; ``0`` where it is none."""
    if not difference:
        return "0"
    return ("+" if difference > 0 else "") + money.format_money(difference, currency)


def range_words(amounts: Range, currency: str, *, sign: bool = False) -> str:
    """Return one amount, or two where the largest scale costs another: ``$20.00 to $100.00``."""
    low, high = (
        signed_amount(each, currency) if sign else money.format_money(each, currency)
        for each in (amounts.low, amounts.high)
    )
    return low if amounts.low == amounts.high else f"{low} to {high}"


def difference(before: Range, after: Range) -> Range:
    """Return what is paid more, at the smallest and at the largest scale; negative where it is less."""
    return Range(after.low - before.low, after.high - before.high)


def change_words(item: Compared, currency: str) -> str:
    """Return what became of one workload: ``changed, $20.00 -> $40.00 (+$20.00), 1 replica -> 2 replicas``."""
    delta = range_words(difference(item.before, item.after), currency, sign=True)
    before, after = range_words(item.before, currency), range_words(item.after, currency)
    return f"{item.change}, {before} -> {after} ({delta}), {item.scale}"


def comparison_verdict(comparison: Comparison, currency: str) -> str:
    """Return the totals in one line, and whether they are within what is allowed."""
    delta = difference(comparison.before, comparison.after)
    text = (
        f"monthly cost as written: {range_words(comparison.before, currency)} -> "
        f"{range_words(comparison.after, currency)} ({range_words(delta, currency, sign=True)}{_percent(comparison)})"
    )
    if not comparison.allowed:
        return text
    return f"{text}, {'above' if comparison.exceeded else 'within'} the allowed increase of {comparison.allowed}"


def _percent(comparison: Comparison) -> str:
    """Return the increase in per cent, the worse of both scales; nothing where nothing was paid before."""
    shares = [
        (after - before) * 100 / before
        for before, after in zip(comparison.before, comparison.after, strict=True)
        if before
    ]
    if not shares:
        return ""
    worst = max(shares)
    return f", {'+' if worst > 0 else ''}{worst.quantize(Decimal('0.1'))} %"


def counts(items: Iterable[ResultItem]) -> dict[ItemVerdict, int]:
    """Return how many objects got each verdict, the most serious first, those that nobody got left out."""
    found = [item.verdict for item in items]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def split_origin(origin: str) -> tuple[str, int]:
    """Return file and line of an origin like ``app.yaml:12`` or ``pods.json:1 items[3]``; line 0 where it has none."""
    head = origin.partition(" items[")[0]
    file, colon, line = head.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() and file else (head, 0)
