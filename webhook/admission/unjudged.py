"""Counts the answers that come from no judgement, by reason, and tells of recent ones.

Each of them is a hole that somebody may be looking for, or a sign that more is asked than this process can do.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from webhook.admission.unread import REASONS, UnjudgedReason

RECENT_SECONDS: Final = 600.0

_CURES: Final[dict[UnjudgedReason, str]] = {
    "not_a_review": "something other than an API server calls, or the webhook object asks for another version",
    "no_policies": "no valid policies are in force; mend the policies",
    "undecodable": "somebody sends what no API server does; see the decision log for who",
    "too_large": "somebody sends objects that are large on purpose; see the decision log for who",
    "too_many_containers": "somebody sends objects that are large on purpose; see the decision log for who",
    "too_slow": "bodies do not arrive in time; look at the network, and at who sends them",
    "overloaded": "more is asked than there is CPU or memory for; give podgate more, or more replicas",
    "fault": "an unexpected error; see the log of podgate, and report it",
}


class UnjudgedCounters:
    """Counters by path and reason, and when each reason was last seen."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.counts: Counter[tuple[str, UnjudgedReason]] = Counter()
        self._last: dict[UnjudgedReason, float] = {}

    def count(self, path: str, reason: UnjudgedReason) -> None:
        """Count one answer."""
        self.counts[path, reason] += 1
        self._last[reason] = self._monotonic()

    def notices(self) -> list[str]:
        """Return one line per reason of the last ten minutes."""
        now = self._monotonic()
        return [
            f"{reason}: {sum(self.counts[key] for key in self.counts if key[1] == reason)} answers so far, the last "
            f"{now - self._last[reason]:.0f} seconds ago; {_CURES[reason]}"
            for reason in REASONS
            if now - self._last.get(reason, float("-inf")) <= RECENT_SECONDS
        ]


class UnjudgedCollector(Collector):
    """``podgate_unjudged_total{path, reason}``."""

    def __init__(self, counted: UnjudgedCounters, paths: Iterable[str]) -> None:
        self._counted = counted
        self._paths = sorted(paths)

    def collect(self) -> list[CounterMetricFamily]:
        """Return the counter, with a sample for each path and reason from the start, so that a first one is a rise."""
        family = CounterMetricFamily(
            "podgate_unjudged", "Answers that come from no judgement, by reason.", labels=("path", "reason")
        )
        for path in self._paths:
            for reason in REASONS:
                family.add_metric((path, reason), self._counted.counts[path, reason])
        return [family]
