"""The two lists of workloads in the HTML report: what would be refused, and what would cost less.

Each opens without a script to what was found, how it is mended, and the exact patch.
"""

import json
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from webhook.reporting.fold import FoldedFinding, WorkloadSummary
from webhook.reporting.render.text import format_money, times
from webhook.reporting.report import AuditReport

MOST: Final = 200
"""Workloads in each of the two lists."""
_MOST_PATCHES: Final = 2
_LONGEST_PATCH: Final = 4_000


def refused(report: AuditReport) -> str:
    """Return the workloads of which something would be refused."""
    rows = report.refused
    if not rows:
        return '<p class="is-saved word">Nothing: everything that runs now would be let in again.</p>'
    return _list(report, rows, lambda row: f"{format_money(row.tally.refused_money, report.currency)} a month")


def savings(report: AuditReport) -> str:
    """Return the workloads that would cost less; empty where there are none."""
    rows = report.savings
    return _list(report, rows, lambda row: f"saves {format_money(row.tally.saved, report.currency)}") if rows else ""


def more(there_are: int, shown: int, word: str) -> str:
    """Return a line about what a list leaves out; empty where it leaves nothing out."""
    if there_are <= shown:
        return ""
    return f'<p class="soft">… and {times(there_are - shown, f"more {word}")}; the JSON has all of them.</p>'


def _list(report: AuditReport, rows: Sequence[WorkloadSummary], end: Callable[[WorkloadSummary], str]) -> str:
    shown = "".join(_workload(report, row, end(row)) for row in rows[:MOST])
    return shown + more(len(rows), MOST, "workload")


def _workload(report: AuditReport, row: WorkloadSummary, end: str) -> str:
    owner, tally, currency = row.owner, row.tally, report.currency
    style = "is-refused" if tally.refused else "is-changed"
    counted = times(row.pods, "pod") if row.pods else "no pod runs"
    if tally.refused and tally.refused < tally.objects:
        counted += f", {tally.refused:,} of them refused"
    cost = (
        f"{format_money(tally.before, currency)} {report.before}, {format_money(tally.after, currency)} {report.after}"
    )
    if row.cost_center:
        cost += f", cost-center {row.cost_center}"
    return (
        f'<details><summary><span class="name">{escape(f"{owner.kind} {owner.namespace}/{owner.name}")}</span>'
        f'<span class="word {style}">{row.word}</span><span class="soft">{counted}</span>'
        f'<span class="end">{escape(end)}</span></summary>'
        f'<p class="soft">{escape(cost)}.</p>{_findings(row)}{_patches(row)}</details>'
    )


def _findings(row: WorkloadSummary) -> str:
    lines = [_finding(note, count) for note, count in row.findings]
    if row.more_findings:
        lines.append(f"<li>… and {times(row.more_findings, 'more finding')}</li>")
    return f'<ul class="findings">{"".join(lines)}</ul>' if lines else ""


def _finding(note: FoldedFinding, count: int) -> str:
    style = "is-refused" if note.refuses else "soft"
    cure = f"<br><strong>To fix:</strong> {escape(note.cure)}" if note.cure else ""
    counted = f' <span class="soft">({times(count, "object")})</span>' if count > 1 else ""
    where = escape(f"{note.policy}, {note.guardrail}")
    return f'<li><span class="{style}">{where}:</span> {escape(note.text)}{counted}{cure}</li>'


def _patches(row: WorkloadSummary) -> str:
    parts = []
    for patch, count in row.patches[:_MOST_PATCHES]:
        text = "\n".join(json.dumps(each, ensure_ascii=False) for each in json.loads(patch))
        if len(text) > _LONGEST_PATCH:
            text = f"{text[:_LONGEST_PATCH]}\n… the JSON has all of it"
        parts.append(f'<p class="soft">The patch of {times(count, "object")}:</p><pre>{escape(text)}</pre>')
    return "".join(parts)
