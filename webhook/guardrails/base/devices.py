"""Which devices are paid for with a pod, so that each is counted once.

* A claim of a ResourceClaimTemplate is made for one pod: that pod pays for it. Once it is made, what it says counts,
  and not the template, which may be another one by then.
* A ResourceClaim that pods name may be shared. Of the pods that use it one pays: the oldest. So a new pod pays for a
  claim that nobody uses yet, and nothing for one that another pod of the same budgets uses.
* Where the older pods are not in all the budgets that a pod is in, that pod pays as well: each budget pays for a claim
  once, and no pod gets devices past its budgets because another one has paid elsewhere.
* Of a workload's template, claims of templates are counted for each pod, and claims that it names once.

All claims of ``spec.resourceClaims`` count, whether a container uses them or not: the scheduler allocates them all.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from webhook.guardrails.base.contract import Context
from webhook.kube.device_claims import Requests
from webhook.kube.objects import Pod
from webhook.kube.pod_devices import PodResourceClaim
from webhook.pricing import devices, words
from webhook.pricing.devices import NO_CLAIMS, Claims

__all__ = ["NO_CLAIMS", "claims_of"]

_NO_LABELS: Final[Mapping[str, str]] = {}


def claims_of(context: Context, pod: Pod) -> Claims:
    """Return what a pod's claims ask for that is paid for with it."""
    listed = pod.spec.resource_claims if pod.spec is not None else None
    if not listed:
        return NO_CLAIMS
    found = _PodClaims(context, pod)
    for entry in listed:
        found.add(entry)
    return found.claims()


class _PodClaims:
    """The claims of one pod."""

    def __init__(self, context: Context, pod: Pod) -> None:
        self._context = context
        self._pod = pod
        self._requests: dict[Requests, int] = {}
        self._shared: dict[Requests, int] = {}
        self._unknown: set[str] = set()
        self._named: set[str] = set()
        self._made = _made_for(context, pod)

    def add(self, entry: PodResourceClaim) -> None:
        """Add an entry of ``spec.resourceClaims``."""
        if entry.name in self._made:
            requests = self._made[entry.name]
            if requests is not None:
                _count(self._requests, requests)
        elif entry.resource_claim_name:
            # Two entries that name one claim get the same devices.
            if entry.resource_claim_name not in self._named:
                self._named.add(entry.resource_claim_name)
                self._add_named(entry.resource_claim_name)
        elif entry.resource_claim_template_name:
            name = entry.resource_claim_template_name
            template = self._context.view.device_claim_template(self._context.namespace, name)
            if template is None:
                self._unknown.add(devices.missing("claim template", name))
            else:
                _count(self._requests, template)
        else:
            self._unknown.add(f"claim {words.short(entry.name)}, which names no ResourceClaim and no template")

    def claims(self) -> Claims:
        """Return all that was added."""
        return Claims(self._requests, self._shared, devices.bounded(self._unknown))

    def _add_named(self, name: str) -> None:
        context = self._context
        claim = context.view.device_claim(context.namespace, name)
        if claim is None:
            self._unknown.add(devices.missing("claim", name))
        elif context.scale is not None:
            _count(self._shared, claim.requests)
        elif _pays(context, self._pod, name):
            _count(self._requests, claim.requests)


def _count(found: dict[Requests, int], requests: Requests) -> None:
    found[requests] = found.get(requests, 0) + 1


def _made_for(context: Context, pod: Pod) -> dict[str, Requests | None]:
    """Return what the claims that were made for a pod ask for, by the entry that they were made for; None where none
    is needed. Only claims that say themselves that they were made for this pod count."""
    found: dict[str, Requests | None] = {}
    uid = _uid(context, pod)
    if not uid:
        return found
    for entry, name in _statuses(context, pod):
        if not name:
            # Said of a pod that runs; what is said of itself by a pod that is being created is not believed.
            if context.running is not None:
                found[entry] = None
            continue
        claim = context.view.device_claim(context.namespace, name)
        if claim is not None and claim.owner == uid:
            found[entry] = claim.requests
    return found


def _statuses(context: Context, pod: Pod) -> Iterator[tuple[str, str]]:
    if context.running is not None:
        yield from (each for each in context.running.made_claims if each[0])
        return
    status = pod.status
    for each in (status.resource_claim_statuses or ()) if status is not None else ():
        yield each.name, each.resource_claim_name or ""


def _pays(context: Context, pod: Pod, claim: str) -> bool:
    """Whether no older pod pays for a claim in all the budgets that this pod is in."""
    own, scopes = _uid(context, pod), _scopes(context, _own_labels(context, pod))
    for user in context.view.device_claim_users(context.namespace, claim):
        if own and user.uid == own:
            return True
        if scopes <= _scopes(context, _stored_labels(context, user.labels)):
            return False
    return True


def _scopes(context: Context, labels: Mapping[str, str]) -> frozenset[int]:
    """Return which budgets a pod of the namespace is in that is charged by these labels."""
    scopes = context.budget_scopes
    if not scopes:
        return _NOWHERE
    info = context.namespace_info
    namespace_labels = info.labels if info is not None else _NO_LABELS
    return frozenset(n for n, covers in enumerate(scopes) if covers(context.namespace, namespace_labels, labels))


_NOWHERE: Final[frozenset[int]] = frozenset()


def _uid(context: Context, pod: Pod) -> str:
    if context.running is not None:
        return context.running.uid
    return (pod.metadata.uid or "") if pod.metadata is not None else ""


def _own_labels(context: Context, pod: Pod) -> Mapping[str, str]:
    """Return the labels that a pod is charged by: the one of the context, or the stored one before an update."""
    if pod is context.pod and context.charged_by is not None:
        return context.charged_by.own(context)
    return _stored_labels(context, (pod.metadata.labels or _NO_LABELS) if pod.metadata is not None else _NO_LABELS)


def _stored_labels(context: Context, labels: Mapping[str, str]) -> Mapping[str, str]:
    return context.charged_by.stored(context, labels) if context.charged_by is not None else labels
