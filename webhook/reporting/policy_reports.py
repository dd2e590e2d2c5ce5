"""PolicyReport and OpenReports objects: one a namespace, bounded in number, results and bytes; never one a request.

The summary counts everything; the results are the worst findings of the namespace, one for each workload and
guardrail, as many as fit. What does not fit is counted, and is in `podgate audit`, the log and the metrics.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from webhook.guardrails.base.contract import Half
from webhook.guardrails.base.registry import classifications
from webhook.reporting.fold import FoldedFinding, GuardrailTotals, PolicyPart, WorkloadSummary
from webhook.reporting.render.text import format_money

NAME: Final = "podgate"
"""Of every report, one a namespace."""
MANAGED: Final[Mapping[str, str]] = {"app.kubernetes.io/managed-by": "podgate"}
DIGEST: Final = "podgate.dev/digest"
"""Annotation: what the report says, without times."""

MAXIMUM_RESULTS: Final = 100
MAXIMUM_BYTES: Final = 128 * 1024
"""Of one report as JSON; etcd takes 1.5 MiB, and ten thousand namespaces must be no burden either."""
MAXIMUM_REPORTS: Final = 2_000
"""Reports of a cluster: namespaces beyond it, those with the least to say, have none."""
_LONGEST_MESSAGE: Final = 1_000

_CATEGORIES: Final[Mapping[Half, str]] = {"security": "Pod Security", "cost": "Cost"}
_RANK: Final = {"fail": 0, "error": 1, "warn": 2}


class Dialect(NamedTuple):
    """One of the two kinds that hold reports; their content is the same."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def path(self) -> str:
        """Of all namespaces."""
        return f"/apis/{self.group}/{self.version}/{self.plural}"

    def collection(self, namespace: str) -> str:
        """Return the path of the reports of a namespace."""
        return f"/apis/{self.group}/{self.version}/namespaces/{namespace}/{self.plural}"


DIALECTS: Final = (
    Dialect("openreports.io", "v1alpha1", "Report", "reports"),
    Dialect("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports"),
)
"""Where both are installed, both are written."""


class Content(NamedTuple):
    """The report of one namespace, in no dialect yet."""

    namespace: str
    summary: Mapping[str, int]
    results: Sequence[dict[str, Any]]
    left_out: int
    """Results that did not fit."""
    digest: str

    def document(self, dialect: Dialect, now: datetime) -> dict[str, Any]:
        """Return the object to write."""
        moment = {"seconds": int(now.astimezone(UTC).timestamp()), "nanos": 0}
        return {
            "apiVersion": f"{dialect.group}/{dialect.version}",
            "kind": dialect.kind,
            "metadata": {
                "name": NAME,
                "namespace": self.namespace,
                "labels": dict(MANAGED),
                "annotations": {DIGEST: self.digest, "podgate.dev/results-left-out": str(self.left_out)},
            },
            "summary": dict(self.summary),
            "results": [{**result, "timestamp": moment} for result in self.results],
        }


def contents(rows: Iterable[WorkloadSummary], currency: str) -> list[Content]:
    """Return the report of each namespace, those with most refusals first, as many as there may be."""
    namespaces: dict[str, list[WorkloadSummary]] = {}
    for row in rows:
        namespaces.setdefault(row.owner.namespace, []).append(row)
    found = [_content(namespace, own, currency) for namespace, own in namespaces.items()]
    found.sort(key=lambda each: (-each.summary["fail"], -each.summary["warn"], each.namespace))
    return found[:MAXIMUM_REPORTS]


def _content(namespace: str, rows: Sequence[WorkloadSummary], currency: str) -> Content:
    summary = dict.fromkeys(("pass", "fail", "warn", "error", "skip"), 0)
    ranked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    for row in rows:
        findings = row.findings
        for part, share in sorted(row.shares.items()):
            told = _counts(share)
            for name, count in told.items():
                summary[name] += count
            word = next((name for name in _RANK if told[name]), None)
            if word is not None:
                weight = (_RANK[word], -share.refused_money, -abs(share.saved), row.owner, part)
                ranked.append((weight, _result(row, part, share, word, findings, currency)))
    ranked.sort(key=lambda item: item[0])
    results, size = [], len(json.dumps(summary)) + 2_000
    for _, result in ranked[:MAXIMUM_RESULTS]:
        size += len(json.dumps(result).encode()) + 60
        if size > MAXIMUM_BYTES:
            break
        results.append(result)
    left_out = len(ranked) - len(results)
    said_of_it = json.dumps([summary, results, left_out], sort_keys=True).encode()
    return Content(namespace, summary, results, left_out, hashlib.blake2b(said_of_it, digest_size=16).hexdigest())


def _counts(share: GuardrailTotals) -> dict[str, int]:
    """Return how many objects have each result; together they are all that the guardrail looked at."""
    fail, error, skip = share.refused, share.faults, share.exempt
    warn = max(0, min(share.changed, share.objects - fail - error - skip))
    return {
        "fail": fail,
        "error": error,
        "warn": warn,
        "skip": skip,
        "pass": max(0, share.objects - fail - error - skip - warn),
    }


def _result(
    row: WorkloadSummary,
    part: PolicyPart,
    share: GuardrailTotals,
    word: str,
    findings: Iterable[tuple[FoldedFinding, int]],
    currency: str,
) -> dict[str, Any]:
    policy, guardrail = part
    classification = classifications()[guardrail]
    note = next((note for note, _ in findings if (note.policy, note.guardrail) == part and note.refuses), None)
    if note is not None:
        message = f"{note.text}; to fix: {note.cure}" if note.cure else note.text
    elif word == "error":
        message = "the guardrail could not judge this object; see Podgate's log"
    else:
        message = "would be changed" + (
            f", saves {format_money(share.saved, currency)} a month" if share.saved > 0 else ""
        )
    properties = {"objects": str(share.objects), "wouldRefuse": str(share.refused), "wouldChange": str(share.changed)}
    if share.saved:
        properties["monthlySaved"] = format_money(share.saved, currency)
    if share.refused_money:
        properties["monthlyRefused"] = format_money(share.refused_money, currency)
    owner = row.owner
    return {
        "source": NAME,
        "policy": policy,
        "rule": guardrail,
        "category": _CATEGORIES[classification.half],
        "result": word,
        "severity": classification.severity if word == "fail" else "low",
        "scored": True,
        "message": message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 3] + "...",
        "resources": [
            {
                **({"apiVersion": _API_VERSIONS[owner.kind]} if owner.kind in _API_VERSIONS else {}),
                "kind": owner.kind,
                "namespace": owner.namespace,
                "name": owner.name,
            }
        ],
        "properties": properties,
    }


_API_VERSIONS: Final = {
    "Pod": "v1",
    "ReplicationController": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), "apps/v1"),
}
