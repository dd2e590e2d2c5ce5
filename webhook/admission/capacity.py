"""Which capacity type an update is priced as, before and after: as its pod was admitted."""

from collections.abc import Callable
from datetime import datetime

from webhook.admission.ruleset import Ruleset
from webhook.guardrails.base.contract import Context, moves
from webhook.pricing.pod import PodPrice


def price_received(
    context: Context, rules: Ruleset, now: Callable[[], datetime], price: Callable[[], PodPrice | None]
) -> PodPrice | None:
    """Return what an object costs as it was received, and write into the context what its author's change is compared
    by."""
    if context.operation == "UPDATE":
        as_admitted(context, rules, now)
    context.received_price = before = price()
    if context.scale is not None and context.priced_as_spot:
        # As written, no pod of a template tolerates spot nodes; what it costs more or less than before does not hang
        # on that.
        context.priced_as_spot, context.price = False, None
        before = price()
    return before


def as_admitted(context: Context, rules: Ruleset, now: Callable[[], datetime]) -> None:
    """Write into the context of an UPDATE whether policies price what is there now, and what was there before, as spot
    capacity. Nobody proposes anything any more to a pod that exists."""
    context.priced_as_spot = context.old_priced_as_spot = rules.prices_as_spot(context, now)
    if context.old_pod is None or not (moves(context) or context.scale is not None):
        return
    before = Context(
        pod=context.old_pod,
        namespace=context.namespace,
        view=context.view,
        prices=context.prices,
        namespace_info=context.namespace_info,
        operation=context.operation,
        scale=context.old_scale,
        controller=context.controller,
    )
    context.old_priced_as_spot = rules.prices_as_spot(before, now)
