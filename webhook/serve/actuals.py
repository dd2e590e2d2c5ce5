"""What budgets have really cost so far, as OpenCost or Kubecost know it: shown beside what is committed.

Verdicts never depend on it. Prices of a bill arrive late and are corrected afterwards, and an admission that waits for
them, or trusts them, is wrong either way; so data that is old, odd or absent is said in a condition and nothing else.

The address is the whole one of the allocation API, such as ``http://opencost.opencost:9003/allocation`` or
``http://kubecost-cost-analyzer.kubecost:9090/model/allocation``. One call answers for all budgets with the same kind of
scope and the same period. Amounts are read as decimals, in the currency of the price list: the API names none.
"""

import asyncio
import contextlib
import datetime as dt
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import urllib3
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.kube.daemon_threads import background_task, run_in_daemon_thread
from webhook.policy.budget import ScopeModel
from webhook.policy.model.names import compile_globs
from webhook.pricing import money

INTERVAL: Final = 600.0
"""Seconds between two rounds; the API's own data is some minutes old."""
TIMEOUT: Final = 20.0
"""Seconds until an answer must be there; a query over a month takes its time."""
LARGEST: Final = 16 << 20
"""Bytes of an answer."""
MOST_QUERIES: Final = 20
"""In one round."""
STALE: Final = dt.timedelta(hours=1)

_UNALLOCATED: Final = "__unallocated__"
_LARGEST_COST: Final = Decimal(10) ** 15
_log = logging.getLogger("podgate.actuals")


class CostQuery(NamedTuple):
    """One budget of which the cost is asked."""

    name: str
    scope: ScopeModel
    begin: dt.datetime


class Actual(NamedTuple):
    """What a budget has cost since its period began."""

    micros: int
    begin: dt.datetime
    at: dt.datetime


class ActualsError(Exception):
    """An answer that was not given or cannot be used; one line."""


class ActualCosts:
    """Asks now and then, and remembers the last good answers."""

    def __init__(
        self,
        url: str,
        asks: Callable[[], Sequence[CostQuery]],
        *,
        leads: Callable[[], bool],
        now: Callable[[], dt.datetime],
        pool: urllib3.PoolManager | None = None,
    ) -> None:
        """Args:
        url: of the allocation API.
        asks: the budgets; called from other threads.
        leads: whether this replica tells how budgets stand.
        now: the time, with its zone.
        pool: connections; for tests.
        """
        self._url = url
        self._asks = asks
        self._leads = leads
        self._now = now
        self._pool = pool or urllib3.PoolManager()
        self._known: dict[str, Actual] = {}
        self._problem: str | None = None
        self.outcomes = {"answered": 0, "failed": 0}

    def of(self, name: str, begin: dt.datetime) -> Actual | None:
        """Return what a budget has cost in the period that began then, as far as that is known and not old."""
        found = self._known.get(name)
        if found is None or found.begin != begin or self._now() - found.at > STALE:
            return None
        return found

    def look(self) -> None:
        """Ask for all budgets; blocking. What fails keeps the last answers, until they are old."""
        if not self._leads():
            return
        asks = [each for each in self._asks() if _aggregate(each.scope) is not None]
        groups: dict[tuple[str, dt.datetime], list[CostQuery]] = {}
        for each in asks:
            groups.setdefault((_aggregate(each.scope) or "", each.begin), []).append(each)
        known = {each.name: self._known[each.name] for each in asks if each.name in self._known}
        problem: str | None = None
        for (aggregate, begin), members in sorted(groups.items())[:MOST_QUERIES]:
            at = self._now()
            try:
                costs = self._fetch(aggregate, begin, at)
                found = {each.name: Actual(_cost(each.scope, costs), begin, at) for each in members}
            except ActualsError as error:
                self.outcomes["failed"] += 1
                problem = str(error)
                continue
            self.outcomes["answered"] += 1
            known |= found
        if len(groups) > MOST_QUERIES:
            problem = f"{len(groups)} kinds of budgets are asked for, at most {MOST_QUERIES} of them are answered"
        if problem is not None and problem != self._problem:
            _log.warning("actual costs: %s", problem)
        self._known, self._problem = known, problem

    def notices(self) -> list[str]:
        """Return why costs may be missing; one line."""
        return [f"actual costs: {self._problem}"] if self._problem is not None else []

    @contextlib.asynccontextmanager
    async def watching(self, interval: float = INTERVAL, first: float = 5.0) -> AsyncIterator[None]:
        """Ask every `interval` seconds while the block runs, for the first time after `first`."""
        async with background_task(self._watch(interval, first)):
            yield

    async def _watch(self, interval: float, first: float) -> None:
        pause = first
        while True:
            await asyncio.sleep(pause)
            try:
                await run_in_daemon_thread(self.look)
            except Exception as error:  # noqa: BLE001  nothing depends on it, and the next look may succeed
                _log.error("actual costs: %s: %s; please report this", type(error).__name__, error)
            pause = interval

    def _fetch(self, aggregate: str, begin: dt.datetime, end: dt.datetime) -> Mapping[str, Decimal | None]:
        query = {"window": f"{_time(begin)},{_time(end)}", "aggregate": aggregate, "accumulate": "true"}
        url = f"{self._url}{'&' if urlsplit(self._url).query else '?'}{urlencode(query)}"
        host = urlsplit(self._url).hostname
        try:
            answer = self._pool.request(
                "GET", url, timeout=TIMEOUT, retries=False, redirect=False, preload_content=False
            )
            try:
                body = answer.read(LARGEST + 1)
            finally:
                answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ActualsError(f"{host}: no answer ({type(error).__name__})") from None
        if answer.status != 200:
            raise ActualsError(f"{host}: answered {answer.status}; check the address of the allocation API")
        if len(body) > LARGEST:
            raise ActualsError(f"{host}: answered more than {LARGEST >> 20} MiB")
        return _costs(host or "", body)


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _aggregate(scope: ScopeModel) -> str | None:
    """Return what costs are added up by; None where the API knows no such thing."""
    if scope.label is not None:
        return f"label:{scope.label.key}"
    if scope.namespaces is not None:
        return "namespace"
    return "cluster" if scope.cluster else None


