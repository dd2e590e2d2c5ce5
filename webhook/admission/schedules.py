"""How often a CronJob runs: runs a month on average, and the shortest time between two of them.

Averages over a year of 365 days, so that the answer knows no clock and is the same today and tomorrow. Time zones move
runs and hardly change their number, so they are not looked at. cronsim reads the schedule; what Kubernetes accepts
beyond it (``?``, ``@hourly`` and its like, ``@every 90m``) is translated.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple

from cronsim import CronSim, CronSimError

from webhook.kube.caches import remembered

_NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = "@every "
_YEAR: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""A year of 365 days; which one hardly matters for an average."""
_DAY_SECONDS: Final = 86_400
_YEAR_SECONDS: Final = 365 * _DAY_SECONDS
_DURATION_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(h|m|s|d)")
_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LONGEST_TEXT: Final = 256
_ZONE: Final = re.compile(r"^(CRON_)?TZ=\S+\s+")
"""The zone that older API servers took as a part of the schedule; objects made then still have it."""


class CronFrequency(NamedTuple):
    """How often a schedule runs."""

    runs_per_month: Fraction
    shortest_gap: int
    """Seconds between two runs, where they follow each other soonest."""


def parse_duration(text: str) -> int | None:
    """Return a duration such as ``2h30m`` in whole seconds, rounded up; None where it is malformed or zero."""
    position = 0
    total = 0
    for match in _DURATION_PART.finditer(text):
        if match.start() != position:
            return None
        whole, _, fraction = match[1].partition(".")
        unit = _SECONDS[match[2]]
        total += int(whole) * unit
        if fraction:
            total += -(-int(fraction) * unit // 10 ** len(fraction))
        position = match.end()
    return total if position == len(text) and total > 0 else None


def rhythm(schedule: str) -> CronFrequency | None:
    """Return how often a schedule runs; None where it cannot be read, or never runs. One that is longer than anybody
    writes counts as every minute, so that length makes no CronJob cheaper."""
    text = _ZONE.sub("", schedule.strip(), count=1)
    if len(text) > _LONGEST_TEXT:
        return _rhythm("* * * * *") if len(text.split()) == 5 else None
    return _rhythm(text)


@remembered("schedules", 512)
def _rhythm(text: str) -> CronFrequency | None:
    if text.startswith(_EVERY):
        seconds = parse_duration(text.removeprefix(_EVERY).strip())
        return CronFrequency(Fraction(_YEAR_SECONDS, 12 * seconds), seconds) if seconds is not None else None
    fields = _NAMED.get(text.lower(), text).replace("?", "*").split()
    if len(fields) != 5:
        return None
    try:
        times = _times(" ".join(fields))
        days = _days(f"0 0 {' '.join(fields[2:])}")
    except CronSimError:
        return None
    if not days or not times:
        return None
    return CronFrequency(Fraction(len(times) * len(days), 12), _shortest_gap(times, days))


def _times(schedule: str) -> list[int]:
    """Return the seconds of the day at which it runs."""
    parsed = CronSim(schedule, _YEAR)
    return sorted(3_600 * hour + 60 * minute for hour in parsed.hours for minute in parsed.minutes)


def _days(schedule: str) -> list[int]:
    """Return the days of the year on which it runs, counted from 0."""
    found: list[int] = []
    for moment in CronSim(schedule, _YEAR - timedelta(minutes=1)):
        day = (moment - _YEAR).days
        if day >= 365:
            break
        found.append(day)
    return found


def _shortest_gap(times: list[int], days: list[int]) -> int:
    within = _least(later - earlier for earlier, later in pairwise(times))
    between = _least(later - earlier for earlier, later in pairwise([*days, days[0] + 365]))
    overnight = between * _DAY_SECONDS + times[0] - times[-1]
    return min(within, overnight)


def _least(gaps: Iterable[int]) -> int:
    return min(gaps, default=_YEAR_SECONDS)
