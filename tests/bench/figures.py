"""What the measurements say: medians, and ratios within the same round.

A machine's speed changes from minute to minute; two servers measured right after one another see the same machine.
So what is compared is always the ratio inside a round, and what is told is the median of these ratios.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

BASELINE = "baseline"


class Cell(NamedTuple):
    """One server at one concurrency in one round."""

    target: str
    concurrency: int
    round: int
    requests_per_second: float
    cpu_microseconds: float
    """Of the server, per request."""
    p50_milliseconds: float
    p99_milliseconds: float
    failures: int


class Line(NamedTuple):
    """One server at one concurrency: medians over the rounds; ratios to the baseline, None for the baseline itself."""

    target: str
    concurrency: int
    requests_per_second: float
    cpu_microseconds: float
    p50_milliseconds: float
    p99_milliseconds: float
    failures: int
    cpu_ratio: float | None
    cpu_ratio_range: tuple[float, float] | None
    speed_ratio: float | None
    p50_ratio: float | None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(int(rank), 1) - 1]


def summarize(cells: Sequence[Cell], reference: str = BASELINE) -> list[Line]:
    """Return one line per target and concurrency, in the order of their first cells."""
    keys = list(dict.fromkeys((cell.concurrency, cell.target) for cell in cells))
    by_round = {(cell.target, cell.concurrency, cell.round): cell for cell in cells}
    return [_line(target, concurrency, cells, by_round, reference) for concurrency, target in keys]


def _line(
    target: str,
    concurrency: int,
    cells: Sequence[Cell],
    by_round: Mapping[tuple[str, int, int], Cell],
    reference: str,
) -> Line:
    mine = [cell for cell in cells if cell.target == target and cell.concurrency == concurrency]
    cpu, speed, p50 = [], [], []
    for cell in mine:
        base = by_round.get((reference, concurrency, cell.round))
        if base is None or target == reference:
            continue
        cpu.append(cell.cpu_microseconds / base.cpu_microseconds)
        speed.append(cell.requests_per_second / base.requests_per_second)
        p50.append(cell.p50_milliseconds / base.p50_milliseconds)
    return Line(
        target,
        concurrency,
        statistics.median(cell.requests_per_second for cell in mine),
        statistics.median(cell.cpu_microseconds for cell in mine),
        statistics.median(cell.p50_milliseconds for cell in mine),
        statistics.median(cell.p99_milliseconds for cell in mine),
        sum(cell.failures for cell in mine),
        statistics.median(cpu) if cpu else None,
        (min(cpu), max(cpu)) if cpu else None,
        statistics.median(speed) if speed else None,
        statistics.median(p50) if p50 else None,
    )
