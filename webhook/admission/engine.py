"""From the bytes of a call to the bytes of its answer, and what is left to do after it was sent.

The engine holds what reviews are judged against and swaps it as a whole when policies change, so a review sees either
the old set or the new one, never a mixture.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from webhook.admission import overload, response, subject
from webhook.admission import request as requests
from webhook.admission.commit import commit
from webhook.admission.decision import ALLOWED, Decision
from webhook.admission.recorder import Recorder
from webhook.admission.review import Phase, ProposalFault, Surroundings, judge, review
from webhook.admission.ruleset import Ruleset
from webhook.cluster.view import View
from webhook.kube.objects import OwnerReference, controller_of
from webhook.ledger.store import LedgerStore

PHASES: Final[Mapping[str, Phase]] = {
    "/mutate": "mutate",
    "/validate": "validate",
    "/validate/security": "security",
    "/validate/cost": "cost",
}

Answered = tuple[bytes, Callable[[], None] | None]


class NotSeenYet(Exception):  # noqa: N818  it is no error
    """The caches have not seen the namespace or the owner of an object yet; waiting a moment may help."""

    def __init__(self, namespace: str, owner: OwnerReference | None) -> None:
        super().__init__(namespace)
        self.namespace = namespace
        self.owner = owner


class Engine:
    """Judges admission reviews."""

    def __init__(
        self,
        *,
        view: View,
        ledger: LedgerStore,
        recorder: Recorder,
        now: Callable[[], datetime],
        lacks: Callable[[str, OwnerReference | None], bool] | None = None,
    ) -> None:
        """Args:
        view: answers about the cluster.
        ledger: what budgets have committed.
        recorder: told of every decision, after the answer.
        now: the time, with a time zone.
        lacks: whether the caches may soon know more of a (namespace, owner); None where they never will.
        """
        self._lacks = lacks
        self._view = view
        self._ledger = ledger
        self._recorder = recorder
        self._now = now
        self._around: Surroundings | None = None

    @property
    def rules(self) -> Ruleset | None:
        """The policies in force; None before any were loaded."""
        return self._around.rules if self._around is not None else None

    @property
    def ledger(self) -> LedgerStore:
        """What budgets have committed."""
        return self._ledger

    def put_in_force(self, rules: Ruleset) -> None:
        """Judge by `rules` from the next review on."""
        self._around = Surroundings(rules, self._view, self._ledger, self._now)

    def answer(self, path: str, body: bytes, *, overloaded: bool = False, patient: bool = False) -> Answered:
        """Judge one call.

        Args:
            path: one of `PHASES`.
            body: the AdmissionReview.
            overloaded: answer by each guardrail's ``onFault`` and judge nothing, see `webhook.admission.overload`.
            patient: raise `NotSeenYet` instead of judging by less than may be known in a moment.

        Returns:
            The AdmissionReview to send back, and what to do afterwards (None where there is nothing to tell).

        Raises:
            BadReview: the body is no AdmissionReview v1, or no policies are in force yet.
            NotSeenYet: only where `patient`.
        """
        started = time.perf_counter()
        around = self._around
        if around is None:
            raise requests.BadReview("no valid policies are loaded yet; see /readyz?verbose", 503)
        request = requests.decode(body)
        judged = subject.of(request, self._view)
        if isinstance(judged, str):
            return response.encode(request.uid, ALLOWED, ""), None
        if overloaded:
            decision = overload.unjudged(judged, around, PHASES[path])
            return self._told(path, request.uid, judged, decision, around, started)
        if patient and self._lacks is not None:
            owner = controller_of(judged.pod.metadata) if judged.is_patchable else None
            if self._lacks(judged.namespace, owner) and not around.rules.is_excluded(judged):
                raise NotSeenYet(judged.namespace, owner)
        phase = PHASES[path]
        try:
            decision = review(judged, around, phase)
        except ProposalFault as fault:
            judged, decision = judge(partial(self._subject_again, body), around, phase, request.uid, fault)
        if decision.charges and decision.allowed and phase in ("validate", "cost") and not judged.dry_run:
            decision = commit(decision, judged, self._ledger, request.uid)
        return self._told(path, request.uid, judged, decision, around, started)

    def _subject_again(self, body: bytes) -> subject.Subject:
        again = subject.of(requests.decode(body), self._view)
        assert not isinstance(again, str)  # noqa: S101  the same bytes were a subject before
        return again

    def _told(
        self,
        path: str,
        uid: str,
        judged: subject.Subject,
        decision: Decision,
        around: Surroundings,
        started: float,
    ) -> Answered:
        currency = around.rules.prices.currency
        encoded = response.encode(uid, decision, currency)
        if decision is ALLOWED:
            return encoded, None
        seconds = time.perf_counter() - started
        return encoded, partial(self._recorder.record, path, uid, judged, decision, seconds, currency)
