"""One scan from its beginning to its report: every object of a world is judged, folded and added up."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from webhook.reporting import report
from webhook.reporting.fold import ObjectResult, fold
from webhook.reporting.judge import Grouping, Judge
from webhook.reporting.scan_input import ScanInput

Progress = Callable[[Iterable[tuple[str, dict[str, Any]]], int], Iterable[tuple[str, dict[str, Any]]]]
"""Passes objects on, of which there are about so many, and shows how far it is."""


def scan(
    world: ScanInput,
    *,
    title: str,
    source: str,
    now: Callable[[], datetime],
    excluded: tuple[str, ...] = (),
    grouping: Grouping | None = None,
    progress: Progress = lambda objects, _size: objects,
) -> report.AuditReport:
    """Judge everything and add it up.

    Args:
        world: what to judge, and by what.
        title: the command.
        source: what is looked at, for people.
        now: the time, with its zone.
        excluded: globs of namespaces that are never judged.
        grouping: labels to group money by.
        progress: shows how far it is.
    """
    judge = Judge(world.policies, world.view, world.ledger, now, excluded=excluded, grouping=grouping)
    rows = fold(records(judge, world, progress))
    return report.make(
        title=title,
        source=source,
        when=now(),
        currency=judge.rules.prices.currency,
        rows=rows,
        not_judged=world.unjudged,
        has_failures=world.unjudged.has_failures,
        policies=world.policies,
        uses=judge.uses.counts,
        budgets=report.budget_lines(world.policies, world.ledger, judge.rules.prices.hours_per_month, now()),
    )


def records(judge: Judge, world: ScanInput, progress: Progress) -> Iterator[ObjectResult]:
    """Yield what was judged; what was not is told to the world."""
    for origin, document in progress(world.objects, world.size):
        found = judge.judge(document, origin)
        if isinstance(found, ObjectResult):
            yield found
        else:
            # What is left out by rule is counted for the whole cluster; what has to be mended is named where it is.
            namespace = found.namespace if found.is_failure else ""
            example = found.name or origin
            if not found.is_failure:
                example = f"{found.namespace}/{example}"
            world.unjudged.add(found.kind, namespace, found.reason, example, is_failure=found.is_failure)