def _costs(host: str, body: bytes) -> Mapping[str, Decimal | None]:
    """Return the cost of each row; None where the API could not say it (it sends null for what is no number)."""
    odd = ActualsError(f"{host}: the answer is not one of an allocation API; check the address")
    try:
        content: Any = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        raise odd from None
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, list):
        raise odd
    found: dict[str, Decimal | None] = {}
    for step in data:
        for name, row in (step or {}).items() if isinstance(step, dict | None) else ():
            cost: Any = row.get("totalCost") if isinstance(row, dict) else None
            before = found.get(name, Decimal(0))
            is_number = isinstance(cost, Decimal) and cost.is_finite() and abs(cost) < _LARGEST_COST
            found[name] = before + Decimal(cost) if before is not None and is_number else None
    return found


def _cost(scope: ScopeModel, costs: Mapping[str, Decimal | None]) -> int:
    mine = [cost for name, cost in costs.items() if _pays(scope, name)]
    if any(cost is None for cost in mine):
        raise ActualsError("the allocation API knows no number for a cost; its own prices or metrics may be missing")
    return money.to_micros(max(sum((cost for cost in mine if cost is not None), Decimal(0)), Decimal(0)))


def _pays(scope: ScopeModel, name: str) -> bool:
    if scope.label is not None:
        is_rest = bool(scope.label.unlabelled) and name in ("", _UNALLOCATED)
        return is_rest or name == scope.label.value
    if scope.namespaces is not None:
        return compile_globs(scope.namespaces)(name)
    return True


class ActualsCollector(Collector):
    """How often costs were asked for, as a metric."""

    def __init__(self, actuals: ActualCosts) -> None:
        self._actuals = actuals

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        family = CounterMetricFamily(
            "podgate_budget_actuals", "Questions for the actual costs of budgets, by outcome.", labels=("outcome",)
        )
        for outcome, count in self._actuals.outcomes.items():
            family.add_metric((outcome,), count)
        yield family
