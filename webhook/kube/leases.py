"""A Lease as it is used to elect a leader: read, create, replace, under the version that was read."""

import datetime as dt
from typing import NamedTuple

from webhook.kube import client as api
from webhook.kube import rest as objects

_MICRO_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


class LeaseRecord(NamedTuple):
    """Who holds a Lease, as far as an election looks at it."""

    holder: str
    """Empty where nobody does."""
    seconds: int
    """How long a holder that is silent keeps it."""
    transitions: int
    acquired: str
    """A MicroTime as it is on the wire: copied while the holder stays the same."""
    renewed: str
    """A MicroTime; only whether it changes matters, for the clock it comes from may be wrong."""


class StoredLease(NamedTuple):
    """A Lease as it was read."""

    record: LeaseRecord
    document: objects.Json

    @property
    def version(self) -> str:
        """Return the resource version."""
        return objects.resource_version(self.document)


class LeaseStore:
    """One Lease by its name."""

    def __init__(self, rest: objects.Rest, namespace: str, name: str) -> None:
        self._rest = rest
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self.path = f"{self._collection}/{name}"
        """Where it lies, for messages."""
        self._name = name

    def read(self) -> StoredLease | None:
        """Return the Lease; None where it does not exist.

        Raises:
            ApiError: it cannot be read.
        """
        try:
            document = objects.get(self._rest, self.path)
        except api.NotFoundError:
            return None
        return StoredLease(_record(document), document)

    def write(self, record: LeaseRecord, before: StoredLease | None) -> StoredLease:
        """Store a record and return it as stored.

        Args:
            record: the new content.
            before: what was read; None to create the Lease.

        Raises:
            ConflictError: it was changed, created or deleted meanwhile.
            ApiError: it cannot be written.
        """
        spec = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.seconds,
            "acquireTime": record.acquired,
            "renewTime": record.renewed,
            "leaseTransitions": record.transitions,
        }
        if before is not None:
            given = before.document.get("spec")
            kept = given if isinstance(given, dict) else {}
            document = objects.replace(self._rest, self.path, {**before.document, "spec": {**kept, **spec}})
        else:
            content: objects.Json = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "labels": {"app.kubernetes.io/managed-by": "podgate"}},
                "spec": spec,
            }
            document = objects.create(self._rest, self._collection, content)
        return StoredLease(_record(document), document)


def micro_time(moment: dt.datetime) -> str:
    """Return an aware time as a Lease has it."""
    return moment.astimezone(dt.UTC).strftime(_MICRO_TIME)


def _record(document: objects.Json) -> LeaseRecord:
    given = document.get("spec")
    spec = given if isinstance(given, dict) else {}
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        seconds=_number(spec.get("leaseDurationSeconds")),
        transitions=_number(spec.get("leaseTransitions")),
        acquired=str(spec.get("acquireTime") or ""),
        renewed=str(spec.get("renewTime") or ""),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
