"""Conditions in the ``status`` of our own custom resources: what is there, and how one of them is written.

Only the status subresource is patched, so nothing that an author wrote can be changed. The patch names the version
that was seen: where the object has changed since, the API server answers 409 and the verdict is made anew. A merge
patch replaces a list as a whole, so conditions of other types are written back as they were seen.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from webhook.kube import rest as objects


class Held(NamedTuple):
    """An object as a watch saw it, as far as conditions go.

    Attributes:
        path: of the object, without ``/status``.
        version: its resource version.
        generation: counts versions of the spec; 0 where the API server gave none.
        conditions: all that it has.
        uid: of the object.
        status: the rest of its status.
    """

    path: str
    version: str
    generation: int
    conditions: tuple[Mapping[str, Any], ...]
    uid: str = ""
    status: Mapping[str, Any] = {}


class Condition(NamedTuple):
    """One condition, without the times.

    Attributes:
        type: what it is about.
        holds: whether it is so.
        reason: a word in CamelCase.
        message: one line for people.
    """

    type: str
    holds: bool
    reason: str
    message: str


def read_conditions(path: str, document: Mapping[str, Any]) -> Held:
    """Return what there is to know of an object; what is no condition is left out."""
    metadata, status = (document.get(name) for name in ("metadata", "status"))
    metadata = metadata if isinstance(metadata, dict) else {}
    found = status.get("conditions") if isinstance(status, dict) else None
    conditions = tuple(each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()
    generation = metadata.get("generation")
    return Held(
        path,
        str(metadata.get("resourceVersion") or ""),
        generation if isinstance(generation, int) else 0,
        conditions,
        str(metadata.get("uid") or ""),
        {name: each for name, each in status.items() if name != "conditions"} if isinstance(status, dict) else {},
    )


def says(seen: Held, wanted: Condition) -> bool:
    """Whether the object says so already, of the version of the spec that it has now. Times are not compared."""
    found = _of_type(seen, wanted.type)
    return found is not None and all(found.get(name) == value for name, value in _content(seen, wanted).items())


def is_judged(seen: Held, kind: str) -> bool:
    """Whether a condition of this type is about the version of the spec that the object has now."""
    found = _of_type(seen, kind)
    return found is not None and found.get("observedGeneration") == seen.generation


_NOTHING: Mapping[str, Any] = {}


def write(
    rest: objects.Rest, seen: Held, wanted: Condition, now: dt.datetime, others: Mapping[str, Any] = _NOTHING
) -> bool:
    """Write one condition; return whether the API server kept it, which it does not where the kind has no status.

    Args:
        rest: the API server.
        seen: the object; the write fails where it has changed since.
        wanted: the condition.
        now: aware; the time of the transition where there is one.
        others: fields of the status that are written with it.

    Raises:
        ConflictError: the object has changed since.
        NotFoundError: it is gone, or its kind has no status.
        ApiError: the subclass says what is wrong.
    """
    stored = read_conditions(
        seen.path, write_status(rest, seen, {**others, "conditions": merged(seen, (wanted,), now)})
    )
    is_whole = all(stored.status.get(name) == value for name, value in others.items())
    return is_whole and says(stored._replace(generation=seen.generation), wanted)


def write_status(rest: objects.Rest, seen: Held, status: Mapping[str, Any]) -> objects.Json:
    """Merge fields into the status of an object, under the version that was seen; return what is stored.

    Raises:
        ConflictError: the object has changed since.
        NotFoundError: it is gone, or its kind has no status.
        ApiError: the subclass says what is wrong.
    """
    content = {"metadata": {"resourceVersion": seen.version}, "status": dict(status)}
    return objects.merge(rest, f"{seen.path}/status", content)


def merged(seen: Held, wanted: Sequence[Condition], now: dt.datetime) -> list[dict[str, Any]]:
    """Return the whole list of an object's conditions with these in it; others stay as they were seen."""
    types = {each.type for each in wanted}
    others = [dict(each) for each in seen.conditions if each.get("type") not in types]
    return [*others, *(_timed(seen, each, now) for each in wanted)]


def _timed(seen: Held, wanted: Condition, now: dt.datetime) -> dict[str, Any]:
    before = _of_type(seen, wanted.type)
    content = _content(seen, wanted)
    since = before.get("lastTransitionTime") if before is not None else None
    if before is None or before.get("status") != content["status"] or not since:
        since = now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**content, "lastTransitionTime": since}


def _of_type(seen: Held, wanted: str) -> Mapping[str, Any] | None:
    return next((each for each in seen.conditions if each.get("type") == wanted), None)


def _content(seen: Held, wanted: Condition) -> dict[str, Any]:
    return {
        "type": wanted.type,
        "status": "True" if wanted.holds else "False",
        "reason": wanted.reason,
        "message": wanted.message,
        "observedGeneration": seen.generation,
    }
