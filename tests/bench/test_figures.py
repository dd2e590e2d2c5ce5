"""The arithmetic of the benchmark, on numbers that are easy to check by hand."""

import pytest

from tests.bench import figures


def cell(target: str, number: int, cpu: float, speed: float = 100.0) -> figures.Cell:
    return figures.Cell(target, 16, number, speed, cpu, 1.0, 2.0, 0)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.5, 5.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 0.99, 4.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
    ],
)
def test_a_percentile_is_a_value_that_occurred(values: list[float], share: float, expected: float) -> None:
    assert figures.percentile(values, share) == expected


def test_ratios_are_taken_within_a_round_and_then_the_median() -> None:
    cells = [
        cell("baseline", 0, 100),
        cell("mutate", 0, 50),
        cell("baseline", 1, 1000),  # the machine was busy in this round, for both
        cell("mutate", 1, 600),
        cell("baseline", 2, 100),
        cell("mutate", 2, 90, speed=150),
    ]

    base, mutate = figures.summarize(cells)

    assert base.cpu_ratio is None
    assert (mutate.cpu_ratio, mutate.cpu_ratio_range) == (0.6, (0.5, 0.9))
    assert (mutate.cpu_microseconds, mutate.speed_ratio) == (90, 1.0)


def test_a_round_without_the_reference_gives_no_ratio() -> None:
    (line,) = figures.summarize([cell("mutate", 0, 50)])

    assert line.cpu_ratio is None
