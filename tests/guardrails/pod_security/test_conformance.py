"""Verdicts and messages equal those of Kubernetes: its own test data, edge cases, and what an API server answered."""

import functools
import gzip
import json
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tests.guardrails.pod_security.tables import Json, context_of, decode
from webhook.guardrails import pod_security
from webhook.guardrails.pod_security._registry import Level
from webhook.guardrails.pod_security._significance import judges
from webhook.kube.defaults import apply_pod_defaults
from webhook.kube.objects import Pod, PodSpec
from webhook.policy.pod_security import PodSecuritySection

DATA = Path(__file__).parents[2] / "data" / "pod_security"


def rows(name: str) -> list[Json]:
    """Return the documents of one data file."""
    return [json.loads(line) for line in gzip.decompress((DATA / name).read_bytes()).splitlines()]


def text_of(level: str, version: str, pod: Pod) -> str:
    """Return the detailed text of a verdict; empty where the pod passes."""
    violations = pod_security.evaluate(cast("Level", level), version, pod.metadata, pod.spec or PodSpec())
    return pod_security.violation_text(violations)


def defaulted(document: Json) -> Pod:
    """Return the typed pod as the API server would store it."""
    pod = decode(document)
    apply_pod_defaults(pod)
    return pod


FIXTURES = rows("fixtures.jsonl.gz")
EDGES = rows("edge.jsonl.gz")


@pytest.mark.parametrize("row", FIXTURES, ids=[f"{row['check']}-{number}" for number, row in enumerate(FIXTURES)])
def test_upstream_fixtures_get_the_verdict_of_upstream(row: Json) -> None:
    pod = defaulted(row["pod"]) if row.get("needsDefaulting") else decode(row["pod"])
    for expected in row["expect"]:
        first, last = (int(expected[key].removeprefix("v1.")) for key in ("versionMin", "versionMax"))
        for minor in {first, (first + last) // 2, last}:
            text = text_of(expected["level"], f"v1.{minor}", pod)
            assert (text == "") == (expected["expect"] == "pass"), (minor, text)
            assert text == (expected["derivedMessage"] or ""), minor


@pytest.mark.parametrize("row", EDGES, ids=[row["id"] for row in EDGES])
def test_edge_cases_get_the_exact_message(row: Json) -> None:
    level, version = row["level"], row["version"]
    pod = defaulted(row["pod"]) if row.get("defaulting") == "api" else decode(row["pod"])
    violations = pod_security.evaluate(level, version, pod.metadata, pod.spec or PodSpec())
    assert (not violations) == (row["expect"] == "pass")
    assert pod_security.violation_text(violations) == row["message"]
    if "denial" in row:
        assert f'pods "edge" is forbidden: {pod_security.denial_text(level, version, violations)}' == row["denial"]
        assert pod_security.would_text(level, version, violations) == row["warning"]


def test_recorded_pods_get_the_verdict_of_a_real_api_server() -> None:
    recorded = rows("recorded.jsonl.gz")
    differences = []
    for row in recorded:
        pod = decode(row["pod"])
        if row["kind"] == "template":
            apply_pod_defaults(pod)
        for level in ("baseline", "restricted"):
            text = text_of(level, "latest", pod)
            said = f'violates PodSecurity "{level}:latest": {text}' if text else ""
            if said != row[level]:
                differences.append((row["source"], level, said, row[level]))
    assert len(recorded) > 1000
    assert differences == []


@functools.cache
def _rule(level: Level, version: str) -> Any:  # noqa: ANN401  the rule is the guardrail's own
    return pod_security.GUARDRAIL.compile(PodSecuritySection.model_validate({"level": level, "version": version}))


ADMISSIONS = rows("admission.jsonl.gz")


@pytest.mark.parametrize("row", ADMISSIONS, ids=[row["id"] for row in ADMISSIONS])
def test_requests_about_pods_are_answered_as_by_the_built_in_plugin(row: Json) -> None:
    request, labels = row["request"], row["namespaceLabels"]
    prefix = "pod-security.kubernetes.io/enforce"
    rule = _rule(labels[prefix], labels.get(f"{prefix}-version", "latest"))
    old = request.get("oldObject")
    context = context_of(
        request.get("object") or {},
        operation=request["operation"],
        subresource=request["subresource"],
        old_pod=msgspec.convert(old, Pod) if old else None,
    )
    findings = pod_security.GUARDRAIL.inspect(rule, context) if judges(context) else ()
    name = f'pods "{request["name"]}"' if request["name"] else "pods"
    said = [f"{name} is forbidden: {finding.message}" for finding in findings]
    assert said == ([] if row["expect"]["allowed"] else [row["expect"]["message"]])
