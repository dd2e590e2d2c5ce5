"""The chart of decisions over time in whole numbers: where each piece of each column is, and what the axes say."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from webhook.dashboard.history import Chart
from webhook.reporting.journal import VERDICTS

WIDTH: Final = 960
HEIGHT: Final = 230
_LEFT: Final = 46
_TOP: Final = 10
_FLOOR: Final = 196
_LABELS: Final = 6
"""Times below the columns, about."""
_NICE: Final = (1, 2, 5)


class Piece(NamedTuple):
    """One verdict in one column."""

    verdict: str
    x: int
    y: int
    width: int
    height: int


class ChartLine(NamedTuple):
    """A line across, with its number."""

    y: int
    value: int


class Label(NamedTuple):
    """A time below a column."""

    x: int
    text: str


class Drawing(NamedTuple):
    """Everything that is drawn."""

    pieces: Sequence[Piece]
    lines: Sequence[ChartLine]
    labels: Sequence[Label]
    left: int = _LEFT
    floor: int = _FLOOR
    width: int = WIDTH
    height: int = HEIGHT


def draw(chart: Chart) -> Drawing:
    """Lay a chart out."""
    step = _step(chart.most)
    top = max(step, -(-chart.most // step) * step)
    room = (WIDTH - _LEFT) // max(1, len(chart.columns))
    every = max(1, len(chart.columns) // _LABELS)
    pieces: list[Piece] = []
    labels: list[Label] = []
    for index, column in enumerate(chart.columns):
        x = _LEFT + index * room
        if index % every == 0:
            labels.append(Label(x + room // 2, f"{column.begin:%H:%M}"))
        below = 0
        for verdict in reversed(VERDICTS):
            count = column.counts.get(verdict, 0)
            if not count:
                continue
            # Both edges are rounded, and not the height: pieces neither overlap nor leave a gap.
            lower, upper = _height(below, top), _height(below + count, top)
            pieces.append(Piece(verdict, x + 2, _FLOOR - upper, max(1, room - 4), max(1, upper - lower)))
            below += count
    lines = [ChartLine(_FLOOR - _height(value, top), value) for value in range(0, top + 1, step)]
    return Drawing(pieces, lines, labels)


def _height(value: int, top: int) -> int:
    return value * (_FLOOR - _TOP) // top


def _step(most: int) -> int:
    """Return the distance of lines: 1, 2 or 5 of a power of ten, at most four of them."""
    power = 1
    while True:
        for nice in _NICE:
            if nice * power * 4 >= most:
                return nice * power
        power *= 10
