"""A short run of the long hunt of ``python -m tests.fuzz``, and that the hunt finds what it looks for."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.fuzz import __main__ as hunt
from tests.fuzz import _oracle, _webhooks
from tests.fuzz._verdicts import Verdicts


@pytest.mark.parametrize("mode", ["enforce", "audit"])
def test_every_damaged_review_gets_a_verdict_in_process(tmp_path: Path, mode: str) -> None:
    verdicts, _ = hunt.in_process(_webhooks.cluster(tmp_path), 700, 20261130, mode)
    assert verdicts.wrong == []
    assert min(verdicts.counts[what] for what in ("allowed", "no review")) > 20
    assert (verdicts.counts["patches"] > 10) == (mode == "enforce")


def test_every_damaged_review_gets_a_verdict_over_https(tmp_path: Path) -> None:
    verdicts, _ = hunt.over_https(_webhooks.cluster(tmp_path), tmp_path, 400, 20261130)
    assert verdicts.wrong == []
    assert verdicts.counts["allowed"] > 20


REVIEW = factories.review(factories.pod())
BODY = json.dumps(REVIEW).encode()


def answer(**response: Any) -> tuple[int, bytes]:  # noqa: ANN401  any JSON
    whole = {"uid": "review-1", "allowed": True, **response}
    document = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": whole}
    return 200, json.dumps(document).encode()


def patch(*operations: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(operations).encode()).decode()


CPU = "/spec/containers/0/resources/requests/cpu"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ((500, b"{}"), "status 500"),
        ((413, b"{}"), "status 413"),
        ((400, b"{}"), "400 for an AdmissionReview v1"),
        (answer(uid=""), "no uid, or another one"),
        (answer(uid="other"), "no uid, or another one"),
        (answer(allowed=None), "no verdict"),
        (answer(warnings=["a\nb"]), "a text that is none for people"),
        (answer(status={"message": "KeyError: 'x'"}), "a text that is none for people"),
        (answer(patch=patch({"op": "remove", "path": "/none"})), "patch does not apply"),
        (answer(patch="eA=="), "patch does not apply"),
        (answer(allowed=False, patch=patch({"op": "add", "path": "/x", "value": 1})), "patch where none belongs"),
        (answer(patch=patch({"op": "add", "path": "/x", "value": 1})), "patch is not idempotent"),
        (answer(patch=patch({"op": "replace", "path": CPU, "value": "-1"})), "patched pod is refused"),
    ],
)
def test_the_hunt_sees_an_answer_that_must_not_be(given: tuple[int, bytes], what: str) -> None:
    verdicts = Verdicts(lambda _path, _body: given, {})
    verdicts.judge("/mutate", BODY)
    assert verdicts.counts[f"WRONG: {what}"] >= 1
    assert verdicts.wrong


def test_the_hunt_takes_a_definite_answer() -> None:
    verdicts = Verdicts(lambda _path, _body: answer(allowed=False, status={"message": "policy x: no; to fix: y"}), {})
    verdicts.judge("/validate", BODY)
    assert verdicts.wrong == []
    assert verdicts.counts == {"refused": 1}


def limits(kind: str = "Container", **item: Any) -> list[dict[str, Any]]:  # noqa: ANN401  any JSON
    return [{"spec": {"limits": [{"type": kind, **item}]}}]


def pod(requests: dict[str, str], limits: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    resources: dict[str, Any] = {"requests": requests, **({"limits": limits} if limits is not None else {})}
    return {"spec": {"containers": [{"name": "app", "resources": resources}], **more}}


@pytest.mark.parametrize(
    ("document", "ranges"),
    [
        (pod({"cpu": "1"}), []),
        (pod({"cpu": "1"}, {"cpu": "1000m"}), limits(max={"cpu": "1"})),
        (pod({}), limits(default={"cpu": "2"}, defaultRequest={"cpu": "1"}, min={"cpu": "1"}, max={"cpu": "2"})),
        (pod({"cpu": "500m"}, {"cpu": "1"}), limits(maxLimitRequestRatio={"cpu": "2"})),
        (pod({"cpu": "1"}, {"cpu": "1"}, initContainers=[{"name": "i"}]), limits("Pod", max={"cpu": "1"})),
    ],
)
def test_the_oracle_takes_what_an_api_server_takes(document: dict[str, Any], ranges: list[dict[str, Any]]) -> None:
    assert _oracle.problems(document, ranges) == []


@pytest.mark.parametrize(
    ("document", "ranges"),
    [
        (pod({"cpu": "x"}), []),
        (pod({"cpu": "-1"}), []),
        (pod({"cpu": "2"}, {"cpu": "1"}), []),
        (pod({"cpu": "1"}), limits(max={"cpu": "2"})),
        (pod({}), limits(min={"cpu": "1"})),
        (pod({"cpu": "499m"}, {"cpu": "1"}), limits(maxLimitRequestRatio={"cpu": "2"})),
        (pod({}), limits(defaultRequest={"cpu": "2"}, default={"cpu": "1"})),
        (
            pod({"cpu": "1"}, {"cpu": "1"}, initContainers=[{"name": "i", "resources": {"limits": {"cpu": "2"}}}]),
            limits("Pod", max={"cpu": "1"}),
        ),
    ],
)
def test_the_oracle_refuses_what_an_api_server_refuses(document: dict[str, Any], ranges: list[dict[str, Any]]) -> None:
    assert _oracle.problems(document, ranges) != []


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1k", 1000), ("1Ki", 1024), (".5", 0.5), ("1e3", 1000), ("100m", 0.1), ("+2", 2), ("1.", 1), (3, 3)],
)
def test_the_oracle_reads_quantities(text: object, value: float) -> None:
    found = _oracle.quantity(text)
    assert found is not None
    assert float(found) == value


@pytest.mark.parametrize("text", ["", "x", "1 ", "1KI", "1e", True, None, [], "9" * 100])
def test_the_oracle_knows_what_is_no_quantity(text: object) -> None:
    assert _oracle.quantity(text) is None
