"""What a change of manifests does to the monthly cost, before anything reaches a cluster.

Both sets are priced as written, with the same price list and by the same rules as in a review: replicas of workloads,
nodes of DaemonSets, parallelism and running time of Jobs. A workload that an HPA scales has two costs, at the HPA's
minimum and at its maximum; a ScaledObject is the HPA that KEDA makes of it. Policies have no part in it but where they
trust the running time that Jobs are annotated with, so the numbers depend on the manifests alone. What pods share by a
claim is counted with the first of them.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from webhook.admission import request as requests
from webhook.admission import subject as subjects
from webhook.admission.policy_binding import trusts_runtime
from webhook.admission.review import Environment, resolve_policies
from webhook.cluster.view import View
from webhook.guardrails.base import pod_cost
from webhook.kube.manifests import Manifest, ManifestError
from webhook.kube.objects import controller_of
from webhook.kube.quantity import QuantityError
from webhook.kube.type_errors import explain
from webhook.pricing import money
from webhook.simulate import reviewed_objects
from webhook.simulate.admitted import Admitted
from webhook.simulate.formats.result import Compared, Comparison, PatchChange, Range, difference

_NOTHING = Range(Decimal(0), Decimal(0))
_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?%")
_AMOUNT = re.compile(r"([^0-9.\s]{0,3}) ?([0-9]{1,15}(?:\.[0-9]{1,6})?)(?: ([A-Z]{3}))?")
_SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP"}

Key = tuple[str, str, str]
"""(kind, namespace, name)"""


class ComparedWorkload(NamedTuple):
    """What one workload, or one pod that nobody owns, costs a month as written."""

    cost: Range
    scale: str


class Allowance(NamedTuple):
    """How much more a change may cost: a share of what is paid now, or an amount; in any case the floor."""

    text: str
    share: Decimal | None
    """In per cent of the cost before."""
    amount: Decimal | None
    floor: Decimal

    def is_exceeded(self, before: Range, after: Range) -> bool:
        """Whether the increase is above what is allowed, at the smallest or at the largest scale."""
        return any(new - old > self.at(old) for old, new in zip(before, after, strict=True))

    def at(self, before: Decimal) -> Decimal:
        """Return the increase that is allowed on top of this cost."""
        allowed = before * self.share / 100 if self.share is not None else self.amount or Decimal(0)
        return max(allowed, self.floor)


def allowance(text: str, floor: str | None, currency: str) -> Allowance:
    """Read ``5%``, ``50``, ``$50`` or ``50 USD``, and the floor, which is an amount.

    Raises:
        ValueError: it is neither, or in another currency; one line.
    """
    least = _amount(floor, currency) if floor is not None else Decimal(0)
    found = _PERCENT.fullmatch(text.strip())
    if found is not None:
        return Allowance(_words(text.strip(), least, currency), Decimal(found[1]), None, least)
    return Allowance(_words(text.strip(), least, currency), None, _amount(text, currency), least)


def price_all(
    found: Iterable[Manifest | ManifestError], around: Environment, namespace: str
) -> tuple[dict[Key, ComparedWorkload], list[ManifestError]]:
    """Price the objects of one set.

    Args:
        found: the manifests.
        around: prices and cluster; the cluster knows the set itself, its HPAs above all.
        namespace: of objects that name none.

    Returns:
        The prices, pods beside their workload left out, and what could not be priced.
    """
    prices: dict[Key, ComparedWorkload] = {}
    owned: list[tuple[Key, Key, ComparedWorkload]] = []
    errors: list[ManifestError] = []
    admitted = Admitted(around.view)
    around = around._replace(view=admitted.view)
    for item in found:
        if isinstance(item, ManifestError):
            errors.append(item)
            continue
        try:
            subject = _subject(item, around.view, namespace)
            if subject is None:
                continue
            admitted.look_at(subject.namespace, subject.pod)
            priced = _price(subject, around)
            if subject.kind == "Pod" and admitted.uses_claims:
                admitted.let_in({})
        except msgspec.ValidationError as error:
            told = explain(error, item.document, item.origin)
            errors.append(ManifestError(item.origin, f"cannot be priced: {told}"))
            continue
        except (requests.BadReview, QuantityError, RecursionError) as error:
            errors.append(ManifestError(item.origin, f"cannot be priced: {str(error).partition(chr(10))[0]}; mend it"))
            continue
        key = (subject.kind, subject.namespace, subject.name)
        owner = owner_of(subject, around.view)
        if owner is not None:
            owned.append((key, owner, priced))
        else:
            _add(prices, key, priced)
    for key, owner, priced in owned:
        if owner not in prices:
            _add(prices, key, priced)
    return prices, errors


def compare(
    before: dict[Key, ComparedWorkload], after: dict[Key, ComparedWorkload], allowed: Allowance | None
) -> Comparison:
    """Compare two sets; what costs the same is counted only."""
    changes: list[Compared] = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is not None and new is not None and old.cost == new.cost:
            continue
        changes.append(_compared(key, old, new))
    changes.sort(key=lambda item: (-difference(item.before, item.after).high, item.label))
    sums = _sum(before.values()), _sum(after.values())
    return Comparison(
        tuple(changes),
        len(before.keys() | after.keys()) - len(changes),
        *sums,
        allowed=allowed.text if allowed is not None else "",
        exceeded=allowed is not None and allowed.is_exceeded(*sums),
    )


def owner_of(subject: subjects.Subject, view: View) -> Key | None:
    """Return the top-most controller of a pod; None of what has none, and of workloads."""
    if subject.kind != "Pod" or subject.pod.metadata is None:
        return None
    owner = controller_of(subject.pod.metadata)
    top = view.top_controller(subject.namespace, owner, subject.pod.metadata.labels or {})
    return (top.kind, subject.namespace, top.name) if top is not None else None


def _subject(item: Manifest, view: View, namespace: str) -> subjects.Subject | None:
    what = reviewed_objects.asked(item, namespace)
    if what.make is None:
        return None
    subject = subjects.of(what.make(), view)
    return None if isinstance(subject, str) else subject


def _price(subject: subjects.Subject, around: Environment) -> ComparedWorkload:
    context, entries, _ = resolve_policies(subject, around)
    # Each of two budgets pays for a claim that their pods share, but there is one claim to pay for.
    context.budget_scopes = ()
    price = pod_cost.context_price(context)
    book = around.rules.prices
    scale = subject.scale.believed(trusts_runtime(entries)) if subject.scale is not None else None
    if scale is None:
        amount = money.over_hours(price.micros, book.hours_per_month)
        return ComparedWorkload(Range(amount, amount), "1 pod")
    hours = min(scale.hours, book.hours_per_month) if scale.hours is not None else book.hours_per_month
    low, high = pod_cost.of_all(price, scale), price.of(scale.most) if scale.most > scale.replicas else 0
    words = scale.source
    if high > low:
        words = f"{scale.replicas} to {scale.most} replicas by {scale.most_source.partition(' of ')[2]}"
    return ComparedWorkload(Range(money.over_hours(low, hours), money.over_hours(max(low, high), hours)), words)


def _add(prices: dict[Key, ComparedWorkload], key: Key, priced: ComparedWorkload) -> None:
    """Note a price; objects without a name of their own add up."""
    known = prices.get(key)
    if known is not None:
        priced = ComparedWorkload(_sum((known, priced)), priced.scale)
    prices[key] = priced


def _compared(key: Key, old: ComparedWorkload | None, new: ComparedWorkload | None) -> Compared:
    change: PatchChange = "added" if old is None else "removed" if new is None else "changed"
    scales = [each.scale for each in (old, new) if each is not None]
    return Compared(
        *key,
        change,
        old.cost if old is not None else _NOTHING,
        new.cost if new is not None else _NOTHING,
        " -> ".join(dict.fromkeys(scales)),
    )


def _sum(prices: Iterable[ComparedWorkload]) -> Range:
    costs: Sequence[Range] = [each.cost for each in prices]
    return Range(sum((each.low for each in costs), Decimal(0)), sum((each.high for each in costs), Decimal(0)))


def _amount(text: str, currency: str) -> Decimal:
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or (found[1] and found[1] not in _SYMBOLS):
        raise ValueError(f"{text!r} is neither a share nor an amount; write 5% or 50")
    named = found[3] or _SYMBOLS.get(found[1], currency)
    if named != currency:
        raise ValueError(f"{text!r} is in {named}, but the price list is in {currency}; write it in {currency}")
    return Decimal(found[2])


def _words(text: str, floor: Decimal, currency: str) -> str:
    shown = text if text.endswith("%") else money.format_money(_amount(text, currency), currency)
    return f"{shown} (at least {money.format_money(floor, currency)})" if floor else shown
