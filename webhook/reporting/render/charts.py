"""Charts as inline SVG: bars, drawn with whole numbers and named for readers that see no pictures.

A chart never stands alone: the numbers it shows are text beside it.
"""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

SCALE: Final = 1000
"""Units of a whole bar."""
_ROW: Final = 46
_LABEL: Final = 190
_WIDTH: Final = 900
_END: Final = 130


class Segment(NamedTuple):
    """One coloured part of a bar."""

    fill: str
    """Name in the style sheet: ``saved``."""
    value: int
    word: str


class BeforeAfter(NamedTuple):
    """One row of a chart of before and after."""

    label: str
    before: int
    after: int
    before_text: str
    after_text: str


def part(value: int, whole: int) -> int:
    """Return how long a bar of `value` is where `whole` fills it; something that is not nothing is always seen."""
    if whole <= 0 or value <= 0:
        return 0
    return max(min(value * SCALE // whole, SCALE), SCALE // 200)


def bar(segments: Sequence[Segment], whole: int, mark: int | None = None) -> str:
    """Return one bar for a table cell. Its numbers are in the row, so it is hidden from readers of text.

    Args:
        segments: from the left.
        whole: the value that fills the bar.
        mark: a value to draw a line at.
    """
    parts: list[str] = [f'<rect class="fill-track" width="{SCALE}" height="10"/>']
    at = 0
    for segment in segments:
        length = min(part(segment.value, whole), SCALE - at)
        if length > 0:
            parts.append(f'<rect class="fill-{segment.fill}" x="{at}" width="{length}" height="10"/>')
        at += max(length, 0)
    if mark is not None:
        place = part(mark, whole)
        parts.append(f'<line class="mark" x1="{place}" x2="{place}" y1="0" y2="10"/>')
    inner = "".join(parts)
    return (
        f'<svg class="bar" viewBox="0 0 {SCALE} 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f"{inner}</svg>"
    )


def stack(segments: Sequence[Segment], whole: int, title: str) -> str:
    """Return one wide bar with a legend below it."""
    shown = [segment for segment in segments if segment.value > 0]
    rects, at = [f'<rect class="fill-track" width="{SCALE}" height="28"/>'], 0
    for segment in shown:
        length = min(part(segment.value, whole), SCALE - at)
        rects.append(f'<rect class="fill-{segment.fill}" x="{at}" width="{length}" height="28"/>')
        at += length
    words = ", ".join(segment.word for segment in shown)
    legend = "".join(
        f'<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="fill-{segment.fill}" width="10" height="10"/>'
        f"</svg>{escape(segment.word)}</li>"
        for segment in shown
    )
    return (
        f'<figure><svg viewBox="0 0 {SCALE} 28" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(f"{title}: {words}")}" style="width:100%;height:2rem;border-radius:.35rem">'
        f'{"".join(rects)}</svg><ul class="legend">{legend}</ul></figure>'
    )


def pairs(rows: Sequence[BeforeAfter], title: str, names: tuple[str, str], chart_id: str) -> str:
    """Return a chart of what each row costs before and after; `names` say what those are. `chart_id` occurs once in a
    document."""
    if not rows:
        return ""
    most = max(max(row.before, row.after) for row in rows)
    room = _WIDTH - _LABEL - _END
    lines: list[str] = []
    for index, row in enumerate(rows):
        top = index * _ROW
        label = row.label if len(row.label) <= 26 else row.label[:25] + "…"
        lines.append(f'<text x="0" y="{top + 26}">{escape(label)}</text>')
        for shift, value, fill, text in (
            (6, row.before, "rest", row.before_text),
            (23, row.after, "changed", row.after_text),
        ):
            length = part(value, most) * room // SCALE
            lines.append(
                f'<rect class="fill-{fill}" x="{_LABEL}" y="{top + shift}" width="{length}" height="13" rx="2"/>'
            )
            lines.append(f'<text x="{_LABEL + length + 8}" y="{top + shift + 11}" class="soft">{escape(text)}</text>')
    words = "; ".join(f"{row.label} {row.before_text} {names[0]}, {row.after_text} {names[1]}" for row in rows)
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {len(rows) * _ROW + 4}" role="img" '
        f'aria-labelledby="{chart_id}-title {chart_id}-text"><title id="{chart_id}-title">{escape(title)}</title>'
        f'<desc id="{chart_id}-text">{escape(words)}</desc>{"".join(lines)}</svg>'
        '<ul class="legend"><li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="fill-rest" width="10" '
        'height="10"/></svg>'
        f"{escape(names[0])}</li>"
        '<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="fill-changed" '
        'width="10" height="10"/></svg>'
        f"{escape(names[1])}</li></ul></figure>"
    )
