"""The neutral result that all writers take: objects, what was said about them, what they cost, what was not judged."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from webhook.pricing import money

Verdict = Literal["refused", "would refuse", "warned", "changed", "would change", "passed", "not judged"]
"""What became of an object, by the most serious thing that was said about it."""

VERDICTS: tuple[Verdict, ...] = (
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


class Told(NamedTuple):
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


class Item(NamedTuple):
    """One object."""

    kind: str
    namespace: str
    """Empty for what has none."""
    name: str
    verdict: Verdict = "passed"
    told: tuple[Told, ...] = ()
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


class Unread(NamedTuple):
    """Something that could not be judged because it could not be read: a file, a document, a list of the cluster."""

    place: str
    """A file with or without a line, or the resource."""
    what: str
    """What is wrong, and the cure."""


class Report(NamedTuple):
    """Everything that one run has to say."""

    tool: str
    """The command, for titles: ``podgate review``."""
    currency: str
    items: Sequence[Item] = ()
    unread: Sequence[Unread] = ()
    version: str = ""
    """Of Podgate; empty where it does not matter."""
    when: datetime | None = None
    """Told where a format asks for a time; a fixed one stands in for None."""

    @property
    def total(self) -> Monthly:
        """What all counted objects cost a month together."""
        return total(self.items)


def total(items: Iterable[Item]) -> Monthly:
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
    difference = monthly.after - monthly.before
    if not difference:
        return "0"
    return ("+" if difference > 0 else "") + money.format_money(difference, currency)


def counts(items: Iterable[Item]) -> dict[Verdict, int]:
    """Return how many objects got each verdict, the most serious first, those that nobody got left out."""
    found = [item.verdict for item in items]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def split_origin(origin: str) -> tuple[str, int]:
    """Return file and line of an origin like ``app.yaml:12`` or ``pods.json:1 items[3]``; line 0 where it has none."""
    head = origin.partition(" items[")[0]
    file, colon, line = head.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() and file else (head, 0)
