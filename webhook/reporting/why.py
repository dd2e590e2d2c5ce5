"""Explains the last decisions about one workload, from lines of the decision log or from a journal."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from webhook.admission.decision import summary
from webhook.reporting.entries import Bad, LoggedDecision

MOST: Final = 50
"""Different decisions that are kept while a log is read."""

KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("po", "pod", "pods"), "Pod"),
    **dict.fromkeys(("deploy", "deployment", "deployments"), "Deployment"),
    **dict.fromkeys(("sts", "statefulset", "statefulsets"), "StatefulSet"),
    **dict.fromkeys(("ds", "daemonset", "daemonsets"), "DaemonSet"),
    **dict.fromkeys(("rs", "replicaset", "replicasets"), "ReplicaSet"),
    **dict.fromkeys(("rc", "replicationcontroller", "replicationcontrollers"), "ReplicationController"),
    **dict.fromkeys(("job", "jobs"), "Job"),
    **dict.fromkeys(("cj", "cronjob", "cronjobs"), "CronJob"),
}
"""Kinds as kubectl lets people write them."""


class Explanation(NamedTuple):
    """One thing that a guardrail said."""

    policy: str
    guardrail: str
    outcome: str
    text: str
    cure: str
    refuses: bool
    """Whether it refuses, or would; False for a notice."""


class Explained(NamedTuple):
    """One decision, and how often it was made again without a difference."""

    first: str
    last: str
    """Times as the log has them."""
    times: int
    what: str
    """``CREATE Pod shop-``"""
    user: str
    path: str
    verdict: str
    """``refused``, ``would be refused`` or ``allowed``."""
    lines: tuple[Explanation, ...]
    changes: str
    """What was set, in words."""
    held_back: str
    """What a mode holds back, in words."""
    before: str
    after: str
    currency: str
    dry_run: bool
    id: str
    """The decision id of the newest one: the same in the API server's audit log."""


def kind_of(word: str) -> str:
    """Return a kind as the API writes it: ``deploy`` is Deployment; a word that is not known stays as it is."""
    return KINDS.get(word.lower(), word)


def is_about(entry: LoggedDecision, namespace: str, kind: str, name: str) -> bool:
    """Whether a decision is about this workload, or about a pod of it."""
    if entry.namespace != namespace:
        return False
    return (kind, name) in (entry.whose, (entry.kind, entry.name))


def of_log(found: Iterable[LoggedDecision | Bad], namespace: str, kind: str, name: str) -> tuple[list[Explained], int]:
    """Return the last decisions about a workload, oldest first, and how many lines are no decisions."""
    kept: deque[Explained] = deque(maxlen=MOST)
    places: dict[tuple[object, ...], Explained] = {}
    bad = 0
    for each in found:
        if isinstance(each, Bad):
            bad += 1
        elif is_about(each, namespace, kind, name):
            explained = explain(each)
            key = (each.path, *explained[3:-1])
            before = places.get(key)
            if before is not None and before in kept:
                kept.remove(before)
                explained = explained._replace(first=before.first, times=before.times + 1)
            if len(kept) == MOST:
                places.pop(next((key for key, value in places.items() if value is kept[0]), ()), None)
            places[key] = explained
            kept.append(explained)
    return list(kept), bad


def explain(entry: LoggedDecision, times: int = 1, first: str = "", last: str = "") -> Explained:
    """Return one decision in words."""
    cost = entry.cost
    operation = "/".join(filter(None, (entry.operation, entry.subresource)))
    name = entry.name if entry.kind != "Pod" or not entry.owner else ""
    verdict = "refused" if entry.verdict == "refused" else "would be refused" if entry.would == "refused" else "allowed"
    return Explained(
        first=first or entry.time,
        last=last or entry.time,
        times=times,
        what=" ".join(filter(None, (operation, entry.kind, name))),
        user=entry.user,
        path=entry.path,
        verdict=verdict,
        lines=tuple(
            Explanation(each.policy, each.guardrail, each.outcome, each.said(item), item.cure, not item.notice)
            for each in entry.guardrails
            for item in each.findings
        )
        + tuple(
            Explanation(each.policy, each.guardrail, each.outcome, each.note, "", each.outcome == "fault_denied")
            for each in entry.guardrails
            if each.note
        ),
        changes=summary(entry.patch),
        held_back=summary(entry.would_patch),
        before=cost.monthly_before if cost is not None else "",
        after=cost.monthly_after if cost is not None else "",
        currency=cost.currency if cost is not None else "",
        dry_run=entry.dry_run,
        id=entry.decision,
    )
