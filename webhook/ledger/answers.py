"""Whether the API server that keeps the ledgers answers, takes its time, or fails.

That decides what is said to a pod whose time is up before it was booked. One that takes its time is no fault: it stores
the pod as well, and whoever is let in unbooked may be beyond the budget. So a call that was not answered in time, or
that it was too busy for, is no failure yet. Silence is counted from the first call that got no answer, and not from the
last answer: nobody asks while no pods come.
"""

import logging
from collections.abc import Callable
from typing import Final

from webhook.kube import client as api

SILENT_SECONDS: Final = 10.0
"""An API server that leaves calls unanswered for so long does not answer."""

_BUSY: Final = frozenset({429, 504})
"""Statuses of an API server that had no time for a call."""

_log = logging.getLogger("podgate.ledger")


class Answers:
    """What came of the calls so far. May be used from any thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Args:
        monotonic: seconds.
        """
        self._monotonic = monotonic
        self.problem: str | None = None
        """Why the last call failed; None where it did not. One line."""
        self._has_failed = False
        """Whether that was for another reason than time."""
        self._is_kind_missing = False
        """Whether that was because the API server did not know the kind."""
        self._has_answered = False
        self._silent_since: float | None = None
        """When the first call was made that nothing has come of yet; None where there is none."""

    def asked(self) -> None:
        """Note that a call is being made."""
        if self._silent_since is None:
            self._silent_since = self._monotonic()

    def came(self) -> None:
        """Note that a call was answered, be it that another replica was faster."""
        self._has_answered, self._silent_since = True, None

    def written(self) -> None:
        """Note that a ledger was written, so nothing is wrong."""
        self.came()
        self.problem, self._has_failed, self._is_kind_missing = None, False, False

    def failed(self, error: api.ApiError) -> None:
        """Note what went wrong, and say so where it is new."""
        problem = str(error)
        if problem != self.problem:
            _log.warning("%s", problem)
        self.problem, self._is_kind_missing = problem, isinstance(error, api.NotFoundError)
        self._has_failed = not (isinstance(error, api.LateError) or error.status in _BUSY)

    def heard(self) -> None:
        """Know from its watch, or a read, that there is a ledger: the API server answers, and knows the kind.

        A replica that books nothing would not learn this from a write of its own.
        """
        self.came()
        if self._is_kind_missing:
            self.problem, self._has_failed, self._is_kind_missing = None, False, False

    @property
    def is_slow(self) -> bool:
        """Whether the API server only takes its time: it has answered, and nothing but time was the matter since."""
        if self._has_failed or not self._has_answered:
            return False
        since = self._silent_since
        return since is None or self._monotonic() - since < SILENT_SECONDS
