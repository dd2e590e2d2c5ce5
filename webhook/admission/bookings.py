"""What the pods that exist already take from the budgets."""

from collections.abc import Callable, Hashable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from webhook.admission import replacement, wanted_pods
from webhook.admission.ruleset import Ruleset
from webhook.cluster.view import ClusterPod, View
from webhook.guardrails.base import pod_cost
from webhook.guardrails.base.contract import Context
from webhook.kube.objects import ObjectMeta, controller_of
from webhook.kube.quantity import QuantityError
from webhook.ledger.balance import BudgetTerms
from webhook.ledger.store import Booking, ControllerKey, PodCount

_NO_LABELS: dict[str, str] = {}
_LONG_AGO: Final = timedelta(days=365)


class bookings(PodCount):  # noqa: N801  it reads as what it yields
    """One booking for each running pod that a budget pays for, excluded namespaces left out; and what the controllers
    of these pods want.

    A pod is priced by the node that it runs on, unless a policy prices it as spot capacity wherever it runs.
    """

    def __init__(self, view: View, rules: Ruleset, now: Callable[[], datetime]) -> None:
        self._view = view
        self._rules = rules
        self._now = now

    def __iter__(self) -> Iterator[Booking]:
        return _booked(self._view, self._rules, self._now)

    def wanted(self, uid: str, place: ControllerKey) -> int | None:
        """Return how many pods a controller wants, see `webhook.admission.wanted_pods.wanted`."""
        return wanted_pods.wanted(self._view, uid, place)


def _booked(view: View, rules: Ruleset, now: Callable[[], datetime]) -> Iterator[Booking]:
    # Pods by the ten thousand have the same few of these, and a ledger keeps them.
    shared: dict[Hashable, Any] = {}
    for item in view.pods():
        context = _context(item, view, rules, now)
        info = context.namespace_info
        namespace_labels = info.labels if info is not None else _NO_LABELS
        labels = context.charged_by.own(context) if context.charged_by is not None else context.labels
        paying = tuple(rule.name for rule in rules.budgets if rule.covers(item.namespace, namespace_labels, labels))
        if not paying:
            continue
        try:
            price = _priced(context, rules, now)
        except QuantityError:
            continue  # The API server accepts no such pod, so it cannot be running.
        metadata = item.pod.metadata
        owner = replacement.counted_under(view, item.namespace, controller_of(metadata))
        micros = shared.setdefault(price.micros, price.micros)
        # What is being deleted costs until it is gone, and its controller does not count it any more.
        left = _left(metadata, now) if metadata is not None and metadata.deletion_timestamp is not None else None
        uid, place = (owner.uid, shared.setdefault(owner.place, owner.place)) if owner is not None else ("", None)
        yield Booking(item.uid, micros, shared.setdefault(paying, paying), uid, left, place)


def _left(metadata: ObjectMeta, now: Callable[[], datetime]) -> datetime:
    """Return when the deletion of a pod was asked for: its timestamp is the time at which it has to be gone."""
    moment = now()
    try:
        end = datetime.fromisoformat(metadata.deletion_timestamp or "")
        asked = end - timedelta(seconds=metadata.deletion_grace_period_seconds or 0)
        return max(min(asked, moment), moment - _LONG_AGO)
    except (ValueError, OverflowError, TypeError):
        return moment


def price_of_running(item: ClusterPod, view: View, rules: Ruleset, now: Callable[[], datetime]) -> pod_cost.PodPrice:
    """Return what a pod that exists costs, as budgets count it.

    Raises:
        QuantityError: a quantity is malformed or negative.
    """
    return _priced(_context(item, view, rules, now), rules, now)


def _context(item: ClusterPod, view: View, rules: Ruleset, now: Callable[[], datetime]) -> Context:
    context = Context(
        pod=item.pod,
        namespace=item.namespace,
        view=view,
        prices=rules.prices,
        namespace_info=view.namespace(item.namespace),
        running=item,
    )
    rules.count_charges(context, now)
    return context


def _priced(context: Context, rules: Ruleset, now: Callable[[], datetime]) -> pod_cost.PodPrice:
    context.priced_as_spot = rules.prices_as_spot(context, now)
    return pod_cost.context_price(context)


def terms(rules: Ruleset) -> dict[str, BudgetTerms]:
    """Return what each budget in force promises, by name."""
    return {rule.name: rule.terms(rules.prices.hours_per_month) for rule in rules.budgets}
