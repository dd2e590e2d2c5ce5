"""The chart of decisions: the shortest that shows everything, and drawn without a gap or an overlap."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from webhook.dashboard import chart_layout, history
from webhook.reporting.journal import VERDICTS

NOON = factories.NOON


@pytest.mark.parametrize(
    ("ages", "minutes", "columns"),
    [([], 5, 13), ([0], 5, 13), ([60], 5, 13), ([65], 15, 25), ([300, 3], 15, 25), ([375], 60, 25), ([1435], 60, 25)],
)
def test_the_shortest_span_that_covers_the_history_is_shown(ages: list[int], minutes: int, columns: int) -> None:
    told = [(NOON - timedelta(minutes=age), {"refused": 2, "passed": 1}) for age in ages]
    chart = history.chart(told, NOON)
    assert (chart.step, len(chart.columns)) == (timedelta(minutes=minutes), columns)
    assert sum(column.total for column in chart.columns) == 3 * len(ages)
    assert chart.columns[-1].begin <= NOON < chart.columns[-1].begin + chart.step


counts = st.dictionaries(st.sampled_from(VERDICTS), st.integers(1, 10**6), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_400), counts), max_size=30))
def test_pieces_stand_on_each_other_within_the_drawing(told: list[tuple[int, dict[str, int]]]) -> None:
    chart = history.chart([(NOON - timedelta(minutes=age), counted) for age, counted in told], NOON)
    made = chart_layout.draw(chart)
    by_column: dict[int, list[chart_layout.Piece]] = {}
    for piece in made.pieces:
        assert made.left <= piece.x
        assert piece.x + piece.width <= made.width
        assert piece.y >= 0
        by_column.setdefault(piece.x, []).append(piece)
    for pieces in by_column.values():
        floor = made.floor
        for piece in pieces:
            # A piece that would be thinner than one unit is drawn as one, and may cover the edge of the one above.
            assert floor - 1 <= piece.y + piece.height <= floor + 1
            floor = piece.y
    assert [line.value for line in made.lines] == sorted({line.value for line in made.lines})
    assert 2 <= len(made.lines) <= 6
    assert made.lines[-1].value >= chart.most


def test_every_label_is_the_begin_of_a_column() -> None:
    made = chart_layout.draw(history.chart([(NOON, {"passed": 3})], NOON))
    assert [label.text for label in made.labels] == ["11:00", "11:10", "11:20", "11:30", "11:40", "11:50", "12:00"]
