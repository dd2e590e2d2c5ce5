"""Markdown for a comment on a pull request: what is refused first, the money beside it, what was not judged last.

The text is bounded, since the sites that show such comments refuse long ones; what is left out is counted.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from webhook.simulate.formats.result import (
    VERDICTS,
    Compared,
    Comparison,
    ResultItem,
    RunReport,
    comparison_verdict,
    counts,
    delta_words,
    difference,
    range_words,
)

_MOST_ROWS: Final = 100
_MOST_CHARACTERS: Final = 400
_MARKS: Final = {"refused": "❌", "would refuse": "⛔", "warned": "⚠️", "changed": "✏️", "would change": "✏️"}


def markdown(report: RunReport) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    return "\n".join(_lines(report)) + "\n"


def cell(text: str) -> str:
    """Return a text as it may stand in a table: no column ends, no tags, no links or mentions of people."""
    flat = " ".join(text.split())
    if len(flat) > _MOST_CHARACTERS:
        flat = flat[: _MOST_CHARACTERS - 3] + "..."
    flat = re.sub(r"([\\`*_\[\]|~])", r"\\\1", flat).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"@(?=\w)", "@\u200b", flat)


def table(head: Iterable[str], rows: Iterable[Iterable[str]], right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield the lines of a table whose cells are Markdown already; `right` are the columns of numbers."""
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield f"|{'|'.join('---:' if index in right else '---' for index in range(len(names)))}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _lines(report: RunReport) -> Iterator[str]:
    yield f"### {report.tool}"
    yield ""
    yield _summary(report)
    judged = [item for item in report.items if item.verdict != "not judged"]
    told = sorted(
        (item for item in judged if item.verdict != "passed" or item.told),
        key=lambda item: VERDICTS.index(item.verdict),
    )
    if told:
        yield ""
        head = ("", "object", "monthly", "what and why")
        yield from table(head, (_row(report, item) for item in told[:_MOST_ROWS]), frozenset({2}))
        if len(told) > _MOST_ROWS:
            yield ""
            yield f"... and {len(told) - _MOST_ROWS} more objects."
    if report.comparison is not None:
        yield from _comparison(report.comparison, report.currency)
    if report.unread:
        yield ""
        yield "**Could not be read, and was not judged:**"
        yield ""
        yield from (f"* {cell(each.place)}: {cell(each.what)}" for each in report.unread[:_MOST_ROWS])
    yield from _not_judged(report)


def _summary(report: RunReport) -> str:
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts(report.items).items()) or "nothing was judged"
    text = f"{len(report.items)} object{'' if len(report.items) == 1 else 's'}: {words}."
    if any(item.monthly is not None for item in report.items):
        text += f" Monthly cost: {cell(delta_words(report.total, report.currency))}."
    if report.unread:
        text += f" **{len(report.unread)} could not be read.**"
    return text


def _row(report: RunReport, item: ResultItem) -> Iterator[str]:
    yield f"{_MARKS.get(item.verdict, '')} {item.verdict}".strip()
    place = f"{item.file}:{item.line}" if item.line else item.file
    yield cell(item.label) + (f"<br><sub>{cell(place)}</sub>" if place else "")
    yield cell(delta_words(item.monthly, report.currency)) if item.monthly is not None else ""
    yield "<br>".join(cell(line) for line in (item.change_line, *(told.line for told in item.told)) if line)


def _comparison(comparison: Comparison, currency: str) -> Iterator[str]:
    yield ""
    yield "#### Monthly cost"
    yield ""
    mark = "❌ " if comparison.exceeded else "✅ " if comparison.allowed else ""
    verdict = comparison_verdict(comparison, currency)
    yield f"{mark}**{cell(verdict[:1].upper() + verdict[1:])}**"
    if comparison.changes:
        yield ""
        head = ("", "workload", "before", "after", "difference", "pods paid for")
        rows = (_change(item, currency) for item in comparison.changes[:_MOST_ROWS])
        yield from table(head, rows, frozenset({2, 3, 4}))
    left = len(comparison.changes) - _MOST_ROWS
    if left > 0:
        yield ""
        yield f"... and {left} more workloads whose cost differs."
    yield ""
    yield f"{comparison.unchanged} workload{'' if comparison.unchanged == 1 else 's'} cost what they did."


def _change(item: Compared, currency: str) -> Iterator[str]:
    yield item.change
    yield cell(item.label)
    for amounts in (item.before, item.after):
        yield cell(range_words(amounts, currency)) if any(amounts) else "-"
    yield cell(range_words(difference(item.before, item.after), currency, sign=True))
    yield cell(item.scale)


def _not_judged(report: RunReport) -> Iterator[str]:
    left = [item for item in report.items if item.verdict == "not judged"]
    if not left:
        return
    reasons: dict[str, list[ResultItem]] = {}
    for item in left:
        reasons.setdefault(item.reason or "no policy is about it", []).append(item)
    yield ""
    yield f"<details><summary>{len(left)} not judged</summary>"
    yield ""
    for reason, items in reasons.items():
        shown = ", ".join(cell(item.label) for item in items[:10])
        more = f" and {len(items) - 10} more" if len(items) > 10 else ""
        yield f"* {cell(reason)}: {shown}{more}"
    yield ""
    yield "</details>"
