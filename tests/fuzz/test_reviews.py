"""Recorded reviews, damaged at random, on every path: a definite answer or one line about the body, nothing else.

``PODGATE_FUZZ_EXAMPLES`` sets how many reviews are tried, for a longer hunt than the suite has time for.
"""

import base64
import copy
import functools
import gzip
import json
import os
from pathlib import Path
from typing import Any

import jsonpatch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.fuzz import _nasty
from webhook import assembly
from webhook.admission.engine import PHASES
from webhook.admission.request import BadReview
from webhook.admission.ruleset import Ruleset
from webhook.cluster.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("PODGATE_FUZZ_EXAMPLES", "300"))


@functools.cache
def _world() -> factories.World:
    rules = Ruleset(assembly.load_policies(ROOT / "policies"), ("podgate",))
    return factories.World(rules=rules, view=Snapshot.from_directory(ROOT / "manifests" / "embedded"))


@functools.cache
def _recorded() -> list[bytes]:
    with gzip.open(ROOT / "manifests" / "recorded" / "reviews.jsonl.gz") as lines:
        return list(lines)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """Return a recorded review with up to six nodes deleted, replaced, duplicated or added."""
    review: dict[str, Any] = json.loads(draw(st.sampled_from(_recorded())))
    request = review["request"]
    moved = draw(st.sampled_from(["team-alpha", "team-alpha", "batch-jobs", "monitoring", "ci-cd", "unknown", ""]))
    if moved:
        request["namespace"] = moved
    for field in ("object", "oldObject"):
        if isinstance(request.get(field), dict):
            request[field].get("metadata", {}).pop("managedFields", None)
    for _ in range(draw(st.integers(0, 6))):
        root = review if draw(st.integers(0, 9)) == 0 else request.get("object") or request
        places = _nasty.places(root, [])
        if not places:
            break
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        nasty = copy.deepcopy(draw(st.sampled_from(_nasty.VALUES)))
        match draw(st.sampled_from(["delete", "replace", "replace", "duplicate", "add"])):
            case "delete":
                del holder[key]
            case "replace":
                holder[key] = nasty
            case "duplicate" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case "duplicate":
                holder[f"{key}-again"] = copy.deepcopy(holder[key])
            case _ if isinstance(holder, list):
                holder.insert(key, nasty)
            case _:
                holder[draw(st.sampled_from(_nasty.KEYS))] = nasty
    return review


def _judge_reason(error: BadReview) -> None:
    assert error.status == 400
    assert error.reason
    assert error.reason.isprintable(), error.reason
    assert len(error.reason) < 500


def _answer(path: str, review: dict[str, Any]) -> dict[str, Any] | None:
    """Return the response, or None where the body is refused in one line."""
    world = _world()
    try:
        encoded, after = world.engine.answer(path, json.dumps(review).encode())
    except BadReview as error:
        _judge_reason(error)
        return None
    faults = world.sample("podgate_recorder_faults_total")
    if after is not None:
        after()
        world.lines.clear()
    assert world.sample("podgate_recorder_faults_total") == faults
    decoded = json.loads(encoded)
    assert decoded["apiVersion"] == "admission.k8s.io/v1"
    assert decoded["kind"] == "AdmissionReview"
    response: dict[str, Any] = decoded["response"]
    assert response["uid"] == review["request"]["uid"]
    assert isinstance(response["allowed"], bool)
    for text in (*response.get("warnings", ()), response.get("status", {}).get("message", "")):
        assert text.isprintable(), text
        assert "Error:" not in text, text
    return response


@settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == 300,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(damaged(), st.sampled_from(sorted(PHASES)))
def test_a_damaged_review_gets_a_definite_answer_or_one_line(review: dict[str, Any], path: str) -> None:
    response = _answer(path, review)
    if response is None or "patch" not in response:
        return
    assert path == "/mutate"
    assert response["allowed"]
    patch = base64.b64decode(response["patch"]).decode()
    patched = jsonpatch.JsonPatch.from_string(patch).apply(review["request"]["object"])
    again = _answer(path, {**review, "request": {**review["request"], "object": patched}})
    assert again is not None
    assert "patch" not in again
