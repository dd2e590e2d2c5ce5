"""Replays recorded AdmissionReviews against a running webhook, the way an API server would call it.

Each recorded object goes through the mutating call, gets the patch, the name and the UID that an API server would give
it, and goes through the validating call. What was recorded is sent as recorded, apart from namespaces that are mapped
onto those of another cluster, and the user-chosen rest of the object is never touched.
"""

import base64
import gzip
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jsonpatch

from webhook.admission.decision import summary
from webhook.simulate.formats.result import ItemVerdict

_TIMEOUT_SECONDS = 10.0


class ReplayError(Exception):
    """A recording that cannot be read, or a webhook that does not answer like one; one line with the cure."""


class Replayed(NamedTuple):
    """What became of one recorded object."""

    kind: str
    namespace: str
    name: str
    operation: str
    verdict: ItemVerdict
    text: str
    """The reason, or what was set."""
    patch: list[dict[str, Any]]
    before: str
    """Monthly cost as received, a decimal string; empty where it was not priced."""
    after: str
    currency: str


def read_recording(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the AdmissionReviews of a ``.jsonl`` or ``.jsonl.gz`` file, one a line.

    Raises:
        ReplayError: the file cannot be read, or a line is no AdmissionReview.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, text in enumerate(lines, 1):
                if not text.strip():
                    continue
                review = json.loads(text)
                if not isinstance(review, dict) or not isinstance(review.get("request"), dict):
                    raise ReplayError(
                        f"{path}:{number}: is no AdmissionReview; record the body of the call, one a line"
                    )
                yield review
    except (OSError, EOFError, ValueError) as error:
        raise ReplayError(f"{path}: cannot be read ({error}); give a .jsonl or .jsonl.gz file of reviews") from None


def replay(client: httpx.Client, review: dict[str, Any], namespaces: Mapping[str, str]) -> Replayed:
    """Send one recorded object through both calls.

    Args:
        client: with the webhook's address as its base URL.
        review: as recorded.
        namespaces: recorded namespace to the one to use.

    Raises:
        ReplayError: the webhook answered something that is no AdmissionReview for this request.
    """
    request = _moved(review["request"], namespaces)
    review = {**review, "request": request}
    mutated = _call(client, "/mutate", review)
    patch = _patch_of(mutated)
    if patch:
        request["object"] = jsonpatch.JsonPatch.from_string(json.dumps(patch)).apply(request["object"])
    _as_stored(request)
    validated = _call(client, "/validate", review) if mutated["allowed"] else mutated
    return _summary(request, mutated, validated, patch)


def _moved(request: dict[str, Any], namespaces: Mapping[str, str]) -> dict[str, Any]:
    """Return the request in the mapped namespace; nothing recorded is changed in place."""
    moved = json.loads(json.dumps(request))
    target = namespaces.get(str(moved.get("namespace")))
    if target is not None:
        moved["namespace"] = target
        for field in ("object", "oldObject"):
            metadata = (moved.get(field) or {}).get("metadata")
            if isinstance(metadata, dict) and "namespace" in metadata:
                metadata["namespace"] = target
    return dict(moved)


def _as_stored(request: dict[str, Any]) -> None:
    """Give a new object what the API server gives it between the two calls."""
    metadata = (request.get("object") or {}).get("metadata")
    if isinstance(metadata, dict) and request.get("operation") == "CREATE":
        metadata.setdefault("uid", str(uuid.uuid4()))
        if "name" not in metadata:
            metadata["name"] = f"{metadata.get('generateName', 'object-')}{metadata['uid'][:5]}"
        request["name"] = metadata["name"]
    request["uid"] = str(uuid.uuid4())


def _call(client: httpx.Client, path: str, review: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = client.post(path, json=review, params={"timeout": "10s"}, timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise ReplayError(f"{path}: no answer ({error}); is the webhook running, and is --ca its authority?") from None
    if answer.status_code != 200:
        raise ReplayError(f"{path}: HTTP {answer.status_code}: {answer.text.strip()[:200]}")
    response = answer.json().get("response")
    if not isinstance(response, dict) or response.get("uid") != review["request"]["uid"]:
        raise ReplayError(f"{path}: the answer is no AdmissionReview for this request; is that address Podgate?")
    return response


def _patch_of(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    encoded = response.get("patch")
    return list(json.loads(base64.b64decode(encoded))) if encoded else []


def _summary(
    request: Mapping[str, Any],
    mutated: Mapping[str, Any],
    validated: Mapping[str, Any],
    patch: list[dict[str, Any]],
) -> Replayed:
    notes: dict[str, str] = validated.get("auditAnnotations") or {}
    mutating_notes: dict[str, str] = mutated.get("auditAnnotations") or {}
    before = json.loads(mutating_notes.get("cost", "{}"))
    after = json.loads(notes.get("cost", "{}"))
    verdict, text = _verdict(mutated, validated, patch)
    owner = ((request.get("object") or {}).get("metadata") or {}).get("ownerReferences") or [{}]
    name = f"{owner[0]['name']} (pod)" if owner[0].get("name") else str(request.get("name") or "")
    kind = request["kind"]["kind"]
    if verdict == "would change" and kind != "Pod":
        text = f"its pods get {text}"
    return Replayed(
        kind=kind,
        namespace=str(request.get("namespace") or ""),
        name=name,
        operation="/".join(filter(None, (request["operation"], request.get("subResource")))),
        verdict=verdict,
        text=text,
        patch=patch,
        before=str(before.get("monthlyBefore", "")),
        after=str((after or before).get("monthlyAfter", "")),
        currency=str(after.get("currency") or before.get("currency") or ""),
    )


def _verdict(
    mutated: Mapping[str, Any], validated: Mapping[str, Any], patch: list[dict[str, Any]]
) -> tuple[ItemVerdict, str]:
    notes: dict[str, str] = validated.get("auditAnnotations") or {}
    mutating_notes: dict[str, str] = mutated.get("auditAnnotations") or {}
    warnings = [*mutated.get("warnings", ()), *validated.get("warnings", ())]
    if not validated["allowed"]:
        return "refused", str((validated.get("status") or {}).get("message", ""))
    if not notes and not mutating_notes:
        return "not judged", ""
    told = [text for text in dict.fromkeys(warnings) if text.startswith("policy ")]
    if told:
        return "warned", " | ".join(told)
    if patch:
        return "changed", ""
    if notes.get("would") == "refused":
        return "would refuse", notes.get("findings", "").replace("\n", " | ")
    if "patch" in mutating_notes:
        return "would change", _held_back(mutating_notes["patch"])
    return "passed", ""


def _held_back(patch: str) -> str:
    """Return in words what a mode holds back, or what the pods of a workload will get."""
    try:
        operations = json.loads(patch)
    except ValueError:
        return "a patch too long for the audit annotation; it is in the decision log"
    return summary(operations)
