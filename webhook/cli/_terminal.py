"""How results look: colour and progress where somebody watches, plain text where a file or a pipe does."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from webhook.admission.decision import Cost
from webhook.pricing import money

T = TypeVar("T")

_PLAIN_WIDTH = 200
"""Columns where there is no terminal: wide enough that a log keeps one object on one line."""

STYLES = {"refused": "bold red", "would refuse": "red", "warned": "yellow", "changed": "green", "would change": "cyan"}
"""Colours of verdicts."""


def console(*, error: bool = False) -> Console:
    """Return a console that honours terminals, ``NO_COLOR`` and pipes."""
    made = Console(stderr=error, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made = Console(stderr=error, highlight=False, width=_PLAIN_WIDTH, no_color=True)
    return made


def say(out: Console, text: str, *, style: str = "", rest: str = "") -> None:
    """Print one line: `text` in a style, and the rest after it. Plain output is written as it is, and never folded."""
    if out.is_terminal:
        out.print(text, style=style or None, markup=False, end="" if rest else "\n", soft_wrap=True)
        if rest:
            out.print(rest, markup=False, soft_wrap=True)
    else:
        # A console takes a millisecond a line, and a list of ten thousand pods has fifty thousand lines.
        out.file.write(f"{text}{rest}\n")


def progress(items: Sequence[T], what: str) -> Iterator[T]:
    """Yield the items, with a bar on standard error where that is a terminal and the work is long."""
    shown = console(error=True)
    if not shown.is_terminal or len(items) < 20:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True) as bar:
        yield from bar.track(items, description=what)


def monthly(micros: int, hours: int, currency: str) -> str:
    """Return a rate as an amount per month."""
    return money.format_money(money.over_hours(micros, hours), currency)


def cost_words(cost: Cost | None, currency: str) -> str:
    """Return the monthly cost, and what it was before where that differs."""
    if cost is None:
        return ""
    after = monthly(cost.after, cost.hours, currency)
    return after if cost.before == cost.after else f"{monthly(cost.before, cost.hours, currency)} -> {after}"


def total(amounts: Iterable[Decimal], currency: str) -> str:
    """Return a sum of money as people read it."""
    return money.format_money(sum(amounts, Decimal(0)), currency)
