"""A report as one HTML file: no request to anywhere, no script, everything in it.

It reads from the top: what it comes to, which policy does what, where the money is, which workloads would be refused
and how they are mended, which cost less, and at last what needs somebody's attention. Long lists are cut and say so;
the JSON has all of it.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from webhook.reporting.render import charts, workloads
from webhook.reporting.render.charts import BeforeAfter, Segment
from webhook.reporting.render.style import CSS
from webhook.reporting.render.text import format_money, times
from webhook.reporting.report import AuditReport, EnforcementEffect, GroupLine

MOST_LINES: Final = 100
"""Lines of a table."""
NOTHING: Final = "\N{EN DASH}"
_MOST_BARS: Final = 12
_HOW: Final = {
    True: "Pods are judged as their owners would create them again, with every policy enforced. A workload that runs "
    "no pod right now counts what its template declares.",
    False: "Decisions about new pods are added up as they were made; amounts that a mode held back are among them.",
}
_TITLES: Final = {
    ("audit", True): "What enforcing would change",
    ("report", True): "Cost and savings",
    ("report", False): "What was changed, refused and saved",
}

HtmlCell = tuple[str, str]
"""(class, HTML)"""


def as_html(report: AuditReport) -> str:
    """Return the report as one HTML document."""
    title = _TITLES[report.title, report.before == "today"]
    sections = [
        ("money", "What it comes to", _money(report)),
        ("policies", "By policy", _policies(report)),
        ("namespaces", "By namespace", _groups(report, report.namespaces, "namespace", chart=True)),
        ("cost-centers", "By cost-center", _groups(report, report.cost_centers, "cost-center")),
        ("departments", "By department", _groups(report, report.departments, "department")),
        ("refused", "What would be refused", workloads.refused(report)),
        ("savings", "What would cost less", workloads.savings(report)),
        ("budgets", "Budgets", _budgets(report)),
        ("exceptions", "Exceptions", _exceptions(report)),
        ("not-judged", "What was not judged", _not_judged(report)),
    ]
    shown = [(name, heading, body) for name, heading, body in sections if body]
    links = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading, _ in shown)
    bodies = "".join(
        f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{escape(heading)}</h2>{body}</section>'
        for name, heading, body in shown
    )
    when = f"{report.when:%Y-%m-%d %H:%M %Z}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Podgate: {escape(title)}</title><style>{CSS}</style></head><body>"
        '<a class="skip" href="#main">Skip to the report</a>'
        f'<header><h1>{escape(title)}</h1><p class="soft">podgate {report.title} of {escape(report.source)}, '
        f'<time datetime="{report.when.isoformat()}">{escape(when)}</time>. Money is per month in '
        f"{escape(report.currency)}.</p>{_tiles(report)}"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>'
        f'<main id="main">{_warning(report)}{bodies}</main>'
        f"<footer><p>{_HOW[report.before == 'today']}</p></footer></body></html>\n"
    )


# --- the top --------------------------------------------------------------------------------------------------------


def _tiles(report: AuditReport) -> str:
    total, currency = report.total, report.currency
    refused = report.refused
    tiles = [
        (
            report.before.capitalize(),
            format_money(total.before, currency),
            f"{times(total.objects, 'object')} of {times(len(report.rows), 'workload')}",
            "",
        ),
        (report.after.capitalize(), format_money(total.after, currency), "as the changed pods would cost", ""),
        ("Saved", format_money(total.saved, currency), _percent(total.saved, total.before), "is-saved"),
        (
            "Would be refused" if report.before == "today" else "Refused, or would be",
            f"{len(refused):,}",
            (
                f"{'workload' if len(refused) == 1 else 'workloads'}, "
                f"{format_money(total.refused_money, currency)} a month"
            ),
            "is-refused" if refused else "",
        ),
        ("Would be changed", f"{total.changed:,}", f"of {times(total.objects, 'object')}", "is-changed"),
    ]
    inner = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd class="{style}">{escape(value)}</dd>'
        f"<dd>{escape(below)}</dd></div>"
        for name, value, below, style in tiles
    )
    return f'<dl class="tiles">{inner}</dl>'


def _warning(report: AuditReport) -> str:
    failures = sum(each.times for each in report.failures)
    if not failures:
        return ""
    return (
        '<section><p class="note"><strong>Not everything could be judged.</strong> '
        f"{times(failures, 'thing')} could not be read; "
        'see <a href="#not-judged">what was not judged</a>. The figures are of the rest.</p></section>'
    )


def _money(report: AuditReport) -> str:
    total, currency = report.total, report.currency
    if total.before <= 0:
        return ""
    kept = total.after - total.refused_money
    whole = max(total.before, total.after)
    segments = [
        Segment("changed", kept, f"{format_money(kept, currency)} goes on"),
        Segment(
            "refused",
            total.refused_money,
            f"{format_money(total.refused_money, currency)} belongs to what would be refused",
        ),
        Segment("saved", total.saved, f"{format_money(total.saved, currency)} saved"),
    ]
    return charts.stack(segments, whole, f"Of {format_money(total.before, currency)} a month")


def _percent(value: int, whole: int) -> str:
    return f"{value * 100 // whole} % less" if whole > 0 else ""


# --- tables ---------------------------------------------------------------------------------------------------------


def _table(caption: str, head: Sequence[HtmlCell], rows: Iterable[Sequence[HtmlCell]]) -> str:
    names = "".join(f'<th scope="col" class="{style}">{text}</th>' for style, text in head)
    lines = []
    for row in rows:
        (style, first), *rest = row
        cells = "".join(f'<td class="{style}">{text}</td>' for style, text in rest)
        lines.append(f'<tr><th scope="row" class="{style}">{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{names}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _policies(report: AuditReport) -> str:
    if not report.policies:
        return '<p class="soft">No policy is about anything that was judged.</p>'
    currency = report.currency
    most_saved = max((line.share.saved for line in report.policies), default=0)
    most_refused = max((line.share.refused for line in report.policies), default=0)

    def row(line: EnforcementEffect) -> Sequence[HtmlCell]:
        share = line.share
        saved = charts.bar([Segment("saved", share.saved, "")], most_saved) if share.saved > 0 else ""
        refused = charts.bar([Segment("refused", share.refused, "")], most_refused) if share.refused else ""
        return (
            ("", f"{escape(line.policy)}<br><span class=soft>{escape(line.guardrail)}</span>"),
            ("", escape(line.mode or NOTHING)),
            ("number", f"{share.objects:,}"),
            ("number", f"{share.changed:,}"),
            ("number is-refused" if share.refused else "number", f"{share.refused:,}"),
            ("chart", refused),
            ("number", format_money(share.refused_money, currency) if share.refused_money else NOTHING),
            (
                "number is-saved" if share.saved > 0 else "number",
                format_money(share.saved, currency) if share.saved else NOTHING,
            ),
            ("chart", saved),
            ("number", f"{share.exempt:,}"),
        )

    head = (
        ("", "Policy and guardrail"),
        ("", "Mode today"),
        ("number", "Looked at"),
        ("number", "Would change"),
        ("number", "Would refuse"),
        ("chart", "<span class=soft>refusals</span>"),
        ("number", "Cost of those"),
        ("number", "Saves"),
        ("chart", "<span class=soft>savings</span>"),
        ("number", "Exempt"),
    )
    shown = report.policies[:MOST_LINES]
    table = _table("What enforcing each guardrail of each policy would do, a month", head, map(row, shown))
    return table + workloads.more(len(report.policies), MOST_LINES, "guardrail")


def _groups(report: AuditReport, lines: Sequence[GroupLine], word: str, *, chart: bool = False) -> str:
    if not lines or (not chart and len(lines) == 1 and lines[0].name == "(none)"):
        return ""
    currency = report.currency
    most = max((max(line.tally.before, line.tally.after) for line in lines), default=0)

    def row(line: GroupLine) -> Sequence[HtmlCell]:
        tally = line.tally
        kept = tally.after - tally.refused_money
        segments = [Segment("changed", kept, ""), Segment("refused", tally.refused_money, "")]
        return (
            ("", escape(line.name)),
            ("number", f"{line.workloads:,}"),
            ("number", f"{tally.objects:,}"),
            ("number", format_money(tally.before, currency)),
            ("number", format_money(tally.after, currency)),
            ("chart", charts.bar([*segments, Segment("saved", max(tally.saved, 0), "")], most)),
            (
                "number is-saved" if tally.saved > 0 else "number",
                format_money(tally.saved, currency) if tally.saved else NOTHING,
            ),
            ("number is-refused" if tally.refused else "number", f"{tally.refused:,}"),
        )

    head = (
        ("", word.capitalize()),
        ("number", "Workloads"),
        ("number", "Objects"),
        ("number", report.before.capitalize()),
        ("number", "After"),
        ("chart", "<span class=soft>goes on, refused, saved</span>"),
        ("number", "Saved"),
        ("number", "Would refuse"),
    )
    pairs = [
        BeforeAfter(
            line.name,
            line.tally.before,
            line.tally.after,
            format_money(line.tally.before, currency),
            format_money(line.tally.after, currency),
        )
        for line in lines[:_MOST_BARS]
    ]
    names = (report.before, report.after)
    picture = charts.pairs(pairs, f"Cost a month by {word}", names, f"chart-{word}") if chart else ""
    table = _table(f"Cost a month by {word}, the dearest first", head, map(row, lines[:MOST_LINES]))
    return picture + table + workloads.more(len(lines), MOST_LINES, word)


def _budgets(report: AuditReport) -> str:
    currency = report.currency
    return _optional(
        "What is committed of each budget, at the rate of what runs now",
        (
            ("", "Budget"),
            ("", "Mode"),
            ("", "Period"),
            ("number", "Committed"),
            ("number", "Amount"),
            ("chart", ""),
            ("number", "%"),
        ),
        [
            (
                ("", escape(each.name)),
                ("", escape(each.mode)),
                ("", escape(each.period)),
                ("number", format_money(each.committed, currency)),
                ("number", format_money(each.amount, currency)),
                ("chart", charts.bar([Segment(_budget_fill(each.percent), each.committed, "")], each.amount)),
                ("number is-refused" if each.percent >= 100 else "number", f"{each.percent} %"),
            )
            for each in report.budgets
        ],
        "budget",
    )


def _budget_fill(percent: int) -> str:
    return "refused" if percent >= 90 else "warn" if percent >= 75 else "changed"


def _exceptions(report: AuditReport) -> str:
    styles = {"expired": "is-refused", "expires soon": "is-warn", "active": ""}
    rows = sorted(report.exceptions, key=lambda each: (each.state == "active" and not each.is_unused, each.expires))
    return _optional(
        "PolicyExceptions: those that somebody should look at come first",
        (
            ("", "Exception"),
            ("", "Lets off"),
            ("", "Owner"),
            ("", "Reason"),
            ("", "Last day"),
            ("", "State"),
            ("number", "Needed by"),
        ),
        [
            (
                ("", escape(f"{each.namespace}/{each.name}")),
                ("", escape(", ".join(each.guardrails))),
                ("", escape(each.owner)),
                ("", escape(each.reason)),
                ("", each.expires.isoformat()),
                (f"word {styles[each.state]}", escape(each.state)),
                (
                    "number is-warn" if each.is_unused else "number",
                    times(each.uses, "object") if each.uses else "nothing",
                ),
            )
            for each in rows
        ],
        "exception",
    )


def _not_judged(report: AuditReport) -> str:
    return _optional(
        "Objects that no verdict is about, and why",
        (("", "What"), ("", "Namespace"), ("", "Why"), ("number", "How many"), ("", "Such as")),
        [
            (
                ("is-refused" if each.is_failure else "", escape(each.what)),
                ("", escape(each.namespace or NOTHING)),
                ("", escape(each.reason)),
                ("number", f"{each.times:,}"),
                ("", escape(each.example)),
            )
            for each in report.not_judged
        ],
        "line",
    )


def _optional(caption: str, head: Sequence[HtmlCell], rows: Sequence[Sequence[HtmlCell]], word: str) -> str:
    return _table(caption, head, rows[:MOST_LINES]) + workloads.more(len(rows), MOST_LINES, word) if rows else ""
