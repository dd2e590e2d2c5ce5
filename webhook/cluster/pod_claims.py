"""Which claims a pod uses, by its spec and by what was made for it; for both answers of the cluster view.

An index tells who uses a claim: (creation time, UID) of each pod, the oldest first. It is written by one thread and
read by any.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Protocol

from webhook.kube.pod_devices import ExtendedClaimStatus, PodClaimStatus, PodResourceClaim

_ClaimKey = tuple[str, str]
"""Namespace and name."""
User = tuple[str, str]
"""Creation time and UID of a pod."""


class _PodClaimStatus(Protocol):
    resource_claim_statuses: list[PodClaimStatus] | None
    extended_resource_claim_status: ExtendedClaimStatus | None


def made_by(status: _PodClaimStatus) -> tuple[tuple[str, str], ...]:
    """Return the ResourceClaims that were made for a pod, as `webhook.cluster.view.ClusterPod` has them."""
    listed, extended = status.resource_claim_statuses, status.extended_resource_claim_status
    if not listed and extended is None:
        return ()
    found = tuple((sys.intern(each.name), each.resource_claim_name or "") for each in listed or ())
    return found if extended is None else (*found, ("", extended.resource_claim_name))


def names(claims: Iterable[PodResourceClaim] | None, made: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the names of all ResourceClaims that a pod uses."""
    if not claims and not made:
        return _NONE
    named = {each.resource_claim_name for each in claims or () if each.resource_claim_name}
    return frozenset(named | {name for _, name in made if name})


_NONE: frozenset[str] = frozenset()


class Users:
    """Who uses which claim."""

    def __init__(self) -> None:
        self._users: dict[_ClaimKey, list[User]] = {}

    def add(self, namespace: str, claims: Iterable[str], user: User) -> None:
        """Note that a pod uses claims."""
        for name in claims:
            known = self._users.setdefault((namespace, name), [])
            at = bisect_left(known, user)
            if at == len(known) or known[at] != user:
                known.insert(at, user)

    def remove(self, namespace: str, claims: Iterable[str], user: User) -> None:
        """Note that a pod uses them no more."""
        for name in claims:
            known = self._users.get((namespace, name), [])
            at = bisect_left(known, user)
            if at < len(known) and known[at] == user:
                del known[at]
            if not known:
                self._users.pop((namespace, name), None)

    def of(self, namespace: str, name: str) -> Iterator[User]:
        """Yield the users of a claim as they are at this moment, the oldest first."""
        # Iterating while the writer adds may show one twice or leave one out, as a moment earlier or later would.
        yield from self._users.get((namespace, name), ())
