"""All valid policy documents together, and the rules that hold between them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from webhook.policy import budget, guardrail_policy, policy_exception, price_list
from webhook.policy.bin_packing import BinPackingSection
from webhook.policy.model.envelope import Origin, PolicyDocument
from webhook.policy.model.sections import Model

DEFAULT_PRICE_LIST = "default"
"""Name of the PriceList that is used."""

BUILT_IN_CURRENCY = "USD"
"""Of the prices that hold where no PriceList of that name is loaded."""

S = TypeVar("S", bound=Model)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """The policies that hold at one time: one transaction, complete and valid.

    Attributes:
        documents: all documents; GuardrailPolicies by falling priority, then by name, everything else by kind,
            namespace and name.
        fingerprint: hash of the content they were read from; equal content has an equal fingerprint.
    """

    documents: tuple[PolicyDocument[Model], ...]
    fingerprint: str

    def of(self, spec: type[S]) -> tuple[PolicyDocument[S], ...]:
        """Return the documents whose spec is of this class."""
        return tuple(cast("PolicyDocument[S]", item) for item in self.documents if isinstance(item.spec, spec))

    @property
    def policies(self) -> tuple[PolicyDocument[guardrail_policy.GuardrailPolicySpec], ...]:
        """GuardrailPolicies in the order in which they win: highest priority first, then the smaller name."""
        return self.of(guardrail_policy.GuardrailPolicySpec)

    @property
    def budgets(self) -> tuple[PolicyDocument[budget.BudgetSpec], ...]:
        """Budgets by name."""
        return self.of(budget.BudgetSpec)

    @property
    def price_lists(self) -> tuple[PolicyDocument[price_list.PriceListSpec], ...]:
        """Price lists by name; the one named ``default`` is the one that is used."""
        return self.of(price_list.PriceListSpec)

    @property
    def exceptions(self) -> tuple[PolicyDocument[policy_exception.PolicyExceptionSpec], ...]:
        """PolicyExceptions by namespace and name, the expired ones included: time is not known here."""
        return self.of(policy_exception.PolicyExceptionSpec)

    @property
    def schedulers(self) -> frozenset[str]:
        """Return the schedulers that policies hand pods to; their Leases have to be followed."""
        return schedulers_of(self.policies)


def schedulers_of(policies: Iterable[PolicyDocument[guardrail_policy.GuardrailPolicySpec]]) -> frozenset[str]:
    """Return the schedulers that some policies hand pods to, those of sections that are off left out."""
    sections = ((policy.spec, policy.spec.sections.get("binPacking")) for policy in policies)
    return frozenset(
        section.scheduler_name
        for spec, section in sections
        if isinstance(section, BinPackingSection) and (section.mode or spec.mode) != "off"
    )


def assemble(documents: Iterable[PolicyDocument[Model]], fingerprint: str) -> PolicySet:
    """Put valid documents in their order."""
    return PolicySet(tuple(sorted(documents, key=_order)), fingerprint)


def _order(document: PolicyDocument[Model]) -> tuple[Any, ...]:
    priority = document.spec.priority if isinstance(document.spec, guardrail_policy.GuardrailPolicySpec) else 0
    return document.kind, -priority, document.namespace, document.name


class DocumentIdentity(NamedTuple):
    """What a document calls itself, whether its spec is valid or not."""

    kind: str
    namespace: str
    name: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Clash(NamedTuple):
    """A rule between documents that one of them breaks."""

    origin: Origin
    path: tuple[str, ...]
    message: str
    cure: str


def duplicates(identities: Iterable[DocumentIdentity]) -> Iterator[Clash]:
    """Find documents of the same kind, namespace and name."""
    seen: dict[tuple[str, str, str], DocumentIdentity] = {}
    for item in sorted(identities, key=lambda item: item.origin):
        first = seen.setdefault(item[:3], item)
        if first is not item:
            yield Clash(
                item.origin,
                ("metadata", "name"),
                f"{item} is defined twice, first at {first.origin}",
                "Rename or remove one of them.",
            )


def foreign_currencies(documents: Iterable[PolicyDocument[Model]]) -> Iterator[Clash]:
    """Find Budgets and lists of node pools whose currency is not that of the price list in use; without such a list
    there is none to break."""
    known = list(documents)
    prices = _default_prices(known)
    if prices is None:
        return
    currency = prices.spec.currency
    for item in known:
        if item is not prices and _currency(item) not in (None, currency):
            yield Clash(
                item.origin,
                ("spec", "currency"),
                f"must be the currency of PriceList {prices.name} ({prices.origin}), not `{_currency(item)}`",
                f"Write {currency}.",
            )


def unpriced(documents: Iterable[PolicyDocument[Model]]) -> Iterator[Clash]:
    """Find Budgets and lists of node pools in another currency than that of the built-in prices, where no price list
    is in use: amounts of two currencies cannot be compared, so they cannot be judged."""
    known = list(documents)
    if _default_prices(known) is None:
        for item in known:
            if _currency(item) not in (None, BUILT_IN_CURRENCY):
                yield Clash(
                    item.origin,
                    ("spec", "currency"),
                    f"is {_currency(item)}, but there is no PriceList {DEFAULT_PRICE_LIST}, and the built-in prices "
                    f"are in {BUILT_IN_CURRENCY}",
                    f"Add a PriceList named {DEFAULT_PRICE_LIST} in {_currency(item)}.",
                )


def misplaced_prices(documents: Iterable[PolicyDocument[Model]]) -> Iterator[Clash]:
    """Find what the list ``default`` alone may say, or what it may not say."""
    known = list(documents)
    prices = _default_prices(known)
    if prices is not None and prices.spec.nodes is not None:
        yield Clash(
            prices.origin,
            ("spec", "nodes"),
            f"must not be in the PriceList named {DEFAULT_PRICE_LIST}, which is for nodes that no other list is for",
            "Remove it, or give this list another name.",
        )
    for item in known:
        spec = item.spec
        if item is prices or not isinstance(spec, price_list.PriceListSpec):
            continue
        if spec.storage is not None:
            yield Clash(
                item.origin,
                ("spec", "storage"),
                f"belongs to the PriceList named {DEFAULT_PRICE_LIST}: a volume is on no node, so it has one price",
                "Move it there.",
            )
        hours = prices.spec.hours_per_month if prices is not None else spec.hours_per_month
        if "hours_per_month" in spec.model_fields_set and spec.hours_per_month != hours:
            yield Clash(
                item.origin,
                ("spec", "hoursPerMonth"),
                f"must be the {hours} of PriceList {DEFAULT_PRICE_LIST}, not {spec.hours_per_month}",
                "Remove it.",
            )


def _default_prices(documents: Iterable[PolicyDocument[Model]]) -> PolicyDocument[price_list.PriceListSpec] | None:
    for item in documents:
        if isinstance(item.spec, price_list.PriceListSpec) and item.name == DEFAULT_PRICE_LIST:
            return cast("PolicyDocument[price_list.PriceListSpec]", item)
    return None


def _currency(document: PolicyDocument[Model]) -> str | None:
    spec = document.spec
    return spec.currency if isinstance(spec, budget.BudgetSpec | price_list.PriceListSpec) else None
