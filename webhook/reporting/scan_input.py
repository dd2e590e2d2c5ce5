"""What a scan judges, and what it judges by: a directory of Kubernetes YAML, or an API server.

Whatever of it cannot be read is named and costs nothing else its verdict: a file of the directory, one object, a kind
that may not be listed.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from webhook.admission.bookings import bookings
from webhook.admission.ruleset import Ruleset, check_section
from webhook.cluster import typed_objects
from webhook.cluster.live import LiveView
from webhook.cluster.snapshot import Snapshot
from webhook.cluster.view import View
from webhook.cluster.watches import Watches
from webhook.kube import client, manifests
from webhook.kube.client import Client
from webhook.kube.manifests import Manifest, ManifestError
from webhook.kube.objects import WORKLOAD_KINDS
from webhook.ledger.memory import MemoryLedger
from webhook.policy.loading import loader
from webhook.policy.loading.resources import ResourcePolicies
from webhook.policy.model.policy_set import PolicySet
from webhook.reporting.fold import UnjudgedSummary
from webhook.reporting.judge import identity
from webhook.reporting.pager import Pager, RateLimiter, ScannedObject, Unlisted

SYNC_SECONDS: Final = 120.0
"""Longest wait for the lists that verdicts are made by."""
NOTHING: Final = "holds no Kubernetes object; name a directory with the output of kubectl get -o yaml"
"""What is wrong with files of a cluster that are all empty: a scan of nothing finds nothing wrong with it."""
_LOOK_SECONDS: Final = 0.05
_GIVEN_UP: Final = ("forbidden", "absent")
_PATIENCE_SECONDS: Final = 10.0
"""How long a kind may be broken, and not just slow, until the scan goes on without it."""


class ScanInput(NamedTuple):
    """Everything that a scan needs."""

    policies: PolicySet
    view: View
    ledger: MemoryLedger
    objects: Iterable[tuple[str, dict[str, Any]]]
    """Origin and document of everything to judge; read while it is iterated."""
    size: int
    """About how many there are; 0 where that is not known."""
    unjudged: UnjudgedSummary
    close: Callable[[], None]


def of_directory(cluster: Path, policies: PolicySet, now: Callable[[], datetime]) -> ScanInput:
    """Take a directory of Kubernetes YAML or JSON, or one file."""
    unjudged = UnjudgedSummary()
    good: list[Manifest] = []
    seen: dict[tuple[str, str, str], Manifest] = {}
    for found in manifests.read_path(cluster):
        if isinstance(found, ManifestError):
            # By its place, so that two files with the same fault are both named.
            unjudged.add(found.origin, "", found.what, "", is_failure=True)
            continue
        item = found._replace(document=_with_uid(found.document, found.origin))
        key = identity(item.document)
        first = seen.setdefault(key, item) if _has_name(item.document) else item
        if first is not item:
            if first.document != item.document:
                text = f"differs from the one in {first.origin}; keep one of them"
                unjudged.add(key[0], key[1], text, f"{item.origin} {key[2]}", is_failure=True)
            continue
        try:
            typed_objects.read(item.document)
        except typed_objects.ReadError as error:
            unjudged.add(key[0], key[1], str(error), item.origin, is_failure=True)
            continue
        good.append(item)
    if not good and not unjudged.has_failures:
        unjudged.add(str(cluster), "", NOTHING, "", is_failure=True)
    view = Snapshot.from_documents(item.document for item in good)
    ledger = _ledger(view, policies, now)
    # What is neither judged nor asked about is named as such; a Namespace or a VPA has done its part.
    objects = [(item.origin, item.document) for item in good if not _is_surrounding(item.document)]
    return ScanInput(policies, view, ledger, objects, len(objects), unjudged, lambda: None)


def of_api(
    api: Client,
    policies: PolicySet | None,
    now: Callable[[], datetime],
    *,
    is_default: bool = False,
    sleep: Callable[[float], object] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    sync_seconds: float = SYNC_SECONDS,
) -> ScanInput:
    """Take an API server: what policies ask about is listed first, as `serve` would know it, and what is judged while
    it is iterated.

    Args:
        api: the API server.
        policies: of a directory; custom resources are added to them.
        now: the time, with its zone.
        is_default: whether nobody asked for `policies`: they only count in a cluster that has none of its own, where
            they would most likely be twins of those.
        sleep: waits.
        monotonic: seconds of a clock that only goes forward.
        sync_seconds: longest wait for the first lists.
    """
    unjudged = UnjudgedSummary()
    view = LiveView(now)
    watches = Watches(api, view)
    resources = ResourcePolicies(check_section)
    for source in resources.sources:
        watches.add(source.resource, source.decode, source)
    watches.start()
    try:
        told = _await_lists(watches, unjudged, sleep, monotonic, sync_seconds)
        combined = resources.combine(None if is_default and len(resources) else policies)
        watches.follow_schedulers(combined.set.schedulers)
        _await_lists(watches, UnjudgedSummary(), sleep, monotonic, _PATIENCE_SECONDS)
    finally:
        watches.stop()
    for problem in combined.problems:
        unjudged.add("policy", "", str(problem), "", is_failure=True)
    ledger = _ledger(view, combined.set, now)
    walk = Pager(api, RateLimiter(monotonic, sleep))
    size = len(view.pods_by_uid) + sum(map(len, view.workloads.values()))
    return ScanInput(combined.set, view, ledger, _documents(walk, unjudged, told), size, unjudged, api.close)


def load_policies(path: Path) -> PolicySet:
    """Load a policy directory.

    Raises:
        PolicyErrors: with all errors of all files.
    """
    return loader.load_directory(path, check=check_section)


def _documents(walk: Pager, unjudged: UnjudgedSummary, told: frozenset[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    judged: set[str] = set()
    for found in walk:
        if isinstance(found, Unlisted):
            if found.kind.resource not in told:
                unjudged.add(found.kind.resource, "", _for_people(found.reason), "", is_failure=True)
            continue
        document = _decoded(found, unjudged)
        if document is None:
            continue
        kind, namespace, name = identity(document)
        uid = str((document.get("metadata") or {}).get("uid") or f"{kind}/{namespace}/{name}")
        if uid in judged:
            continue
        judged.add(uid)
        yield f"{kind} {namespace}/{name}", document


def _decoded(found: ScannedObject, unjudged: UnjudgedSummary) -> dict[str, Any] | None:
    try:
        return found.document()
    except msgspec.DecodeError as error:
        unjudged.add(found.kind.name, "", f"does not decode: {error}", "", is_failure=True)
        return None


def _await_lists(
    watches: Watches,
    unjudged: UnjudgedSummary,
    sleep: Callable[[float], object],
    monotonic: Callable[[], float],
    seconds: float,
) -> frozenset[str]:
    """Wait until every list is complete, or it is clear that it will not be; name those and return their names."""
    begin = monotonic()
    while True:
        waited = monotonic() - begin
        pending = [
            each
            for each in watches.report()
            if not each.state.has_synced
            and each.state.phase not in _GIVEN_UP
            and not (each.state.phase == "broken" and waited > _PATIENCE_SECONDS)
        ]
        if not pending or waited > seconds:
            break
        sleep(_LOOK_SECONDS)
    missing = [each for each in watches.report() if not each.state.has_synced]
    for each in missing:
        reason = _for_people(each.state.reason) or f"was not listed within {seconds:.0f} s"
        unjudged.add(each.name, "", f"verdicts are made without it: {reason}", "", is_failure=True)
    return frozenset(each.name for each in missing)


def _for_people(reason: str) -> str:
    """Return why a list failed, with the cure for somebody who uses his own kubeconfig."""
    return reason.replace(client.GRANT, "ask for the right to list it, or use another kubeconfig")


def _ledger(view: View, policies: PolicySet, now: Callable[[], datetime]) -> MemoryLedger:
    ledger = MemoryLedger(clock=now)
    # As the policies are in force: what they price as spot was admitted so.
    ledger.recount(bookings(view, Ruleset(policies), now))
    return ledger


def _is_surrounding(document: dict[str, Any]) -> bool:
    kind = document["kind"]
    return kind != "Pod" and kind not in WORKLOAD_KINDS and typed_objects.read(document) is not None


def _has_name(document: dict[str, Any]) -> bool:
    metadata = document.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("name"))


def _with_uid(document: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return a pod with a UID: by it the budgets know that a pod which is judged is one that they have counted."""
    metadata = document.get("metadata")
    if document.get("kind") != "Pod" or not isinstance(metadata, dict) or metadata.get("uid"):
        return document
    _, namespace, name = identity(document)
    uid = f"{namespace}/{name}" if metadata.get("name") else origin
    return {**document, "metadata": {**metadata, "uid": uid}}
