"""Tells people how budgets stand: the status of each Budget, one Event and one notification a threshold and period.

One replica tells, the leader. What was told stands in ``status.notified`` of the Budget, so neither a restart nor
another leader tells it again; of a budget in the policy directory, which has no status, only the running process
remembers it. A new period, or another amount, begins anew. Where several thresholds are reached at once, the highest
is told and speaks for those below.

Nothing depends on any of this: verdicts come from the ledger. What cannot be told is tried again, later each time, and
said by a notice, a log line and a metric.
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.admission.budget_status import BudgetStatus, two_places
from webhook.kube import client as api
from webhook.kube import conditions, rest
from webhook.kube.conditions import Condition, Held
from webhook.kube.daemon_threads import background_task, run_in_daemon_thread
from webhook.ledger.store import LedgerError
from webhook.policy.loading.resources import Standing
from webhook.serve import notifier
from webhook.serve.actuals import Actual, ActualCosts
from webhook.serve.notifier import Notifier, NotifyError

LOOK_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 10.0
"""Between two writes of figures to one Budget; what is told of thresholds does not wait."""
LONGEST_WAIT: Final = 600.0
"""Between two tries to tell something that cannot be told."""
EVENT_NAMESPACE: Final = "default"
"""Events about objects without a namespace are kept here."""

_log = logging.getLogger("podgate.budgets")


class Notified(NamedTuple):
    """Of which thresholds people were told, for one period and amount."""

    period: str
    amount: str
    thresholds: tuple[int, ...] = ()


class _Wait(NamedTuple):
    """When something is tried again, and how often it has failed."""

    until: float
    failures: int
    text: str


class BudgetStatusController:
    """Looks, and where it leads tells. A background task, notices and counters."""

    def __init__(
        self,
        figures: Callable[[], Sequence[BudgetStatus]],
        objects: Callable[[], Mapping[str, Held]],
        server: rest.Rest | None,
        notify: Notifier | None,
        *,
        actuals: ActualCosts | None = None,
        leads: Callable[[], bool],
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
    ) -> None:
        """Args:
        figures: how budgets stand; called from other threads.
        objects: the Budgets that are custom resources and in force, by name; called from other threads.
        server: the API server; None where there is none to write to.
        notify: None where nobody is to be notified.
        actuals: what budgets have really cost; None where nobody is asked.
        leads: whether this replica tells.
        now: the time, with its zone.
        monotonic: seconds of a clock that only goes forward.
        """
        self._figures = figures
        self._objects = objects
        self._server = server
        self._notify = notify
        self._actuals = actuals
        self._leads = leads
        self._now = now
        self._monotonic = monotonic
        self._told: dict[str, Notified] = {}
        """What this process has told: all there is to know of budgets without an object, and of others until the watch
        brings what was written."""
        self._waits: dict[tuple[str, str], _Wait] = {}
        """By what is tried (``status``, ``event``, ``notification``) and budget."""
        self._sent: set[tuple[str, str, Notified]] = set()
        """What of a telling succeeded while another part of it failed."""
        self._written: dict[str, tuple[str, float]] = {}
        """The version that was written over, and when figures may be written again."""
        self._problem: str | None = None
        self.writes = {"written": 0, "conflict": 0, "failed": 0}
        self.notifications = {"sent": 0, "failed": 0}
        self.events = {"created": 0, "failed": 0}

    def look(self) -> None:
        """Compare all budgets with what was told, and tell the rest; blocking."""
        if not self._leads():
            self._forget()
            return
        try:
            found = self._figures()
        except LedgerError as error:
            if self._problem is None:
                _log.warning("budgets are not told of: %s", error)
            self._problem = str(error)
            return
        self._problem = None
        objects = self._objects()
        self._keep(found)
        for stands in found:
            held = objects.get(stands.name)
            told = self._tell(stands, held)
            if held is not None and self._server is not None:
                self._write(self._server, stands, held, told)

    def notices(self) -> list[str]:
        """Return what could not be told; one line each."""
        lines = [self._problem] if self._problem is not None else []
        return lines + sorted({f"budget {name}: {each.text}" for (_, name), each in list(self._waits.items())})

    @contextlib.asynccontextmanager
    async def watching(self, interval: float = LOOK_SECONDS) -> AsyncIterator[None]:
        """Look every `interval` seconds while the block runs."""
        async with background_task(self._watch(interval)):
            yield

    async def _watch(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            try:
                await run_in_daemon_thread(self.look)
            except Exception as error:  # noqa: BLE001  verdicts do not depend on it, and the next look may succeed
                _log.error("budgets: %s: %s; please report this", type(error).__name__, error)

    # --- thresholds -------------------------------------------------------------------------------------------------

    def _tell(self, stands: BudgetStatus, held: Held | None) -> Notified:
        """Tell of what is newly reached; return all that was told by now."""
        told = self._told_before(stands, held)
        due = [each for each in stands.reached if each not in told.thresholds]
        if not due:
            return told
        wanted = told._replace(thresholds=tuple(sorted({*told.thresholds, *stands.reached})))
        threshold = max(due)
        parts: list[tuple[str, Callable[[], None]]] = []
        if held is not None and self._server is not None:
            parts.append(("event", lambda: self._event(stands, held, threshold)))
        if self._notify is not None:
            parts.append(("notification", lambda: self._notification(stands, threshold)))
        done = [self._try(part, stands.name, wanted, work) for part, work in parts]
        if not all(done):
            return told
        self._sent = {each for each in self._sent if each[1] != stands.name}
        self._told[stands.name] = wanted
        _log.info("%s", notifier.text(stands, threshold))
        return wanted

    def _told_before(self, stands: BudgetStatus, held: Held | None) -> Notified:
        fresh = Notified(rest_time(stands.begin), stands.amount_text)
        mine = self._told.get(stands.name, fresh)
        theirs = read_notified(held) if held is not None else fresh
        # Each counts for the period and the amount that it was about; what only one of them knows was told too.
        known = {n for each in (mine, theirs) if each[:2] == fresh[:2] for n in each.thresholds}
        return fresh._replace(thresholds=tuple(sorted(known)))

    def _try(self, part: str, name: str, wanted: Notified, work: Callable[[], None]) -> bool:
        """Do one part of a telling, unless it is done or must wait; return whether it is done."""
        if (part, name, wanted) in self._sent:
            return True
        if not self._is_due(part, name):
            return False
        try:
            work()
        except (NotifyError, api.ApiError) as error:
            counts = self.notifications if part == "notification" else self.events
            counts["failed"] += 1
            self._wait(part, name, f"{part}: {error}", getattr(error, "retry_after", None))
            return False
        self._waits.pop((part, name), None)
        self._sent.add((part, name, wanted))
        return True

    def _notification(self, stands: BudgetStatus, threshold: int) -> None:
        assert self._notify is not None  # noqa: S101  the caller has looked
        self._notify.send(stands, threshold)
        self.notifications["sent"] += 1

    def _event(self, stands: BudgetStatus, held: Held, threshold: int) -> None:
        assert self._server is not None  # noqa: S101  the caller has looked
        path = f"/api/v1/namespaces/{EVENT_NAMESPACE}/events"
        # Who tells it again creates the same name, which exists.
        with contextlib.suppress(api.ConflictError):
            rest.create(self._server, path, event(stands, held, threshold, self._time()))
            self.events["created"] += 1

    # --- status -----------------------------------------------------------------------------------------------------

    def _write(self, server: rest.Rest, stands: BudgetStatus, held: Held, told: Notified) -> None:
        wanted = status_of(stands, told)
        about = conditions_of(stands)
        if self._actuals is not None:
            actual = self._actuals.of(stands.name, stands.begin)
            wanted["actual"] = two_places(actual.micros) if actual is not None else None
            about.append(_known(actual))
        is_new = any(not conditions.says(held, each) for each in about) or read_notified(held) != told
        is_same = not is_new and all(held.status.get(name) == value for name, value in wanted.items())
        if is_same or not self._is_due("status", stands.name):
            return
        version, again = self._written.get(stands.name, ("", 0.0))
        # The watch brings the news of a write; until then the object only seems to lack it.
        if held.version == version or (not is_new and self._monotonic() < again):
            return
        self._written[stands.name] = (held.version, self._monotonic() + PAUSE_SECONDS)
        content = {**wanted, "conditions": conditions.merged(held, about, self._time())}
        try:
            stored = conditions.write_status(server, held, content)
        except api.ConflictError:
            self.writes["conflict"] += 1
            return
        except api.ApiError as error:
            self.writes["failed"] += 1
            self._written.pop(stands.name)
            self._wait("status", stands.name, f"status: {error}", error.retry_after)
            return
        if (stored.get("status") or {}).get("state") != stands.state:
            self.writes["failed"] += 1
            self._written.pop(stands.name)
            self._wait("status", stands.name, "status: the API server does not keep it; apply manifests/crds", None)
            return
        self.writes["written"] += 1
        self._waits.pop(("status", stands.name), None)

    # --- waiting ----------------------------------------------------------------------------------------------------

    def _time(self) -> dt.datetime:
        theirs = self._server.server_time() if self._server is not None else None
        return theirs or self._now()

    def _is_due(self, part: str, name: str) -> bool:
        found = self._waits.get((part, name))
        return found is None or self._monotonic() >= found.until

    def _wait(self, part: str, name: str, text: str, retry_after: float | None) -> None:
        before = self._waits.get((part, name))
        failures = before.failures if before is not None else 0
        if before is None or before.text != text:
            _log.warning("budget %s: %s", name, text)
        pause = max(retry_after or 0.0, min(2.0 ** (failures + 1), LONGEST_WAIT))
        self._waits[part, name] = _Wait(self._monotonic() + pause, min(failures + 1, 10), text)

    def _keep(self, found: Sequence[BudgetStatus]) -> None:
        """Forget what is about no budget any more."""
        names = {each.name for each in found}
        self._told = {name: told for name, told in self._told.items() if name in names}
        self._written = {name: each for name, each in self._written.items() if name in names}
        self._waits = {key: each for key, each in self._waits.items() if key[1] in names}
        self._sent = {each for each in self._sent if each[1] in names}

    def _forget(self) -> None:
        """Start afresh: another replica tells now. What was told of budgets without an object stays known."""
        self._waits, self._written, self._sent, self._problem = {}, {}, set(), None


def objects_of(standings: Iterable[Standing] | None) -> dict[str, Held]:
    """Return the Budgets that are in force of all policies that are custom resources, by name."""
    return {
        each.held.path.rpartition("/")[2]: each.held
        for each in standings or ()
        if each.kind == "Budget" and each.is_in_force
    }


def rest_time(moment: dt.datetime) -> str:
    """Return a time as Kubernetes writes it."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_notified(held: Held) -> Notified:
    """Return what stands in the status of a Budget; nothing where somebody wrote nonsense there."""
    found = held.status.get("notified")
    if not isinstance(found, dict):
        return Notified("", "")
    thresholds = found.get("thresholds")
    numbers = thresholds if isinstance(thresholds, list) else []
    return Notified(
        str(found.get("period") or ""),
        str(found.get("amount") or ""),
        tuple(sorted({each for each in numbers if isinstance(each, int)})),
    )


