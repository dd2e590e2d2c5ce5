"""Rules that hold between custom resources, and which version of each holds where one of them breaks a rule.

A rule is kept by setting aside the version that breaks it, never what was there first: what the policy directory says
comes before custom resources, and price lists before budgets. Where the newest version of an object breaks a rule, the
one that was in force before holds if it breaks none, so that an edit of one object takes no other out of force, nor
itself. That goes for the price list in use as well: another currency holds from the moment when every budget has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from webhook.policy.budget import BudgetSpec
from webhook.policy.loading.versions import Version
from webhook.policy.model import policy_set
from webhook.policy.model.envelope import Origin, PolicyDocument
from webhook.policy.model.policy_set import Clash
from webhook.policy.model.problems import PolicyProblem
from webhook.policy.model.sections import Model
from webhook.policy.price_list import PriceListSpec

ObjectKey = tuple[str, str, str]
"""Kind, namespace and name."""


class ValidVersion(NamedTuple):
    """A version of an object that is valid by itself."""

    document: PolicyDocument[Model]
    version: Version | None


class ClashRefusal(NamedTuple):
    """The rule that the newest version of an object breaks."""

    reason: str
    problem: PolicyProblem


class Settled(NamedTuple):
    """What holds together."""

    documents: list[PolicyDocument[Model]]
    """Those of the directory first."""
    versions: Mapping[ObjectKey, Version]
    """What each custom resource that is in force was taken from."""
    refusals: Mapping[ObjectKey, ClashRefusal]
    """Of every custom resource whose newest version is not what holds."""


def settle(base: Sequence[PolicyDocument[Model]], found: Mapping[ObjectKey, Sequence[ValidVersion]]) -> Settled:
    """Choose the version of each object that holds.

    Args:
        base: what the directory says.
        found: versions of each custom resource, the newest first, then the one that was in force before.
    """
    prices = ("PriceList", "", policy_set.DEFAULT_PRICE_LIST)
    settled = _together(base, found)
    candidates = found.get(prices, ())
    if len(candidates) < 2 or prices in settled.refusals:
        return settled
    before = _together(base, {**found, prices: candidates[1:]})
    if len(before.versions) <= len(settled.versions):
        return settled
    others = sorted(set(before.versions) - set(settled.versions))
    kind, _, name = others[0]
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    cure = "Change them as well; all of it holds together then."
    here = candidates[0].document.origin.file
    message = f"would take {kind} {name}{more} out of force"
    problem = PolicyProblem(here, 0, 0, "spec", message, cure)
    return before._replace(refusals={**before.refusals, prices: ClashRefusal("PriceListClash", problem)})


def identity(document: PolicyDocument[Model]) -> ObjectKey:
    """Return what a document is known by."""
    return document.kind, document.namespace, document.name


def _together(base: Sequence[PolicyDocument[Model]], found: Mapping[ObjectKey, Sequence[ValidVersion]]) -> Settled:
    held = list(base)
    origins = {identity(document): document.origin for document in base}
    versions: dict[ObjectKey, Version] = {}
    refusals: dict[ObjectKey, ClashRefusal] = {}
    for key, candidates in sorted(found.items(), key=_order):
        for candidate in candidates:
            refusal = _clash(candidate.document, origins.get(key), held)
            if refusal is None:
                held.append(candidate.document)
                if candidate.version is not None:
                    versions[key] = candidate.version
                break
            refusals.setdefault(key, refusal)
    return Settled(held, versions, refusals)


def _order(item: tuple[ObjectKey, Sequence[ValidVersion]]) -> tuple[Any, ...]:
    # The price list in use comes first: whatever else is about money is compared with it.
    kind, namespace, name = item[0]
    is_about_prices = kind == "PriceList"
    is_in_use = is_about_prices and name == policy_set.DEFAULT_PRICE_LIST
    return not is_in_use, not is_about_prices, kind, namespace, name


def _clash(
    document: PolicyDocument[Model], twin: Origin | None, held: Iterable[PolicyDocument[Model]]
) -> ClashRefusal | None:
    """Say which rule between objects this one breaks, of this one, whichever of the two the rule names."""
    here = document.origin.file
    if twin is not None:
        message, cure = f"is defined in {twin} as well", "Rename or remove one of them."
        return ClashRefusal("ShadowedByFile", PolicyProblem(here, 0, 0, "metadata.name", message, cure))
    if not isinstance(document.spec, BudgetSpec | PriceListSpec):
        return None
    for clash in policy_set.foreign_currencies([*held, document]):
        message, cure = f"differs from that of {clash.origin}", "Use one currency for all."
        return ClashRefusal("CurrencyClash", _told(document, clash, message, cure))
    for clash in policy_set.misplaced_prices([*held, document]):
        message, cure = f"does not go with {clash.origin}: there, it {clash.message}", "Use the same for all."
        return ClashRefusal("PriceListClash", _told(document, clash, message, cure))
    # The price list in use was first, so it is known by now that nobody brings one.
    for clash in policy_set.unpriced([*held, document]):
        if clash.origin == document.origin:
            return ClashRefusal("NoPrices", _told(document, clash, "", ""))
    return None


def _told(document: PolicyDocument[Model], clash: Clash, message: str, cure: str) -> PolicyProblem:
    if clash.origin == document.origin:
        message, cure = clash.message, clash.cure
    return PolicyProblem(document.origin.file, document.origin.line, 0, ".".join(clash.path), message, cure)
