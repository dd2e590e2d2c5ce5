"""Decisions over time as columns: a day at most, and no longer than there is something to see."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_SPANS: Final = ((3_600, 300), (6 * 3_600, 900), (24 * 3_600, 3_600))
"""Seconds that a chart covers, and of one of its columns; a column is whole steps of the journal, five minutes each."""


class Column(NamedTuple):
    """What was decided in one step of time."""

    begin: datetime
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Decisions of all kinds."""
        return sum(self.counts.values())


class Chart(NamedTuple):
    """Columns without a gap, oldest first; the last one is still growing."""

    columns: Sequence[Column]
    step: timedelta

    @property
    def most(self) -> int:
        """The total of the highest column."""
        return max((column.total for column in self.columns), default=0)


def chart(history: Sequence[tuple[datetime, Mapping[str, int]]], now: datetime) -> Chart:
    """Return the shortest chart that covers all of the history."""
    end = int(now.timestamp())
    oldest = min((int(begin.timestamp()) for begin, _ in history), default=end)
    for span, step in _SPANS:
        last = end // step
        # One more than fit: the last one is not over, and together they would not cover the span.
        first = last - span // step
        if oldest // step >= first:
            break
    counted: dict[int, Counter[str]] = {}
    for begin, counts in history:
        counted.setdefault(int(begin.timestamp()) // step, Counter()).update(counts)
    columns = [
        Column(datetime.fromtimestamp(number * step, UTC), counted.get(number, {})) for number in range(first, last + 1)
    ]
    return Chart(columns, timedelta(seconds=step))
