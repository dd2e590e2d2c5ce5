"""A report in a terminal: what it comes to, what each policy would do, and the workloads that matter most."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from webhook.cli import _terminal
from webhook.reporting.fold import WorkloadSummary
from webhook.reporting.render.text import format_money, times
from webhook.reporting.report import AuditReport, GroupLine

MOST: Final = 25
"""Workloads shown of what would be refused, and of what would change."""
_REASONS: Final = 3
_LONGEST: Final = 220


def show(report: AuditReport, most: int | None) -> None:
    """Print an audit.

    Args:
        report: what to print.
        most: workloads of each verdict; None for all.
    """
    console = _terminal.console()
    _policies(console, report)
    _workloads(console, report, most)
    _attention(console, report)
    _total(console, report)


def show_money(report: AuditReport, most: int | None) -> None:
    """Print a cost and savings report."""
    console = _terminal.console()
    for title, lines in (
        ("namespace", report.namespaces),
        ("cost-center", report.cost_centers),
        ("department", report.departments),
    ):
        _groups(console, report, title, lines)
    _savings(console, report, most)
    _budgets(console, report)
    _total(console, report)


def _table(console: Console, title: str) -> Table:
    return Table(title=title, title_justify="left", header_style="bold", expand=console.is_terminal)


def _policies(console: Console, report: AuditReport) -> None:
    if not report.policies:
        return
    table = _table(console, "What enforcing each guardrail would do, a month")
    for name in ("policy", "guardrail", "mode today"):
        table.add_column(name, overflow="fold")
    for name in ("looked at", "change", "refuse", "cost of those", "save"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in report.policies:
        share = line.share
        table.add_row(
            escape(line.policy),
            escape(line.guardrail),
            line.mode,
            f"{share.objects:,}",
            f"{share.changed:,}" if share.changed else "",
            f"[red]{share.refused:,}[/]" if share.refused else "",
            format_money(share.refused_money, report.currency) if share.refused_money else "",
            f"[green]{format_money(share.saved, report.currency)}[/]" if share.saved else "",
        )
    console.print(table)


def _workloads(console: Console, report: AuditReport, most: int | None) -> None:
    rows = [row for row in report.rows if row.word != "passed" or row.findings]
    refused = [row for row in rows if row.tally.refused]
    others = [row for row in rows if not row.tally.refused]
    shown = [*refused[:most], *others[:most]]
    if not shown:
        return
    table = _table(console, "Workloads")
    table.add_column("verdict", no_wrap=True)
    table.add_column("workload", overflow="fold", ratio=2)
    table.add_column("pods", justify="right", no_wrap=True)
    table.add_column("what and why", overflow="fold", ratio=5)
    table.add_column("monthly", justify="right", no_wrap=True)
    for row in shown:
        style = _terminal.STYLES.get(row.word, "")
        table.add_row(
            f"[{style}]{row.word}[/]" if style else row.word,
            escape(f"{row.owner.kind} {row.owner.namespace}/{row.owner.name}"),
            f"{row.pods:,}" if row.pods else "none",
            escape("\n".join(_why(row))),
            _money(row, report.currency),
        )
    console.print(table)
    if len(rows) > len(shown):
        console.print(f"... and {len(rows) - len(shown)} more workloads: --all, or -o html", markup=False)


def _why(row: WorkloadSummary) -> Sequence[str]:
    lines = [
        f"{note.policy}, {note.guardrail}: {note.text}" + (f"; to fix: {note.cure}" if note.cure else "")
        for note, _ in row.findings[:_REASONS]
    ]
    if len(row.findings) > _REASONS:
        lines.append(f"and {times(len(row.findings) - _REASONS, 'more finding')}")
    lines += [f"sets {words}" for words, _ in row.changes[:1]]
    return [line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..." for line in lines]


def _money(row: WorkloadSummary, currency: str) -> str:
    tally = row.tally
    if tally.refused:
        return f"{format_money(tally.refused_money, currency)} at stake"
    before, after = format_money(tally.before, currency), format_money(tally.after, currency)
    return after if before == after else f"{before} -> {after}"


def _attention(console: Console, report: AuditReport) -> None:
    for each in report.overdue:
        why = ", ".join([each.state] * (each.state != "active") + ["nothing needs it"] * each.is_unused)
        console.print(
            f"exception {each.namespace}/{each.name} of {each.owner}: {why} (last day {each.expires})",
            style="yellow",
            markup=False,
        )
    others = sum(each.times for each in report.not_judged if not each.is_failure)
    if others:
        console.print(f"{times(others, 'object')} not judged, by rule; -o json says why", markup=False)


def _groups(console: Console, report: AuditReport, title: str, lines: Sequence[GroupLine]) -> None:
    if not lines or (title != "namespace" and len(lines) == 1 and lines[0].name == "(none)"):
        return
    table = _table(console, f"Cost a month by {title}")
    table.add_column(title, overflow="fold")
    for name in ("workloads", "objects", report.before, "after", "saved", "of it refused"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        tally = line.tally
        table.add_row(
            escape(line.name),
            f"{line.workloads:,}",
            f"{tally.objects:,}",
            format_money(tally.before, report.currency),
            format_money(tally.after, report.currency),
            f"[green]{format_money(tally.saved, report.currency)}[/]" if tally.saved else "",
            f"[red]{format_money(tally.refused_money, report.currency)}[/]" if tally.refused_money else "",
        )
    console.print(table)


def _savings(console: Console, report: AuditReport, most: int | None) -> None:
    rows = report.savings
    if not rows:
        return
    table = _table(console, "Workloads that would cost less")
    table.add_column("workload", overflow="fold", ratio=2)
    table.add_column("how", overflow="fold", ratio=4)
    for name in ("pods", report.before, "after", "saved"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows[:most]:
        tally = row.tally
        table.add_row(
            escape(f"{row.owner.kind} {row.owner.namespace}/{row.owner.name}"),
            escape("; ".join(words for words, _ in row.changes[:1])[:_LONGEST]),
            f"{row.pods:,}" if row.pods else "none",
            format_money(tally.before, report.currency),
            format_money(tally.after, report.currency),
            f"[green]{format_money(tally.saved, report.currency)}[/]",
        )
    console.print(table)
    if most is not None and len(rows) > most:
        console.print(f"... and {len(rows) - most} more workloads: --all, or -o html", markup=False)


def _budgets(console: Console, report: AuditReport) -> None:
    if not report.budgets:
        return
    table = _table(console, "Budgets, at the rate of what runs now")
    for name in ("budget", "mode", "period"):
        table.add_column(name, overflow="fold")
    for name in ("committed", "amount", "%"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in report.budgets:
        style = "red" if each.percent >= 90 else "yellow" if each.percent >= 75 else ""
        percent = f"{each.percent} %"
        table.add_row(
            escape(each.name),
            each.mode,
            each.period,
            format_money(each.committed, report.currency),
            format_money(each.amount, report.currency),
            f"[{style}]{percent}[/]" if style else percent,
        )
    console.print(table)


def _total(console: Console, report: AuditReport) -> None:
    total, currency = report.total, report.currency
    counted = f"{times(len(report.rows), 'workload')}, {times(total.objects, 'object')}"
    refused = f"of {times(len(report.refused), 'workload')} something would be refused"
    console.print(
        f"{counted}: {format_money(total.before, currency)} a month {report.before}, "
        f"{format_money(total.after, currency)} {report.after}, "
        f"{format_money(total.saved, currency)} saved; {refused}, "
        f"{format_money(total.refused_money, currency)} a month",
        style="bold",
        markup=False,
    )
