"""What the pods that exist already take from the budgets."""

from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from typing import Any

from webhook.admission import replacement
from webhook.admission.ruleset import Ruleset
from webhook.cluster.view import ClusterPod, View
from webhook.guardrails import _money
from webhook.guardrails._contract import Context
from webhook.kube.objects import controller_of
from webhook.kube.quantity import QuantityError
from webhook.ledger.balance import Terms
from webhook.ledger.store import Booking

_NO_LABELS: dict[str, str] = {}


def bookings(view: View, rules: Ruleset, now: Callable[[], datetime]) -> Iterator[Booking]:
    """Yield one booking for each running pod that a budget pays for, excluded namespaces left out.

    A pod is priced by the node that it runs on, unless a policy prices it as spot capacity wherever it runs.
    """
    # Pods by the ten thousand have the same few of these, and a ledger keeps them.
    shared: dict[Hashable, Any] = {}
    for item in view.pods():
        context = _context(item, view, rules)
        info = context.namespace_info
        namespace_labels = info.labels if info is not None else _NO_LABELS
        paying = tuple(
            rule.name for rule in rules.budgets if rule.covers(item.namespace, namespace_labels, context.labels)
        )
        if not paying:
            continue
        try:
            price = _priced(context, rules, now)
        except QuantityError:
            continue  # The API server accepts no such pod, so it cannot be running.
        metadata = item.pod.metadata
        # What is being deleted costs until it is gone, and its controller does not count it any more.
        is_leaving = metadata is not None and metadata.deletion_timestamp is not None
        owner = "" if is_leaving else replacement.uid_of(view, item.namespace, controller_of(metadata))
        micros = shared.setdefault(price.micros, price.micros)
        yield Booking(item.uid, micros, shared.setdefault(paying, paying), owner)


def price_of_running(item: ClusterPod, view: View, rules: Ruleset, now: Callable[[], datetime]) -> _money.PodPrice:
    """Return what a pod that exists costs, as budgets count it.

    Raises:
        QuantityError: a quantity is malformed or negative.
    """
    return _priced(_context(item, view, rules), rules, now)


def _context(item: ClusterPod, view: View, rules: Ruleset) -> Context:
    return Context(
        pod=item.pod,
        namespace=item.namespace,
        view=view,
        prices=rules.prices,
        namespace_info=view.namespace(item.namespace),
        running=item,
    )


def _priced(context: Context, rules: Ruleset, now: Callable[[], datetime]) -> _money.PodPrice:
    context.priced_as_spot = rules.prices_as_spot(context, now)
    return _money.context_price(context)


def terms(rules: Ruleset) -> dict[str, Terms]:
    """Return what each budget in force promises, by name."""
    return {rule.name: rule.terms(rules.prices.hours_per_month) for rule in rules.budgets}
