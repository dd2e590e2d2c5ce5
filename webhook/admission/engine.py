"""From the bytes of a call to the bytes of its answer, and what is left to do after it was sent.

The engine holds what reviews are judged against and swaps it as a whole when policies change, so a review sees either
the old set or the new one, never a mixture.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from webhook.admission import overload, refusals, response, subject, unread, wanted_pods
from webhook.admission import request as requests
from webhook.admission.commit import commit
from webhook.admission.decision import ALLOWED, Decision
from webhook.admission.recorder import Recorder
from webhook.admission.request_fields import OtherRequest
from webhook.admission.reservation import reserve_async
from webhook.admission.review import Environment, ProposalFault, ReviewPhase, judge
from webhook.admission.review_cache import MAXIMUM_BYTES, ReviewCache
from webhook.admission.ruleset import Ruleset
from webhook.admission.unjudged import UnjudgedCounters
from webhook.cluster.view import View
from webhook.kube import containers
from webhook.kube.objects import OwnerReference, controller_of
from webhook.kube.pod_devices import PodResourceClaim
from webhook.ledger.store import AsyncReserver, LedgerStore

PHASES: Final[Mapping[str, ReviewPhase]] = {
    "/mutate": "mutate",
    "/validate": "validate",
    "/validate/security": "security",
    "/validate/cost": "cost",
}

LARGE: Final = 100_000
"""Bytes of a review that is rare enough to wait for others, and may take long enough to be counted first."""

Answered = tuple[bytes, Callable[[], None] | None]


class NotSeenYet(Exception):  # noqa: N818  it is no error
    """The caches have not seen the namespace, the owner or a claim of an object yet; waiting a moment may help."""

    def __init__(self, namespace: str, owner: OwnerReference | None, claims: Sequence[PodResourceClaim]) -> None:
        super().__init__(namespace)
        self.namespace = namespace
        self.owner = owner
        self.claims = claims


class _Judged(NamedTuple):
    """A review that is decided, and perhaps still to be booked."""

    path: str
    uid: str
    subject: subject.Subject
    decision: Decision
    around: Environment
    started: float
    is_charged: bool


class Engine:
    """Judges admission reviews."""

    def __init__(
        self,
        *,
        view: View,
        ledger: LedgerStore,
        recorder: Recorder,
        now: Callable[[], datetime],
        lacks: Callable[[str, OwnerReference | None, Sequence[PodResourceClaim]], bool] | None = None,
        cache_bytes: int = MAXIMUM_BYTES,
        later: AsyncReserver | None = None,
    ) -> None:
        """Args:
        view: answers about the cluster.
        ledger: what budgets have committed.
        recorder: told of every decision, after the answer.
        now: the time, with a time zone.
        lacks: whether the caches may soon know more of a (namespace, owner, claims); None where they never will.
        cache_bytes: of pods whose decision is kept for pods that are alike; 0 judges each pod anew.
        later: the same ledger, where it takes a call to book; None where it answers at once.
        """
        self._later = later
        self._lacks = lacks
        self._view = view
        self._ledger = ledger
        self._recorder = recorder
        self._now = now
        self._cache_bytes = cache_bytes
        self.unjudged = UnjudgedCounters()
        """Answers that come from no judgement."""
        self.lookups: Counter[str] = Counter()
        """How often a decision was found among those kept for pods that are alike (``hit``), or not (``miss``)."""
        self._cache: ReviewCache | None = None

    @property
    def rules(self) -> Ruleset | None:
        """The policies in force; None before any were loaded."""
        return self._cache.around.rules if self._cache is not None else None

    def sizes(self) -> Mapping[str, int]:
        """Return the number of entries of each cache that a review fills."""
        cache = self._cache
        return {**cache.around.rules.sizes(), "reviews": len(cache)} if cache is not None else {}

    @property
    def ledger(self) -> LedgerStore:
        """What budgets have committed."""
        return self._ledger

    def put_in_force(self, rules: Ruleset) -> None:
        """Judge by `rules` from the next review on."""
        self._cache = ReviewCache(
            Environment(rules, self._view, self._ledger, self._now), self.lookups, self._cache_bytes
        )

    def answer(self, path: str, body: bytes, *, overloaded: bool = False, patient: bool = False) -> Answered:
        """Judge one call.

        Args:
            path: one of `PHASES`.
            body: the AdmissionReview.
            overloaded: answer by each guardrail's ``onFault`` and judge budgets alone, see
                `webhook.admission.overload`.
            patient: raise `NotSeenYet` instead of judging by less than may be known in a moment.

        Returns:
            The AdmissionReview to send back, and what to do afterwards (None where there is nothing to tell).

        Raises:
            BadReview: the body is no AdmissionReview v1, or no policies are in force yet.
            NotSeenYet: only where `patient`.
        """
        judged = self._judge(path, body, overloaded=overloaded, patient=patient)
        if isinstance(judged, _Judged):
            if judged.is_charged:
                refusal = partial(refusals.refusal, judged.subject, judged.around)
                decision = commit(judged.decision, judged.subject, self._ledger, judged.uid, refusal)
                if decision is not judged.decision:
                    judged = judged._replace(decision=decision)
            return self._told(judged)
        return judged

    def answer_soon(
        self, path: str, body: bytes, timeout: float | None, *, overloaded: bool = False, patient: bool = False
    ) -> Answered | Awaitable[Answered]:
        """Judge one call without holding the event loop while the ledger is written.

        Args:
            path: as for `answer`.
            body: as for `answer`.
            timeout: seconds that the caller waits; None where it did not say.
            overloaded: as for `answer`.
            patient: as for `answer`.

        Raises:
            BadReview: as `answer` does.
            NotSeenYet: only where `patient`.
        """
        if self._later is None:
            return self.answer(path, body, overloaded=overloaded, patient=patient)
        judged = self._judge(path, body, overloaded=overloaded, patient=patient)
        if isinstance(judged, _Judged):
            return self._booked(judged, self._later, timeout) if judged.is_charged else self._told(judged)
        return judged

    async def _booked(self, judged: _Judged, later: AsyncReserver, timeout: float | None) -> Answered:  # noqa: ASYNC109  the caller's
        refusal = partial(refusals.refusal, judged.subject, judged.around)
        decision = await reserve_async(judged.decision, judged.subject, later, judged.uid, timeout, refusal)
        return self._told(judged._replace(decision=decision))

    def _judge(self, path: str, body: bytes, *, overloaded: bool, patient: bool) -> Answered | _Judged:
        """Come to a decision; what needs none has its answer already."""
        started = time.perf_counter()
        cache = self._in_force()
        around = cache.around
        try:
            request = requests.decode(body)
        except requests.Unreadable as fault:
            return self.answer_unread(path, fault.request, unread.undecodable(fault.reason))
        judged = subject.of(request, self._view)
        if isinstance(judged, str):
            return response.encode(request.uid, ALLOWED, ""), None
        if len(body) > LARGE and (count := containers.count(judged.pod.spec)) > unread.MOST_CONTAINERS:
            return self._unread(path, judged, request.uid, unread.too_many_containers(count), around, started)
        if overloaded:
            decision = overload.unjudged(judged, around, PHASES[path])
            self.unjudged.count(path, "overloaded")
            return _Judged(path, request.uid, judged, decision, around, started, _is_charged(decision, judged))
        if patient and self._lacks is not None:
            owner, claims = _needs(judged) if judged.is_patchable else (None, ())
            if self._lacks(judged.namespace, owner, claims) and not around.rules.is_excluded(judged):
                raise NotSeenYet(judged.namespace, owner, claims)
        phase = PHASES[path]
        try:
            decision = cache.review(judged, phase)
        except ProposalFault as fault:
            judged, decision = judge(partial(self._subject_again, body), around, phase, request.uid, fault)
        if judged.scale is not None and decision.allowed and phase in ("validate", "cost"):
            wanted_pods.report_reviewed(self._ledger, self._view, request)
        is_charged = phase in ("validate", "cost") and _is_charged(decision, judged)
        return _Judged(path, request.uid, judged, decision, around, started, is_charged)

    def answer_unread(self, path: str, request: OtherRequest, why: unread.UnreadReview) -> Answered:
        """Answer a review whose object nobody has read, see `webhook.admission.unread`.

        Args:
            path: one of `PHASES`.
            request: what the review is about.
            why: it was not read.

        Raises:
            BadReview: no policies are in force yet.
        """
        started = time.perf_counter()
        around = self._in_force().around
        about = unread.subject_of(request)
        if about is None:
            return response.encode(request.uid, ALLOWED, ""), None
        return self._unread(path, about, request.uid, why, around, started)

    def _unread(
        self, path: str, about: subject.Subject, uid: str, why: unread.UnreadReview, around: Environment, started: float
    ) -> Answered:
        decision = unread.unread(about, around, PHASES[path], why)
        if decision is not ALLOWED:
            self.unjudged.count(path, why.reason)
        return self._told(_Judged(path, uid, about, decision, around, started, is_charged=False))

    def _in_force(self) -> ReviewCache:
        if self._cache is None:
            raise requests.BadReview("no valid policies are loaded yet; see /readyz?verbose", 503)
        return self._cache

    def _subject_again(self, body: bytes) -> subject.Subject:
        again = subject.of(requests.decode(body), self._view)
        assert not isinstance(again, str)  # noqa: S101  the same bytes were a subject before
        return again

    def _told(self, judged: _Judged) -> Answered:
        path, uid, about, decision, around, started, _ = judged
        currency = around.rules.prices.currency
        encoded = response.encode(uid, decision, currency)
        if decision is ALLOWED:
            return encoded, None
        seconds = time.perf_counter() - started
        return encoded, partial(self._recorder.record, path, uid, about, decision, seconds, currency)


def _is_charged(decision: Decision, judged: subject.Subject) -> bool:
    return bool(decision.charges) and decision.allowed and not judged.dry_run


def _needs(judged: subject.Subject) -> tuple[OwnerReference | None, Sequence[PodResourceClaim]]:
    """Return the owner of a new pod, and its claims for devices."""
    spec = judged.pod.spec
    return controller_of(judged.pod.metadata), (spec.resource_claims if spec is not None else None) or ()
