"""Events of the core API on objects of other people: one object a subject and reason, counted up, never one a request.

``kubectl describe`` shows the events whose ``involvedObject`` names the object and its UID. The name of ours follows
from that UID and the reason, so replicas that tell the same thing at the same time add to one count, and a storm of
refusals costs etcd one small object. The API server forgets events by itself, after an hour by default; the next one
starts a new count.

Nothing depends on these writes, and nothing here is called on the path of a review.
"""

import datetime as dt
import hashlib
from typing import Final, Literal, NamedTuple

from webhook.kube import client as api
from webhook.kube import rest as objects

COMPONENT: Final = "podgate"
LONGEST_MESSAGE: Final = 1_024
"""Characters of a message; the API server refuses longer ones."""

_TRIES: Final = 4
"""Attempts at adding to a count that other replicas add to as well."""
_LONGEST_NAME: Final = 200
_CLUSTER_NAMESPACE: Final = "default"
"""Where the API server keeps events about objects that have no namespace."""
_CUT: Final = "..."

Type = Literal["Normal", "Warning"]


class Involved(NamedTuple):
    """The object that an event is about."""

    kind: str
    namespace: str
    """Empty for cluster-wide kinds."""
    name: str
    api_version: str
    uid: str


class EventText(NamedTuple):
    """What an event says."""

    reason: str
    """A word in CamelCase."""
    message: str
    """One line for people; the newest counts. Cut to what the API server takes."""
    times: int = 1
    """How often it happened since it was last told."""
    type: Type = "Warning"


def name_of(involved: Involved, reason: str) -> str:
    """Return the name of the one event that tells this reason about this object."""
    identity = "/".join((involved.kind, involved.namespace, involved.name, involved.uid, reason))
    digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    return f"{involved.name[:_LONGEST_NAME].rstrip('.-')}.{digest}"


def tell(rest: objects.Rest, involved: Involved, told: EventText, now: dt.datetime) -> int:
    """Create the event, or add to its count; return the count that is stored now. Blocking.

    Args:
        rest: the API server.
        involved: what it is about; without a UID ``kubectl describe`` does not find it.
        told: what to say.
        now: aware.

    Raises:
        ConflictError: other replicas were faster each time.
        NotFoundError: the namespace is gone.
        ApiError: the subclass says what is wrong.
    """
    collection = f"/api/v1/namespaces/{involved.namespace or _CLUSTER_NAMESPACE}/events"
    path = f"{collection}/{name_of(involved, told.reason)}"
    moment = now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    last: api.ConflictError | None = None
    for _ in range(_TRIES):
        try:
            seen = _get(rest, path)
            if seen is None:
                return _count(objects.create(rest, collection, _content(involved, told, moment)))
            changes: objects.Json = {
                "metadata": {"resourceVersion": objects.resource_version(seen)},
                "count": _count(seen) + told.times,
                "lastTimestamp": moment,
                "message": shortened(told.message),
                "type": told.type,
            }
            return _count(_merge(rest, path, changes))
        except api.ConflictError as error:
            last = error
    assert last is not None  # noqa: S101  every round returns or sets it
    raise last


def shortened(message: str) -> str:
    """Return a message that fits an event."""
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - len(_CUT)] + _CUT


def _get(rest: objects.Rest, path: str) -> objects.Json | None:
    try:
        return objects.get(rest, path)
    except api.NotFoundError:
        return None


def _merge(rest: objects.Rest, path: str, changes: objects.Json) -> objects.Json:
    try:
        return objects.merge(rest, path, changes)
    except api.NotFoundError as error:
        raise api.ConflictError(f"{error}; it was forgotten meanwhile", 404) from None


def _count(document: objects.Json) -> int:
    count = document.get("count")
    return count if isinstance(count, int) and count > 0 else 0


def _content(involved: Involved, told: EventText, moment: str) -> objects.Json:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": name_of(involved, told.reason),
            "namespace": involved.namespace or _CLUSTER_NAMESPACE,
        },
        "involvedObject": {
            "apiVersion": involved.api_version,
            "kind": involved.kind,
            "namespace": involved.namespace,
            "name": involved.name,
            "uid": involved.uid,
        },
        "reason": told.reason,
        "message": shortened(told.message),
        "type": told.type,
        "count": told.times,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
    }
