"""The metrics of the pipeline. Every label comes from a closed list: no pod, namespace, user or free text.

Counting happens on every review, telling only when somebody scrapes. So counts are kept in plain dictionaries, a
tenth of the cost of a counter object a label set, and are turned into metric families when they are asked for.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.admission.decision import Cost, Decision
from webhook.admission.ruleset import Ruleset

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
"""Seconds. A review takes some tens of microseconds; the API server waits for seconds."""

_MAXIMUM_SERIES = 5_000
"""Decision series kept; policies that come and go must not fill the memory. Beyond it, ``policy`` is ``other``."""

_DecisionKey = tuple[str, str, str, str]


class _Durations:
    """One histogram: counts a bucket, and the sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.total = 0.0


class Metrics(Collector):
    """Counts decisions, durations, money and errors, and tells the state of the policy files."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._decisions: dict[_DecisionKey, int] = {}
        self._reviews: dict[tuple[str, bool, bool], int] = {}
        self._errors: dict[tuple[str, str], int] = {}
        self._durations: dict[str, _Durations] = {}
        self._saved = {"applied": 0, "held_back": 0}
        self._refused = {"refused": 0, "would_refuse": 0}
        self._exception_uses: dict[tuple[str, str], int] = {}
        self._unpriced: dict[str, int] = {}
        self._recorder_faults = 0
        self._policy_ok = False
        self._policy_generation = 0
        self._policy_problems = 0
        self._policy_documents: dict[str, int] = {}
        registry.register(self)

    def observe(self, path: str, decision: Decision, seconds: float, *, counts_money: bool) -> None:
        """Count one decision.

        Money counts pods once each: what is saved in the mutating call, what is refused in the validating one.
        """
        decisions = self._decisions
        for key in decision.series:
            try:
                decisions[key] += 1
            except KeyError:
                self._first(key)
        verdict = (path, decision.allowed, decision.would_allow)
        self._reviews[verdict] = self._reviews.get(verdict, 0) + 1
        if decision.exceptions and path != "/mutate":
            # The validating call judges the same object again; it is one use.
            for use in decision.exceptions:
                used = (use.guardrail, "part" if use.is_part else "whole")
                self._exception_uses[used] = self._exception_uses.get(used, 0) + 1
        for guardrail in decision.without_price:
            self._unpriced[guardrail] = self._unpriced.get(guardrail, 0) + 1
        durations = self._durations.get(path)
        if durations is None:
            durations = self._durations[path] = _Durations()
        durations.counts[bisect_left(_BUCKETS, seconds)] += 1
        durations.total += seconds
        if counts_money and decision.cost is not None:
            self._count_money(path, decision, decision.cost)

    def error(self, path: str, status: int) -> None:
        """Count a body that was answered with an error."""
        key = (path, str(status))
        self._errors[key] = self._errors.get(key, 0) + 1

    def recorder_fault(self, count: int = 1) -> None:
        """Count decisions whose record was lost."""
        self._recorder_faults += count

    def policies(self, *, ok: bool, generation: int, problems: int, documents: Mapping[str, int]) -> None:
        """Tell the state of the policy files; without `documents` those in force are still the ones told before."""
        self._policy_ok = ok
        self._policy_generation = generation
        self._policy_problems = problems
        if documents:
            self._policy_documents = dict(documents)

    def _first(self, key: _DecisionKey) -> None:
        if len(self._decisions) >= _MAXIMUM_SERIES:
            key = ("other", *key[1:])
        self._decisions[key] = self._decisions.get(key, 0) + 1

    def _count_money(self, path: str, decision: Decision, cost: Cost) -> None:
        if path == "/mutate":
            if cost.before > cost.after:
                self._saved["applied" if decision.operations else "held_back"] += (
                    cost.before - cost.after
                ) * cost.hours
        elif not decision.allowed:
            self._refused["refused"] += cost.after * cost.hours
        elif not decision.would_allow:
            self._refused["would_refuse"] += cost.after * cost.hours

    def collect(self) -> Iterable[Metric]:
        """Return all families; called by a scrape."""
        yield from self._decision_families()
        yield from self._money_families()
        yield from self._policy_families()

    def _decision_families(self) -> Iterable[Metric]:
        decisions = CounterMetricFamily(
            "podgate_decisions", "What guardrails decided.", labels=("policy", "guardrail", "mode", "outcome")
        )
        for decision, count in list(self._decisions.items()):
            decisions.add_metric(decision, count)
        yield decisions
        reviews = CounterMetricFamily(
            "podgate_reviews", "Answered admission reviews that were judged.", labels=("path", "verdict", "would")
        )
        for (path, allowed, would_allow), count in list(self._reviews.items()):
            reviews.add_metric((path, _word(allowed), _word(would_allow)), count)
        yield reviews
        errors = CounterMetricFamily(
            "podgate_review_errors", "Bodies that were no AdmissionReview, by HTTP status.", labels=("path", "status")
        )
        for error, count in list(self._errors.items()):
            errors.add_metric(error, count)
        yield errors
        histogram = HistogramMetricFamily(
            "podgate_review_duration_seconds", "From the whole body to the encoded answer.", labels=("path",)
        )
        for path, durations in list(self._durations.items()):
            histogram.add_metric((path,), _cumulative(durations.counts), durations.total)
        yield histogram
        uses = CounterMetricFamily(
            "podgate_exception_uses",
            "PolicyExceptions that loosened a guardrail for an object.",
            labels=("guardrail", "scope"),
        )
        for used, count in list(self._exception_uses.items()):
            uses.add_metric(used, count)
        yield uses
        unpriced = CounterMetricFamily(
            "podgate_unpriced",
            "Objects that ask for something without a price, by the guardrail that said so or refused them.",
            labels=("guardrail",),
        )
        for guardrail, count in list(self._unpriced.items()):
            unpriced.add_metric((guardrail,), count)
        yield unpriced
        faults = CounterMetricFamily("podgate_recorder_faults", "Decisions whose record could not be written.")
        faults.add_metric((), self._recorder_faults)
        yield faults

    def _money_families(self) -> Iterable[Metric]:
        saved = CounterMetricFamily(
            "podgate_saved_monthly",
            "Monthly cost that mutation takes off new pods, in units of the currency: applied, or held back by a mode.",
            labels=("kind",),
        )
        refused = CounterMetricFamily(
            "podgate_refused_monthly",
            "Monthly cost of new pods that were refused, or would be, in units of the currency.",
            labels=("kind",),
        )
        for family, amounts in ((saved, self._saved), (refused, self._refused)):
            for kind, micros in amounts.items():
                family.add_metric((kind,), micros / 1_000_000)
            yield family

    def _policy_families(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "podgate_policy_last_load_success", "1 where the newest policy files are in force.", int(self._policy_ok)
        )
        yield GaugeMetricFamily(
            "podgate_policy_generation", "How many policy sets were put in force.", self._policy_generation
        )
        yield GaugeMetricFamily(
            "podgate_policy_problems", "Errors in the policy files as they are now.", self._policy_problems
        )
        documents = GaugeMetricFamily("podgate_policy_documents", "Policy documents in force.", labels=("kind",))
        for kind, count in sorted(self._policy_documents.items()):
            documents.add_metric((kind,), count)
        yield documents


class SizeCollector(Collector):
    """Sizes of caches, asked when they are scraped: ``podgate_cache_entries{cache}``."""

    def __init__(self, sizes: Callable[[], Mapping[str, int]]) -> None:
        self._sizes = sizes

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the gauge with one sample a cache."""
        family = GaugeMetricFamily("podgate_cache_entries", "Entries held in memory.", labels=("cache",))
        for name, size in sorted(self._sizes().items()):
            family.add_metric((name,), size)
        return [family]


