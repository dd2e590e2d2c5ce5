"""What `podgate review` prints: for people, for programs, and the mutated objects themselves."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from webhook.admission import recorder
from webhook.admission.decision import OutcomeName, finding_text, format_finding, one_line, summary, workload_line
from webhook.cli import _terminal
from webhook.kube import yaml_text
from webhook.simulate.formats import WRITERS
from webhook.simulate.formats.result import (
    Comparison,
    RunReport,
    comparison_verdict,
    delta_words,
    difference,
    range_words,
)
from webhook.simulate.formats.sarif import comparison_data
from webhook.simulate.reviewed_objects import ReviewedObject

_ORDER: tuple[OutcomeName, ...] = ("refused", "fault_denied", "would_refuse", "warned", "changed", "would_change")
_MARKS = {"refused": "✗", "fault_denied": "✗", "would_refuse": "✗", "warned": "!", "changed": "✎", "would_change": "✎"}


class Shown(NamedTuple):
    """Everything there is to print."""

    results: Sequence[ReviewedObject]
    report: RunReport
    """The same, as the neutral result."""


def show(output: str, shown: Shown) -> None:
    """Print in one of `OUTPUTS`."""
    writer = WRITERS.get(output)
    if writer is not None:
        click.echo(writer(shown.report), nl=False)
    else:
        _OWN[output](shown)


def _text(shown: Shown) -> None:
    results, currency = shown.results, shown.report.currency
    if results:
        _objects(results, shown.report)
    if shown.report.comparison is not None:
        compared(shown.report.comparison, currency)


def _objects(results: Sequence[ReviewedObject], report: RunReport) -> None:
    out = _terminal.console()
    currency = report.currency
    counts: dict[str, int] = {}
    for item in results:
        word = _verdict(item)
        counts[word] = counts.get(word, 0) + 1
        if item.decision is None or item.skipped:
            continue
        cost = _terminal.cost_words(item.decision.cost, currency)
        money = f"  {cost} a month" if cost else ""
        named = f" {item.kind} {item.namespace}/{item.name or '(generated name)'}  {item.origin}{money}"
        _terminal.say(out, f"{word:<12}", style=_terminal.STYLES.get(word, "bold"), rest=named)
        for row in _rows(item, currency):
            _terminal.say(out, f"    {row}")
    if any(item.monthly is not None for item in report.items):
        _terminal.say(out, f"monthly cost of all: {delta_words(report.total, currency)}")
    words = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    _terminal.say(out, f"{len(results)} object{'' if len(results) == 1 else 's'}: {words}")


def compared(comparison: Comparison, currency: str) -> None:
    """Print the table of a comparison and its verdict."""
    out = _terminal.console()
    if comparison.changes:
        table = Table(title="Monthly cost, as written", title_justify="left", header_style="bold")
        table.add_column("", no_wrap=True)
        table.add_column("workload", overflow="fold", min_width=12)
        for name in ("before", "after", "difference"):
            table.add_column(name, justify="right")
        table.add_column("pods paid for", overflow="fold", min_width=12)
        for item in comparison.changes:
            delta = difference(item.before, item.after)
            style = "red" if delta.high > 0 else "green"
            table.add_row(
                item.change,
                escape(item.label),
                range_words(item.before, currency) if any(item.before) else "-",
                range_words(item.after, currency) if any(item.after) else "-",
                f"[{style}]{escape(range_words(delta, currency, sign=True))}[/]",
                escape(item.scale),
            )
        out.print(table)
    verdict = comparison_verdict(comparison, currency)
    style = "bold red" if comparison.exceeded else "bold"
    out.print(f"{verdict}; {comparison.unchanged} unchanged", style=style, markup=False, soft_wrap=True)


def _verdict(item: ReviewedObject) -> str:
    if item.decision is None or item.skipped:
        return "not judged"
    outcomes = {outcome.outcome for outcome in item.decision.outcomes}
    for name in _ORDER:
        if name in outcomes:
            return "refused" if name == "fault_denied" else name.replace("_", " ")
    return "passed"


def _rows(item: ReviewedObject, currency: str) -> Iterator[str]:
    assert item.decision is not None  # noqa: S101  the caller has looked
    decision = item.decision
    scale = item.subject.scale if item.subject is not None else None
    if scale is not None and decision.cost is not None:
        yield f"· {one_line(workload_line(scale, decision.cost, currency))}"
    if decision.operations:
        yield f"✎ sets {summary(decision.operations)}"
    if decision.withheld_operations:
        whose = "its pods get" if item.kind != "Pod" else "would set"
        yield f"✎ {whose} {summary(decision.withheld_operations)}"
    for outcome in decision.outcomes:
        for finding in outcome.findings:
            text = finding_text(outcome, finding)
            mark = "·" if finding.notice else _MARKS.get(outcome.outcome, "·")
            yield f"{mark} {format_finding(outcome, finding, text)}"
        if outcome.note:
            yield f"· policy {outcome.policy}, {outcome.guardrail}: {outcome.outcome.replace('_', ' ')}, {outcome.note}"


def _json(shown: Shown) -> None:
    """A list of objects; beside a comparison, one object with both."""
    entries = list(_entries(shown))
    comparison = shown.report.comparison
    data: object = entries if comparison is None else {"objects": entries, "comparison": comparison_data(comparison)}
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=list))


def _entries(shown: Shown) -> Iterator[dict[str, object]]:
    for item in shown.results:
        if item.subject is None or item.decision is None:
            yield {
                "origin": item.origin,
                "kind": item.kind,
                "namespace": item.namespace,
                "name": item.name,
                "verdict": "not judged",
                "reason": item.skipped,
            }
            continue
        entry = recorder.describe("offline", "", item.subject, item.decision, shown.report.currency)
        fields = json.loads(msgspec.json.encode(entry))
        del fields["decision"], fields["path"]
        yield {"origin": item.origin, **fields}


def _yaml(shown: Shown) -> None:
    click.echo(yaml_text.dump(item.patched() for item in shown.results if item.document), nl=False)


def _patch(shown: Shown) -> None:
    """One object: the bare patch, for ``kubectl patch --type json``. Several: one line each, with the object named."""
    judged_only = [item for item in shown.results if item.decision is not None and not item.skipped]
    if len(judged_only) == 1:
        item = judged_only[0]
        click.echo(json.dumps(list(item.decision.operations) if item.decision else [], indent=2, ensure_ascii=False))
        return
    for item in judged_only:
        operations = list(item.decision.operations) if item.decision else []
        named = {"kind": item.kind, "namespace": item.namespace, "name": item.name, "patch": operations}
        click.echo(json.dumps(named, ensure_ascii=False))


_OWN: Mapping[str, Callable[[Shown], None]] = {"text": _text, "json": _json, "yaml": _yaml, "patch": _patch}

OUTPUTS = (*_OWN, *WRITERS)
"""What ``-o`` takes."""
