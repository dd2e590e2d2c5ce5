"""Pods that are alike are judged once.

Most pods are copies: replicas of a Deployment, pods that replace others, calls that are repeated. Guardrails are pure,
so the same pod under the same policies gets the same decision as long as the cluster gives the same answers. A decision
is kept under all that the review can see of the request, together with every question that was put to the cluster and
its answer. Before it is used again the questions are put again: where one answer differs, the pod is judged anew. So
a changed VPA, LimitRange or namespace, or a scheduler that died, counts from the next review on, as it does without
this cache.

A pod that is seen for the first time leaves its hash only: keeping a decision costs a third of finding it, and the
pods of Jobs, for one, hardly ever come again. Never kept: what depends on the time (namespaces with PolicyExceptions,
budgets on basis ``monthEnd`` or with days of grace), faults, and anything but new pods. Money is never remembered: a
decision only serves while every budget that pays for the pod is so far from its first threshold that it has nothing to
say, and the reservation is made for each pod.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, NamedTuple, cast

import msgspec

from webhook.admission.decision import Decision
from webhook.admission.review import Environment, ReviewPhase, review
from webhook.admission.subject import Subject
from webhook.cluster.view import View
from webhook.guardrails import budget
from webhook.kube.objects import Pod, PodVolume

MAXIMUM_BYTES: Final = 4 << 20
"""Bytes of pods that are kept as keys."""
MAXIMUM_POD: Final = 64 << 10
"""Bytes of one such pod; larger ones are rare, and judged each time."""
MAXIMUM_ENTRIES: Final = 1_024
"""Decisions with long patches and findings, and what is told of them, take more than their pods do: some 14 KB."""
MAXIMUM_SEEN: Final = 16_384
"""Hashes of pods that were seen; beyond it they are forgotten, and what is kept stays."""

_TOKEN_VOLUME: Final = "kube-api-access-"  # noqa: S105  a volume's name
"""Each pod gets a volume of this name and five random letters from the API server's ServiceAccount admission."""

_MSGPACK: Final = msgspec.msgpack.Encoder()


class _CachedReview(NamedTuple):
    decision: Decision
    asked: tuple[tuple[Callable[..., object], tuple[object, ...], object], ...]
    """Questions to the cluster: method, arguments, answer."""
    quiet: tuple[tuple[str, int], ...]
    """Budgets that pay for the pod, each with the greatest rate that may be committed for it to have nothing to say."""


