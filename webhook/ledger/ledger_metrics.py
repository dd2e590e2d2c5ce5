"""What a shared ledger has done, counted until it is asked for."""

from bisect import bisect_left
from collections import Counter
from typing import Final, Literal

BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds of one write."""

WriteOutcome = Literal["conflict", "failed", "expired"]


class LedgerMetrics:
    """Counts. Several threads count; one that is lost at times does no harm to a rate."""

    def __init__(self) -> None:
        self.writes = {"written": 0, "conflict": 0, "failed": 0, "expired": 0}
        """Writes by outcome, and bookings that found no turn to write in time."""
        self.restored: Counter[str] = Counter()
        """Ledgers that were made anew, by why."""
        self.durations = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def written(self, seconds: float) -> None:
        """Count a write that was done, and how long it took."""
        self.writes["written"] += 1
        self.durations[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def count(self, outcome: WriteOutcome) -> None:
        """Count a write that was not."""
        self.writes[outcome] += 1
