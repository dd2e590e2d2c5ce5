"""What there is to know about the watches of a live cluster, as metrics.

Labels come from closed lists: the watched resources, the phases of a watch, the kinds of failure, and the schedulers
that policies name.
"""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.cluster.live import LiveView
from webhook.cluster.watches import Watches
from webhook.kube.reflector import PHASES


class WatchCollector(Collector):
    """Asked by a scrape; nothing is counted twice."""

    def __init__(self, watches: Watches, view: LiveView) -> None:
        self._watches = watches
        self._view = view

    def collect(self) -> Iterable[Metric]:
        """Return all families."""
        state = GaugeMetricFamily(
            "podgate_watch_state", "1 for what the watch of a resource does now.", labels=("resource", "state")
        )
        age = GaugeMetricFamily(
            "podgate_watch_age_seconds", "Seconds since the API server was last heard of.", labels=("resource",)
        )
        lists = CounterMetricFamily(
            "podgate_watch_lists", "Complete lists; all but the first are relists.", labels=("resource",)
        )
        errors = CounterMetricFamily(
            "podgate_watch_errors", "Failures of lists and watches, by kind.", labels=("resource", "kind")
        )
        for each in self._watches.report():
            for phase in PHASES:
                state.add_metric((each.name, phase), int(each.state.phase == phase))
            if each.age is not None:
                age.add_metric((each.name,), each.age)
            lists.add_metric((each.name,), each.state.lists)
            for kind, count in sorted(each.state.errors.items()):
                errors.add_metric((each.name, kind), count)
        yield from (state, age, lists, errors)
        yield from self._schedulers()

    def _schedulers(self) -> Iterable[Metric]:
        alive = GaugeMetricFamily(
            "podgate_scheduler_alive", "1 where the scheduler holds a fresh Lease.", labels=("scheduler",)
        )
        known = GaugeMetricFamily(
            "podgate_scheduler_known", "1 where the scheduler has a Lease, fresh or not.", labels=("scheduler",)
        )
        held_back = CounterMetricFamily(
            "podgate_scheduler_not_alive",
            "How often a pod stayed with the default scheduler because this one holds no fresh Lease.",
            labels=("scheduler",),
        )
        for name, is_alive in sorted(self._view.schedulers().items()):
            alive.add_metric((name,), int(is_alive))
            known.add_metric((name,), int(self._view.knows_scheduler(name)))
            held_back.add_metric((name,), self._view.not_alive[name])
        yield from (alive, known, held_back)