def status_of(stands: BudgetStatus, told: Notified) -> dict[str, Any]:
    """Return the fields of a Budget's status, without conditions."""
    return {
        "committed": stands.committed_text,
        "percent": stands.percent,
        "state": stands.state,
        "notified": {"period": told.period, "amount": told.amount, "thresholds": list(told.thresholds)},
    }


def conditions_of(stands: BudgetStatus) -> list[Condition]:
    """Return what is to be said of a budget. Messages hold no figures that move, so that conditions stand still."""
    priced = Condition("Priced", holds=True, reason="Priced", message=f"Prices are in {stands.prices}.")
    if stands.state == "Unpriced":
        what = f"The amount is in {stands.currency}, but prices are in {stands.prices}; onFault decides."
        cure = f"Add a PriceList named default in {stands.currency}."
        priced = Condition("Priced", holds=False, reason="UnknownCurrency", message=f"{what} {cure}")
    elif not stands.has_list:
        what = f"There is no PriceList named default; built-in list prices in {stands.prices} are used."
        priced = Condition("Priced", holds=False, reason="PriceListMissing", message=f"{what} Add one.")
    reached = Condition("OverThreshold", holds=False, reason="WithinBudget", message="No threshold is reached.")
    if stands.reached:
        what = f"{stands.reached[-1]} % of the amount is reached."
        reached = Condition("OverThreshold", holds=True, reason="ThresholdReached", message=what)
    overlapping = Condition("Overlapping", holds=False, reason="Distinct", message="No budget has the same scope.")
    if stands.overlaps:
        names = ", ".join(stands.overlaps[:10]) + (", …" if len(stands.overlaps) > 10 else "")
        what = f"Some of its pods are charged to {names} as well; each counts in all of them."
        overlapping = Condition("Overlapping", holds=True, reason="ScopesOverlap", message=what)
    return [priced, reached, overlapping]


