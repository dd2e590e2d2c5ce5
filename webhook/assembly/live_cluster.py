"""The live cluster and the policies, followed together: what `serve` judges by changes as they do."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from webhook.admission.bookings import bookings, terms
from webhook.admission.cache_wait import CacheWait
from webhook.admission.engine import Engine
from webhook.admission.loading import report_policy_load
from webhook.admission.metrics import Metrics
from webhook.admission.ruleset import Ruleset
from webhook.cluster.live import LiveView
from webhook.cluster.schedulers import Schedulers
from webhook.cluster.watches import Watches
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.shared import SharedLedger
from webhook.policy.loading.reload import PolicyState
from webhook.policy.loading.resources import Combined, ResourcePolicies, Standing
from webhook.policy.model.policy_set import PolicySet, schedulers_of
from webhook.policy.model.problems import PolicyProblem
from webhook.settings import Settings

_log = logging.getLogger("podgate")


class PolicySync:
    """What moves while a live cluster is served: watches, policies that are custom resources, and the recount of what
    runs already."""

    LOOK: Final = 0.2
    """Seconds between two looks at what has changed; an edit of a policy holds after that."""
    RECOUNT_SHARE: Final = 20
    """A recount of all pods takes at most one twentieth of the time."""
    RECOUNT: Final = 2.0
    """Seconds between two recounts at least."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        metrics: Metrics,
        ledger: MemoryLedger | SharedLedger,
        view: LiveView,
        watches: Watches,
        resources: ResourcePolicies,
        cache_wait: CacheWait,
        now: Callable[[], datetime],
    ) -> None:
        self.view = view
        self.watches = watches
        self.schedulers = Schedulers(view, watches)
        self.cache_wait = cache_wait
        self._engine = engine
        self._now = now
        self._metrics = metrics
        self.ledger = ledger
        self._resources = resources
        self.excluded = (settings.namespace, *settings.exclude_namespaces)
        self._cap = settings.mode
        self._needs_directory = settings.policies is not None
        self._directory: PolicySet | None = None
        self._generation = 0
        self._seen: tuple[object, ...] = ()
        self._recounted: tuple[object, ...] = ()
        self._next_recount = 0.0
        self._combined: Combined | None = None
        self.problems: tuple[PolicyProblem, ...] = ()
        """What is wrong with custom resources as they are now."""

    def on_loaded(self, state: PolicyState) -> None:
        """Take a policy directory over; it holds from the next look on."""
        self._directory = state.set

    def standings(self) -> list[Standing] | None:
        """Return what each policy that is a custom resource should say of itself; None while that is not known.

        May be called from any thread.
        """
        combined = self._combined
        if combined is None:
            return None
        named = {policy.name: self.schedulers.remark(schedulers_of([policy])) for policy in combined.set.policies}
        return self._resources.standings(combined, named)

    @property
    def policies(self) -> PolicySet | None:
        """The policies in force; None before any were, and while they change."""
        return self._combined.set if self._combined is not None else None

    async def run(self) -> None:
        """Follow changes until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  what was in force stays so, and the next change is tried anew
                _log.error("a change could not be taken over: %s: %s; please report this", type(error).__name__, error)
            await asyncio.sleep(self.LOOK)

    async def look(self) -> None:
        """Put in force what has changed, once all of it is there."""
        if self.watches.problem() is not None or (self._needs_directory and self._directory is None):
            return
        self.schedulers.look()
        changes = (id(self._directory), self._resources.changes)
        if changes != self._seen:
            # Before the attempt: what fails is tried again when something changes, not five times a second.
            self._seen = changes
            await self._put_in_force()
        await self._recount()

    async def _put_in_force(self) -> None:
        combined = self._resources.combine(self._directory)
        for problem in combined.problems:
            if problem not in self.problems:
                _log.error("policy refused: %s", problem)
        self._combined, self.problems = None, combined.problems
        rules = Ruleset(combined.set, self.excluded, self._cap)
        self.watches.follow_schedulers(combined.set.schedulers)
        # A budget must know what runs before the first pod is judged by it: to an empty ledger everything fits.
        try:
            await self._count(rules)
        except Exception as error:  # noqa: BLE001  the other guardrails do not wait for money
            _log.error("the budgets start without what runs: %s: %s; please report this", type(error).__name__, error)
        self._engine.put_in_force(rules)
        if isinstance(self.ledger, SharedLedger):
            malformed = {name for kind, _, name in combined.refused if kind == "Budget"}
            self.ledger.follow(terms(rules), kept=malformed)
        self._combined = combined
        self._generation += 1
        report_policy_load(self._metrics, combined.set, self._generation, len(combined.problems))

    async def _recount(self) -> None:
        rules = self._engine.rules
        if rules is None:
            return
        if self._recounted == self._countable(rules):
            self.ledger.unchanged()
        elif time.monotonic() >= self._next_recount:
            await self._count(rules)

    async def _count(self, rules: Ruleset) -> None:
        started = time.monotonic()
        self._recounted = self._countable(rules)
        # Many pods take seconds; reviews go on meanwhile.
        await asyncio.to_thread(lambda: self.ledger.recount(bookings(self.view, rules, self._now)))
        took = time.monotonic() - started
        self._next_recount = time.monotonic() + max(self.RECOUNT, took * self.RECOUNT_SHARE)

    def _countable(self, rules: Ruleset) -> tuple[object, ...]:
        """Return what a count depends on, to tell whether it is old."""
        view = self.view
        return rules, view.pods_by_uid.changes, view.namespaces.changes, *view.changes_of_devices()
