"""How the schedulers that policies name are doing, told to who can do something about it.

A scheduler whose Lease has gone stale is news for everybody whose pods it would have taken: they get a warning. One of
which there is no Lease at all is an installation that is not complete. No author of a pod can mend that, so it is told
to the platform team alone: in the log once, as a notice, as a metric, and in the condition of the policy.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Literal

from webhook.cluster.live import LiveView
from webhook.cluster.watches import Watches

SchedulerState = Literal["alive", "stale", "absent", "unknown"]
"""`unknown` until its Leases were listed for the first time."""

_log = logging.getLogger("podgate")


class Schedulers:
    """The schedulers of the policies in force."""

    def __init__(self, view: LiveView, watches: Watches) -> None:
        self._view = view
        self._watches = watches
        self._told: dict[str, SchedulerState] = {}

    def states(self) -> Mapping[str, SchedulerState]:
        """Return how each is doing, by name."""
        return {name: self._state(name, is_alive) for name, is_alive in sorted(self._view.schedulers().items())}

    def look(self) -> None:
        """Log each change, once."""
        states = self.states()
        for name, state in states.items():
            before = self._told.get(name)
            if state in ("stale", "absent") and state != before:
                _log.warning("%s", self._line(name, state))
            elif state == "alive" and before in ("stale", "absent"):
                _log.info("scheduler %s is alive; pods are handed to it again", name)
        self._told = {name: state for name, state in states.items() if state != "unknown"}

    def notices(self) -> list[str]:
        """Return which schedulers pods are not handed to, and the cure."""
        return [self._line(name, state) for name, state in self.states().items() if state in ("stale", "absent")]

    def remark(self, names: Iterable[str]) -> str:
        """Return what the policy that names these schedulers should say of them; empty where nothing is missing."""
        states = self.states()
        return " ".join(f"{self._line(name, 'absent')}." for name in sorted(names) if states.get(name) == "absent")

    def _state(self, name: str, is_alive: bool) -> SchedulerState:
        if is_alive:
            return "alive"
        if self._view.knows_scheduler(name):
            return "stale"
        return "absent" if self._watches.has_listed(f"leases/{name}") else "unknown"

    def _line(self, name: str, state: SchedulerState) -> str:
        if state == "stale":
            return (
                f"scheduler {name} holds no fresh Lease; its pods stay with the default scheduler until it runs again"
            )
        places = ", ".join(sorted(self._view.scheduler_namespaces))
        elsewhere = self._view.namespaces_of_leases(name)
        cure = (
            f"its Lease is in {', '.join(elsewhere)}: if that is right, give --scheduler-namespaces"
            if elsewhere
            else "install it with leader election, or switch binPacking off"
        )
        return f"scheduler {name} has no Lease in {places}, so binPacking leaves pods as they are; {cure}"