def _known(actual: Actual | None) -> Condition:
    if actual is None:
        what = "The allocation API has not said what this budget has cost, or long ago; verdicts do not depend on it."
        return Condition("ActualKnown", holds=False, reason="Unknown", message=what)
    return Condition("ActualKnown", holds=True, reason="Known", message="The allocation API has said it of late.")


def event(stands: BudgetStatus, held: Held, threshold: int, now: dt.datetime) -> dict[str, Any]:
    """Return the Event that a threshold is reached; its name is the same whoever makes it."""
    moment = rest_time(now)
    amount = stands.amount_text.replace(".", "-")
    name = f"{stands.name[:180]}.{stands.begin:%Y%m%d}.{amount}.{threshold}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": EVENT_NAMESPACE},
        "involvedObject": {
            "apiVersion": "podgate.dev/v1alpha1",
            "kind": "Budget",
            "name": stands.name,
            "uid": held.uid,
        },
        "reason": "BudgetExhausted" if stands.state == "Exhausted" else "BudgetThreshold",
        "message": notifier.text(stands, threshold),
        "type": "Warning",
        "source": {"component": "podgate"},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


class BudgetStatusCollector(Collector):
    """What was told of budgets, as metrics; asked when they are scraped."""

    def __init__(self, teller: BudgetStatusController) -> None:
        self._teller = teller

    def collect(self) -> Iterable[Metric]:
        """Return the current values."""
        yield _counter(
            CounterMetricFamily("podgate_budget_status_writes", "Writes of Budgets' status.", labels=("outcome",)),
            self._teller.writes,
        )
        yield _counter(
            CounterMetricFamily("podgate_budget_notifications", "Thresholds told of by HTTP.", labels=("outcome",)),
            self._teller.notifications,
        )
        yield _counter(
            CounterMetricFamily("podgate_budget_events", "Events about thresholds.", labels=("outcome",)),
            self._teller.events,
        )


def _counter(family: CounterMetricFamily, counts: Mapping[str, int]) -> Metric:
    for outcome, count in counts.items():
        family.add_metric((outcome,), count)
    return family
