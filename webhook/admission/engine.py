"""From the bytes of a call to the bytes of its answer, and what is left to do after it was sent.

The engine holds what reviews are judged against and swaps it as a whole when policies change, so a review sees either
the old set or the new one, never a mixture.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from webhook.admission import request as requests
from webhook.admission import response, subject
from webhook.admission.commit import commit
from webhook.admission.decision import ALLOWED
from webhook.admission.recorder import Recorder
from webhook.admission.review import Phase, Surroundings, judge
from webhook.admission.ruleset import Ruleset
from webhook.cluster.view import View
from webhook.ledger.store import LedgerStore

PHASES: Final[Mapping[str, Phase]] = {
    "/mutate": "mutate",
    "/validate": "validate",
    "/validate/security": "security",
    "/validate/cost": "cost",
}

Answered = tuple[bytes, Callable[[], None] | None]


class Engine:
    """Judges admission reviews."""

    def __init__(
        self,
        *,
        view: View,
        ledger: LedgerStore,
        recorder: Recorder,
        now: Callable[[], datetime],
    ) -> None:
        """Args:
        view: answers about the cluster.
        ledger: what budgets have committed.
        recorder: told of every decision, after the answer.
        now: the time, with a time zone.
        """
        self._view = view
        self._ledger = ledger
        self._recorder = recorder
        self._now = now
        self._around: Surroundings | None = None

    @property
    def rules(self) -> Ruleset | None:
        """The policies in force; None before any were loaded."""
        return self._around.rules if self._around is not None else None

    def put_in_force(self, rules: Ruleset) -> None:
        """Judge by `rules` from the next review on."""
        self._around = Surroundings(rules, self._view, self._ledger, self._now)

    def answer(self, path: str, body: bytes) -> Answered:
        """Judge one call.

        Returns:
            The AdmissionReview to send back, and what to do afterwards (None where there is nothing to tell).

        Raises:
            BadReview: the body is no AdmissionReview v1, or no policies are in force yet.
        """
        started = time.perf_counter()
        around = self._around
        if around is None:
            raise requests.BadReview("no valid policies are loaded yet; see /readyz?verbose", 503)
        request = requests.decode(body)
        judged = subject.of(request, self._view)
        if isinstance(judged, str):
            return response.encode(request.uid, ALLOWED, ""), None
        first: subject.Subject | None = judged

        def make_subject() -> subject.Subject:
            nonlocal first
            if first is not None:
                made, first = first, None
                return made
            again = subject.of(requests.decode(body), self._view)
            assert not isinstance(again, str)  # noqa: S101  the same bytes were a subject before
            return again

        phase = PHASES[path]
        judged, decision = judge(make_subject, around, phase, request.uid)
        if decision.charges and decision.allowed and phase in ("validate", "cost") and not judged.dry_run:
            decision = commit(decision, judged, self._ledger, request.uid)
        currency = around.rules.prices.currency
        encoded = response.encode(request.uid, decision, currency)
        if decision is ALLOWED:
            return encoded, None
        seconds = time.perf_counter() - started
        return encoded, partial(self._recorder.record, path, request.uid, judged, decision, seconds, currency)
