"""Pod Security: verdicts, messages, labels of namespaces, and whole requests, as the API server answers them."""

import functools
import json
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from tests import factories as make
from tests.conformance._cases import CaseError, CaseFile, Json, Reason, compare, existing, read_lines
from webhook.admission.ruleset import ALWAYS_EXCLUDED
from webhook.guardrails import pod_security
from webhook.guardrails.pod_security._namespace_labels import NamespaceLevels, Standard, policies_of
from webhook.kube.defaults import apply_pod_defaults
from webhook.kube.objects import Pod, PodSpec
from webhook.policy.pod_security import Level

_KEYS: Final = ("enforce-policy", "audit-violations", "exempt", "error")
"""The audit annotations of the built-in plugin."""


def text_of(level: str, version: str, pod: Pod) -> str:
    """Return the detailed text of a verdict; empty where the pod passes."""
    violations = pod_security.evaluate(cast("Level", level), version, pod.metadata, pod.spec or PodSpec())
    return pod_security.violation_text(violations)


def _typed(document: Json, *, is_raw: bool) -> Pod:
    """Return the pod, with the defaults of the API server where it has not met one."""
    pod = msgspec.convert(document, Pod)
    if is_raw:
        apply_pod_defaults(pod)
    return pod


def of_fixture(row: Json) -> list[str]:
    """Compare verdict and message at the first, a middle and the last version of each expectation."""
    pod = _typed(row["pod"], is_raw=bool(row.get("needsDefaulting")))
    found: list[str] = []
    for expected in row["expect"]:
        first, last = (int(expected[key].removeprefix("v1.")) for key in ("versionMin", "versionMax"))
        for minor in sorted({first, (first + last) // 2, last}):
            text = text_of(expected["level"], f"v1.{minor}", pod)
            where = f"{expected['level']}:v1.{minor}"
            found += compare(f"{where} passes", text == "", expected["expect"] == "pass")
            found += compare(where, text, expected["derivedMessage"] or "")
    return found


def of_edge(row: Json) -> list[str]:
    """Compare verdict, message, denial and warning."""
    level, version = row["level"], row["version"]
    pod = _typed(row["pod"], is_raw=row.get("defaulting") == "api")
    violations = pod_security.evaluate(level, version, pod.metadata, pod.spec or PodSpec())
    found = compare("passes", not violations, row["expect"] == "pass")
    found += compare("message", pod_security.violation_text(violations), row["message"])
    if "denial" in row:
        denial = f'pods "edge" is forbidden: {pod_security.denial_text(level, version, violations)}'
        found += compare("denial", denial, row["denial"])
        found += compare("warning", pod_security.would_text(level, version, violations), row["warning"])
    return found


def of_recorded(row: Json) -> list[str]:
    """Compare with what a real API server said about a recorded pod, or about a template as if it were a pod."""
    pod = _typed(row["pod"], is_raw=row["kind"] == "template")
    found: list[str] = []
    for level in ("baseline", "restricted"):
        if level in row:
            text = text_of(level, "latest", pod)
            found += compare(level, f'violates PodSecurity "{level}:latest": {text}' if text else "", row[level])
    return found


def read_truth(path: Path) -> list[Json]:
    """Put verdicts and the reviews that they are about together; the reviews lie beside them."""
    reviews = existing(path.parent, "reviews.jsonl.gz")
    if reviews is None:
        raise CaseError(f"{path}: reviews.jsonl.gz is not beside it; put it there, it holds the pods")
    lines = read_lines(reviews)
    rows: dict[int, Json] = {}
    for verdict in read_lines(path):
        if verdict["allowed"] is None:
            continue  # The pod is invalid, so Pod Security was never asked.
        number = verdict["line"]
        if number not in rows:
            rows[number] = {"source": f"review {number}", **_pod_of(lines[number - 1]["request"]["object"])}
        message = (verdict["message"] or "").removeprefix('pods "p" is forbidden: ')
        rows[number][verdict["level"]] = "" if verdict["allowed"] else message
    return list(rows.values())


def _pod_of(document: Json) -> Json:
    """Return the pod, or the template as a pod; ephemeral containers as ordinary ones, as they were asked about."""
    spec = document.get("spec") or {}
    if document["kind"] == "Pod":
        kind, pod = "Pod", document
    else:
        kind = "template"
        outer = spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec
        pod = outer["template"]
    inner = dict(pod.get("spec") or {})
    ephemeral = inner.pop("ephemeralContainers", None)
    if ephemeral:
        inner["containers"] = [*inner.get("containers", ()), *ephemeral]
    annotations = (pod.get("metadata") or {}).get("annotations")
    return {"kind": kind, "pod": {"metadata": {"annotations": annotations}, "spec": inner}}


# --- labels and whole requests --------------------------------------------------------------------------------------


def of_admission(row: Json) -> list[str]:
    """Compare the policies of labels, or the answer to a whole request."""
    return _of_labels(row) if row["type"] == "policy" else _of_request(row)


def _of_labels(row: Json) -> list[str]:
    defaults = NamespaceLevels(**{mode: _standard(text) for mode, text in (row.get("defaults") or {}).items()})
    found = policies_of(row["labels"], defaults)
    expect = row["expect"]
    differences = compare("errors", list(found.errors), expect["errors"])
    for mode in ("enforce", "audit", "warn"):
        differences += compare(mode, str(getattr(found, mode)), expect[mode])
    return differences


def _standard(text: str) -> Standard:
    level, _, version = text.partition(":")
    return Standard(cast("Level", level), version)


def _of_request(row: Json) -> list[str]:
    request, expect = row["request"], row["expect"]
    world = _world(json.dumps(row.get("config") or {}), json.dumps(row.get("namespaceLabels")))
    document = request.get("object")
    kind = (document or request.get("oldObject") or {}).get("kind", "Pod")
    group = request["group"]
    answer = world.call(
        "/validate",
        make.review(
            document,
            operation=request["operation"],
            namespace=request["namespace"],
            old=request.get("oldObject"),
            user=request["user"],
            name=request["name"],
            subResource=request["subresource"],
            kind={"group": group, "version": "v1", "kind": kind},
            resource={"group": group, "version": "v1", "resource": request["resource"]},
        ),
    )
    found = compare("allowed", answer.allowed, expect["allowed"])
    status = answer.response.get("status") or {}
    for field in ("code", "reason"):
        found += compare(field, status.get(field), expect.get(field))
    wanted = expect.get("message", "").partition(" is forbidden: ")
    found += compare("message", _own_words(answer.message), wanted[2] or wanted[0])
    warnings = [_own_words(text) for text in answer.warnings if "podSecurity" in text]
    found += compare("warnings", warnings, expect.get("warnings", []))
    notes = {key: text for key, text in answer.notes.items() if key in _KEYS}
    return found + compare("auditAnnotations", notes, expect.get("auditAnnotations", {}))


def _own_words(text: str) -> str:
    """Return the part of our line that is the API server's: without policy and guardrail before, and cure behind."""
    return text.partition("podSecurity: ")[2].partition("; to fix: ")[0]


@functools.cache
def _world(config: str, labels: str) -> make.World:
    """Return an engine whose one policy follows labels, configured like the built-in plugin."""
    configured = json.loads(config)
    exemptions = configured.get("exemptions") or {}
    section: dict[str, Any] = {"fromNamespaceLabels": True, "exemptions": exemptions, "defaults": {}}
    for mode, text in (configured.get("defaults") or {}).items():
        level, _, version = text.partition(":")
        if mode == "enforce":
            section["version"] = version
            if level != "privileged":
                section["level"] = level
        else:
            section["defaults"] |= {mode: level, f"{mode}Version": version}
    given = json.loads(labels)
    known = [make.namespace(name, given or {}) for name in ("ns", "exempt-ns")] if given is not None else []
    return make.World(make.policy(f"mode: enforce\npodSecurity: {json.dumps(section)}"), cluster=known)


FILES: Final = (
    CaseFile("psa_fixtures_dedup.jsonl", "pod_security/fixtures.jsonl.gz", of_fixture, ("expect",)),
    CaseFile("psa_edge.jsonl", "pod_security/edge.jsonl.gz", of_edge, ("expect", "message", "denial", "warning")),
    CaseFile(
        name="psa_admission_edge.jsonl",
        stored="pod_security/admission.jsonl.gz",
        differences=of_admission,
        expectation=("expect",),
        reasons=(
            Reason(
                "always-excluded",
                "The namespaces that a cluster needs to start are never judged, so they need no exemption and get no "
                "annotation of one.",
                lambda row: row["type"] == "admit" and row["request"]["namespace"] in ALWAYS_EXCLUDED,
            ),
            Reason(
                "namespace-requests",
                "Requests about Namespace objects are not sent to Podgate: the built-in plugin, which every API server "
                "runs, checks their labels and warns about existing pods by itself.",
                lambda row: row["type"] == "admit" and row["request"]["resource"] == "namespaces",
            ),
            Reason(
                "pod-templates",
                "PodTemplate objects are not judged: nothing makes pods of them.",
                lambda row: row["type"] == "admit" and row["request"]["resource"] == "podtemplates",
            ),
            Reason(
                "refusals-are-403",
                "A pod in a namespace that is not known is refused as by the built-in plugin, but with code 403 "
                "instead of 500, as all refusals of Podgate.",
                lambda row: row["type"] == "admit" and row["expect"].get("code") == 500,
            ),
        ),
    ),
    CaseFile(
        name="psa_truth.jsonl.gz",
        stored="pod_security/recorded.jsonl.gz",
        differences=of_recorded,
        expectation=("baseline", "restricted"),
        read=read_truth,
    ),
)
