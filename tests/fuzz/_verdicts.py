"""What may be answered to a damaged review, and what is counted."""

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonpatch

from tests.fuzz import _oracle

JsonObject = dict[str, Any]
Ask = Callable[[str, bytes], tuple[int, bytes]]
"""Sends a body to a path; returns status and body of the answer."""

API_VERSION = "admission.k8s.io/v1"
_LONE = re.compile("[\ud800-\udfff]")


class Verdicts:
    """Sends bodies, checks what comes back, and counts.

    Args:
        ask: the webhook.
        limit_ranges: by namespace, those of the cluster.
    """

    def __init__(self, ask: Ask, limit_ranges: Mapping[str, Sequence[JsonObject]]) -> None:
        self._ask = ask
        self._limit_ranges = limit_ranges
        self.counts: Counter[str] = Counter()
        """``allowed``, ``refused``, ``no review``, ``patches``, and what is wrong by what."""
        self.wrong: list[str] = []
        """One line for each thing that must not be."""

    def judge(self, path: str, body: bytes) -> None:
        """Send one body, and where the answer has a patch the patched object again."""
        review = _parsed(body)
        response = self._answer(path, body, review)
        if response is None or not response.get("patch") or review is None:
            return
        self.counts["patches"] += 1
        before = review["request"]["object"]
        try:
            patch = base64.b64decode(response["patch"]).decode()
            after = jsonpatch.JsonPatch.from_string(patch).apply(before)
            again = json.dumps({**review, "request": {**review["request"], "object": after}}).encode()
        except RecursionError:
            self.counts["patches too deep to be applied here"] += (
                1  # By these libraries; an API server has no such limit.
            )
            return
        except (jsonpatch.JsonPatchException, ValueError) as error:
            self._wrong("patch does not apply", f"{path} {error!r}"[:300], body)
            return
        if not response["allowed"] or path != "/mutate":
            self._wrong("patch where none belongs", path, body)
        second = self._answer(path, again, review)
        if second is not None and second.get("patch"):
            text = base64.b64decode(second["patch"]).decode()
            self._wrong("patch is not idempotent", f"{patch[:300]} then {text[:300]}", body)
        if review["request"].get("kind", {}).get("kind") == "Pod":
            self._accepted(review["request"].get("namespace"), before, after, body)

    def _accepted(self, namespace: object, before: JsonObject, after: JsonObject, body: bytes) -> None:
        """A pod that an API server takes as it came must be taken as it is after the patch."""
        ranges = self._limit_ranges.get(str(namespace), ())
        try:
            if _oracle.problems(before, ranges):
                return
        except (AttributeError, TypeError, ValueError):
            return  # Its shape is no pod's; an API server would not have sent it.
        found = _oracle.problems(after, ranges)
        self.counts["pods accepted before and after"] += 1
        if found:
            self._wrong("patched pod is refused", "; ".join(found)[:300], body)

    def _answer(self, path: str, body: bytes, review: JsonObject | None) -> JsonObject | None:
        status, content = self._ask(path, body)
        if status != 200:
            self.counts["no review"] += 1
            if status != 400:
                self._wrong(f"status {status}", content.decode(errors="replace")[:300], body)
            elif review is not None:
                self._wrong("400 for an AdmissionReview v1", content.decode(errors="replace")[:300], body)
            elif b"\n" in content.strip() or len(content) > 1_000:
                self._wrong("an error of more than a line", content.decode(errors="replace")[:300], body)
            return None
        decoded = json.loads(content)
        response: JsonObject = decoded.get("response") or {}
        uid = response.get("uid")
        if decoded.get("apiVersion") != API_VERSION or decoded.get("kind") != "AdmissionReview":
            self._wrong("answer is no AdmissionReview", content.decode()[:300], body)
        if not isinstance(uid, str) or not uid or (review is not None and uid != review["request"]["uid"]):
            self._wrong("no uid, or another one", repr(uid), body)
        if not isinstance(response.get("allowed"), bool):
            self._wrong("no verdict", content.decode()[:300], body)
            return None
        for text in (*response.get("warnings", ()), (response.get("status") or {}).get("message", "")):
            if not text.isprintable() or "Error:" in text or "Traceback" in text:
                self._wrong("a text that is none for people", text[:300], body)
        self.counts["allowed" if response["allowed"] else "refused"] += 1
        return response

    def _wrong(self, what: str, detail: str, body: bytes) -> None:
        self.counts[f"WRONG: {what}"] += 1
        if len(self.wrong) < 50:
            self.wrong.append(f"{what}: {detail} [{len(body)} bytes: {body[:200]!r}]")


def _parsed(body: bytes) -> JsonObject | None:
    """Return the body where it is an AdmissionReview v1 whose request has a UID, read by another parser than ours."""
    try:
        review = json.loads(body)
    except (ValueError, RecursionError):
        return None  # Python's own parser gives up at depths that an API server sends.
    if not isinstance(review, dict) or review.get("apiVersion") != API_VERSION:
        return None
    request = review.get("request")
    if review.get("kind") != "AdmissionReview" or not isinstance(request, dict):
        return None
    uid = request.get("uid")
    # Half of a surrogate pair is JSON, and no text that an answer could repeat.
    return review if isinstance(uid, str) and uid and not _LONE.search(uid) else None
