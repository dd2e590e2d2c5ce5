"""The metrics of the pipeline. Every label comes from a closed list: no pod, namespace, user or free text."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webhook.admission.decision import Cost, Decision

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
"""Seconds. A review takes some tens of microseconds; the API server's patience ends at seconds."""

_MAXIMUM_SERIES = 5_000
"""Decision series kept; policies that come and go must not fill the memory. Beyond it, ``policy`` is ``other``."""


class Metrics:
    """Counters of decisions, a histogram of durations, and gauges of state, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._decisions = Counter(
            "podgate_decisions",
            "What guardrails decided.",
            ("policy", "guardrail", "mode", "outcome"),
            registry=registry,
        )
        self._reviews = Counter(
            "podgate_reviews", "Answered admission reviews.", ("path", "verdict", "would"), registry=registry
        )
        self._errors = Counter(
            "podgate_review_errors",
            "Bodies that were no AdmissionReview, by HTTP status, and reviews that failed.",
            ("path", "status"),
            registry=registry,
        )
        self._duration = Histogram(
            "podgate_review_duration_seconds",
            "From the whole body to the encoded answer.",
            ("path",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._saved = Counter(
            "podgate_saved_monthly",
            "Monthly cost taken off pods by mutation, in units of the currency; kind is applied or held_back.",
            ("kind",),
            registry=registry,
        )
        self._refused = Counter(
            "podgate_refused_monthly",
            "Monthly cost of refused objects, in units of the currency; kind is refused or would_refuse.",
            ("kind",),
            registry=registry,
        )
        self._policy_loaded = Gauge(
            "podgate_policy_last_load_success", "1 where the newest policy files are in force.", registry=registry
        )
        self._policy_generation = Gauge(
            "podgate_policy_generation", "How many policy sets were put in force.", registry=registry
        )
        self._policy_problems = Gauge(
            "podgate_policy_problems", "Errors in the policy files as they are now.", registry=registry
        )
        self._policy_documents = Gauge(
            "podgate_policy_documents", "Documents in force.", ("kind",), registry=registry
        )
        self._recorder_faults = Counter(
            "podgate_recorder_faults", "Decisions whose record could not be written.", registry=registry
        )
        self._decision_children: dict[tuple[str, str, str, str], Counter] = {}
        self._review_children: dict[tuple[str, str, str], Counter] = {}
        self._duration_children: dict[str, Histogram] = {}

    def observe(self, path: str, decision: Decision, seconds: float, *, counts_money: bool) -> None:
        """Count one decision.

        The money counters are approximate, like every Prometheus value; exact figures are in the log. They count pods
        once each: what is saved in the mutating call, what is refused in the validating one.
        """
        for outcome in decision.outcomes:
            key = (outcome.policy, outcome.guardrail, outcome.mode, outcome.outcome)
            child = self._decision_children.get(key)
            if child is None:
                child = self._decision_child(key)
            child.inc()
        verdict = (
            path,
            "allowed" if decision.allowed else "refused",
            "allowed" if decision.would_allow else "refused",
        )
        review = self._review_children.get(verdict)
        if review is None:
            review = self._review_children.setdefault(verdict, self._reviews.labels(*verdict))
        review.inc()
        histogram = self._duration_children.get(path)
        if histogram is None:
            histogram = self._duration_children.setdefault(path, self._duration.labels(path))
        histogram.observe(seconds)
        if counts_money and decision.cost is not None:
            self._count_money(path, decision, decision.cost)

    def _count_money(self, path: str, decision: Decision, cost: Cost) -> None:
        factor = cost.hours / 1_000_000
        if path == "/mutate":
            if cost.before > cost.after:
                kind = "applied" if decision.operations else "held_back"
                self._saved.labels(kind).inc((cost.before - cost.after) * factor)
        elif not decision.allowed:
            self._refused.labels("refused").inc(cost.after * factor)
        elif not decision.would_allow:
            self._refused.labels("would_refuse").inc(cost.after * factor)

    def error(self, path: str, status: int) -> None:
        """Count a body that was answered with an error."""
        self._errors.labels(path, str(status)).inc()

    def recorder_fault(self) -> None:
        """Count a decision whose record was lost."""
        self._recorder_faults.inc()

    def policies(self, *, ok: bool, generation: int, problems: int, documents: Mapping[str, int]) -> None:
        """Tell the state of the policy files."""
        self._policy_loaded.set(1 if ok else 0)
        self._policy_generation.set(generation)
        self._policy_problems.set(problems)
        for kind, count in documents.items():
            self._policy_documents.labels(kind).set(count)

    def _decision_child(self, key: tuple[str, str, str, str]) -> Counter:
        if len(self._decision_children) >= _MAXIMUM_SERIES:
            key = ("other", *key[1:])
        return self._decision_children.setdefault(key, self._decisions.labels(*key))


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
