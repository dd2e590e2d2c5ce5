"""A cluster in which the pods of the input exist once they are let in, so that those after them share what they hold.

Several pods may use one ResourceClaim, or mount one persistent volume claim, and one of them pays for it. Guardrails
decide which, and ask the view who uses a claim. A live cluster answers with the pods that were admitted before, and so
does this view.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from webhook.cluster import pod_claims
from webhook.cluster.snapshot import cluster_pod
from webhook.cluster.view import ClaimUser, View
from webhook.kube.objects import Pod

_ClaimName = tuple[str, str]
"""Namespace and name."""


class _User(NamedTuple):
    """A pod of the input."""

    namespace: str = ""
    name: str = ""
    """Empty where the API server makes one up: each such pod is another one."""
    uid: str = ""
    labels: Mapping[str, str] = {}

    def is_same(self, other: "_User") -> bool:
        """Whether both are one pod, applied once more."""
        has_name = bool(self.name) and self.name == other.name
        return self.namespace == other.namespace and (has_name or (bool(self.uid) and self.uid == other.uid))


_NOBODY: Final = _User()
_NO_CLAIMS: Final[frozenset[str]] = frozenset()


class Admitted:
    """Answers as the view that it is made of, and knows the pods that were let in as users of claims.

    One pod is looked at after the other: say which (`look_at`), judge it, and say whether it is let in (`let_in`).
    """

    def __init__(self, view: View) -> None:
        """Args:
        view: the cluster; it stays as it is.
        """
        self._cluster = view
        self._number = 0
        self._looked_at = _NOBODY
        self._claims = _NO_CLAIMS, _NO_CLAIMS
        self._users: tuple[dict[_ClaimName, list[_User]], dict[_ClaimName, list[_User]]] = {}, {}
        """Of ResourceClaims, and of persistent volume claims."""

    @property
    def view(self) -> View:
        """The cluster, and the pods that were let in."""
        return cast("View", self)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever else the view answers
        return getattr(self._cluster, name)

    def look_at(self, namespace: str, pod: Pod) -> None:
        """Say which pod is judged next; it shares nothing with itself."""
        metadata, spec = pod.metadata, pod.spec
        name, uid = (metadata.name or "", metadata.uid or "") if metadata is not None else ("", "")
        self._looked_at = _User(namespace, name, uid)
        # What its status says was made for it is not believed of a pod that is being created.
        devices = pod_claims.names(spec.resource_claims if spec is not None else None, ())
        self._claims = devices, frozenset(cluster_pod(uid, namespace, pod).claims)

    @property
    def uses_claims(self) -> bool:
        """Whether the pod that is looked at uses claims that others may use as well."""
        return any(self._claims)

    def let_in(self, labels: Mapping[str, str]) -> None:
        """Let the pod that is looked at exist from now on.

        Args:
            labels: that it is stored with.
        """
        this = self._looked_at
        self._number += 1
        # No cluster gives such a UID, so no other pod is taken for this one.
        stored = this._replace(uid=this.uid or f"input {self._number}", labels=labels)
        for users, names in zip(self._users, self._claims, strict=True):
            for name in names:
                known = users.setdefault((this.namespace, name), [])
                if not any(each.is_same(this) for each in known):
                    known.append(stored)

    def device_claim_users(self, namespace: str, name: str) -> Iterator[ClaimUser]:
        """Yield the pods that use a ResourceClaim, the oldest first; those of the input are the youngest."""
        yield from self._cluster.device_claim_users(namespace, name)
        for each in self._before(self._users[0], (namespace, name)):
            yield ClaimUser("", each.uid, each.labels)

    def claim_payer(self, namespace: str, name: str) -> str | None:
        """Return the UID of the pod that a persistent volume claim is counted with: the oldest that mounts it."""
        payer = self._cluster.claim_payer(namespace, name)
        if payer is not None:
            return payer
        return next((each.uid for each in self._before(self._users[1], (namespace, name))), None)

    def _before(self, users: Mapping[_ClaimName, list[_User]], claim: _ClaimName) -> Iterator[_User]:
        """Yield the pods of the input that used a claim before the one that is looked at."""
        for each in users.get(claim, ()):
            if each.is_same(self._looked_at):
                return
            yield each