class _RecordingView:
    """A view that writes down what it was asked, and what it answered."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.asked: list[tuple[Callable[..., object], tuple[object, ...], object]] = []

    def __getattr__(self, name: str) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._view, name)
        asked = self.asked

        def ask(*arguments: object) -> object:
            answer = method(*arguments)
            # Labels are the pod's own, which proposals change afterwards.
            kept = tuple([dict(each) if type(each) is dict else each for each in arguments])
            asked.append((method, kept, answer))
            return answer

        # Found without coming here the next time.
        self.__dict__[name] = ask
        return ask

    def questions(self) -> tuple[tuple[Callable[..., object], tuple[object, ...], object], ...]:
        """Return each question once."""
        found: list[tuple[Callable[..., object], tuple[object, ...], object]] = []
        for question in self.asked:
            if question not in found:
                found.append(question)
        return tuple(found)


class ReviewCache:
    """Decisions about new pods under one set of policies; bounded, for use from one thread at a time."""

    def __init__(self, around: Environment, lookups: Counter[str], maximum_bytes: int = MAXIMUM_BYTES) -> None:
        """Args:
        around: what reviews are judged against.
        lookups: counts ``hit`` and ``miss``.
        maximum_bytes: of all keys together; 0 keeps nothing.
        """
        self.around = around
        self._lookups = lookups
        self._half = maximum_bytes // 2
        # Two generations: what is not asked for while the young one fills up is forgotten.
        self._young: dict[Hashable, _CachedReview] = {}
        self._old: dict[Hashable, _CachedReview] = {}
        self._bytes = 0
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def review(self, subject: Subject, phase: ReviewPhase) -> Decision:
        """Return the decision about an object, see `webhook.admission.review.review`."""
        around = self.around
        if not self._half or not subject.is_patchable or around.rules.has_exceptions(subject.namespace):
            return review(subject, around, phase)
        pod = _look(subject.pod)
        if pod is None or len(pod) > MAXIMUM_POD:
            return review(subject, around, phase)
        key = (phase, subject.namespace, subject.requester, pod)
        known = self._find(key, len(pod))
        if known is not None and self._holds(known, subject):
            self._lookups["hit"] += 1
            return known.decision
        self._lookups["miss"] += 1
        if self._is_new(key):
            return review(subject, around, phase)
        # The review changes the pod, so what is its own has to be read before.
        own = _own_names(subject.pod)
        asking = _RecordingView(around.view)
        decision = review(subject, around._replace(view=cast("View", asking)), phase)
        quiet = _quiet(decision, around)
        if quiet is not None and not _says(decision, own):
            self._keep(key, len(pod), _CachedReview(decision, asking.questions(), quiet))
        return decision

    def _is_new(self, key: Hashable) -> bool:
        """Whether no pod like it was seen before; another one with the same hash only makes it kept too early."""
        number = hash(key)
        if number in self._seen:
            return False
        if len(self._seen) >= MAXIMUM_SEEN:
            self._seen.clear()
        self._seen.add(number)
        return True

    def _holds(self, known: _CachedReview, subject: Subject) -> bool:
        for ask, arguments, answer in known.asked:
            now = ask(*arguments)
            if now is not answer and now != answer:
                return False
        if known.quiet:
            ledger = self.around.ledger
            metadata = subject.pod.metadata
            uid = (metadata.uid or "") if metadata is not None else ""
            for name, most in known.quiet:
                if ledger.committed(name, without=uid) > most:
                    return False
        return True

    def _find(self, key: Hashable, size: int) -> _CachedReview | None:
        known = self._young.get(key)
        if known is None:
            known = self._old.pop(key, None)
            if known is not None:
                self._keep(key, size, known)
        return known

    def _keep(self, key: Hashable, size: int, known: _CachedReview) -> None:
        if self._bytes + size > self._half or len(self._young) >= MAXIMUM_ENTRIES // 2:
            self._old, self._young, self._bytes = self._young, {}, 0
        if key not in self._young:
            self._bytes += size
        self._young[key] = known


def _look(pod: Pod) -> bytes | None:
    """Return all that guardrails can see of a pod but what differs between copies: its UID, its generated name, and
    the random part of the token volume's name. None where the pod holds a number that no API server accepts."""
    metadata = pod.metadata
    if metadata is None:
        return None
    name, uid, created = metadata.name, metadata.uid, metadata.creation_timestamp
    volumes = _token_volumes(pod)
    names = [volume.name for volume in volumes]
    metadata.uid = metadata.creation_timestamp = None
    if metadata.generate_name:
        metadata.name = None
    for volume in volumes:
        volume.name = _TOKEN_VOLUME
    try:
        return _MSGPACK.encode(pod)
    except OverflowError:
        return None
    finally:
        metadata.name, metadata.uid, metadata.creation_timestamp = name, uid, created
        for volume, each in zip(volumes, names, strict=True):
            volume.name = each


def _token_volumes(pod: Pod) -> list[PodVolume]:
    volumes = pod.spec.volumes if pod.spec is not None else None
    return [
        volume for volume in volumes or () if volume.projected is not None and volume.name.startswith(_TOKEN_VOLUME)
    ]


def _own_names(pod: Pod) -> list[str]:
    """Return what `_look` leaves out."""
    metadata = pod.metadata
    names = [volume.name for volume in _token_volumes(pod)]
    if metadata is not None:
        names += [each for each in (metadata.uid, metadata.name if metadata.generate_name else None) if each]
    return names


def _says(decision: Decision, names: list[str]) -> bool:
    """Whether a finding speaks of something that only this pod has; then the decision serves no other. Patches only
    write what policies, namespaces and recommendations say, and address containers."""
    texts = [
        text
        for outcome in decision.outcomes
        for finding in outcome.findings
        for text in (finding.message, finding.would, finding.cure)
    ]
    return any(name in text for name in names for text in texts)


def _quiet(decision: Decision, around: Environment) -> tuple[tuple[str, int], ...] | None:
    """Return how far each budget that pays is from its first threshold; None where the decision must not be kept."""
    rules: dict[str, budget.BudgetRule] | None = None
    found: list[tuple[str, int]] = []
    for outcome in decision.outcomes:
        if outcome.outcome in ("fault_allowed", "fault_denied"):
            return None
        if outcome.guardrail != "budget":
            continue
        if rules is None:
            rules = {rule.name: rule for rule in around.rules.budgets}
        rule = rules[outcome.policy]
        # A day of grace ends with time alone.
        if rule.basis != "runRate" or rule.grace_until is not None or outcome.outcome != "passed" or outcome.findings:
            return None
        cost = decision.cost
        # Whichever of its prices the budget judged, the greatest is on the safe side.
        rate = max(decision.rate, cost.before, cost.after) if cost is not None else decision.rate
        found.append((rule.name, budget.quiet_rate(rule, around.rules.prices.hours_per_month) - rate))
    return tuple(found)