class OutcomeCollector(Collector):
    """A counter by outcome that somebody else counts."""

    def __init__(
        self, family: Callable[[], CounterMetricFamily], outcomes: Sequence[str], counts: Mapping[str, int]
    ) -> None:
        self._family = family
        self._outcomes = outcomes
        self._counts = counts

    def collect(self) -> list[CounterMetricFamily]:
        """Return the counter with one sample an outcome."""
        family = self._family()
        for outcome in self._outcomes:
            family.add_metric((outcome,), self._counts.get(outcome, 0))
        return [family]


def review_cache_collector(lookups: Mapping[str, int]) -> OutcomeCollector:
    """Return the counter of `webhook.admission.review_cache`."""
    text = "New pods, by whether one that is alike was judged before."
    return OutcomeCollector(
        lambda: CounterMetricFamily("podgate_review_cache", text, labels=("outcome",)), ("hit", "miss"), lookups
    )


def wait_collector(outcomes: Mapping[str, int]) -> OutcomeCollector:
    """Return the counter of `webhook.admission.cache_wait`."""
    text = "Reviews that waited for the caches, by what came of it."
    return OutcomeCollector(
        lambda: CounterMetricFamily("podgate_cache_waits", text, labels=("outcome",)),
        ("seen", "timeout", "crowded"),
        outcomes,
    )


class ExceptionCollector(Collector):
    """``podgate_exceptions{state}``, asked when it is scraped: time passes without anybody loading policies."""

    def __init__(self, rules: Callable[[], Ruleset | None], now: Callable[[], datetime]) -> None:
        self._rules = rules
        self._now = now

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the gauge with one sample a state."""
        family = GaugeMetricFamily("podgate_exceptions", "PolicyExceptions in force.", labels=("state",))
        rules = self._rules()
        for state, count in (rules.exception_states(self._now()) if rules is not None else {}).items():
            family.add_metric((state,), count)
        return [family]


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "refused"


def _cumulative(counts: Iterable[int]) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, _BUCKETS), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
