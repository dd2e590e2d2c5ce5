"""SARIF 2.1.0, which code scanning reads: one result a finding, at the line of its field, else of its object.

A result's fingerprint is made of the rule, the policy, the object and the fields, never of lines, amounts or wording,
so a finding stays the same one when the file around it changes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from webhook.guardrails.base.registry import classifications
from webhook.pricing import money
from webhook.simulate.formats import _rules
from webhook.simulate.formats.result import (
    Comparison,
    Monthly,
    Range,
    ResultFinding,
    ResultItem,
    RunReport,
    UnreadInput,
    counts,
    difference,
)

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_ROOT: Final = "SRCROOT"


def sarif(report: RunReport) -> str:
    """Return the report as a SARIF log."""
    rules: dict[str, int] = {}
    seen: Counter[str] = Counter()
    results = [_result(item, told, rules, seen) for item in report.items for told in item.told]
    driver: dict[str, Any] = {
        "name": "podgate",
        "rules": [_rule(name) for name in rules],
    }
    if report.version:
        driver["semanticVersion"] = report.version
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"{report.tool.replace(' ', '-')}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {"executionSuccessful": not report.unread, "toolExecutionNotifications": list(_notifications(report))}
        ],
        "results": results,
        "properties": {
            "objects": len(report.items),
            "verdicts": dict(counts(report.items)),
            **_monthly(report.total, report.currency),
            "workloads": list(_priced(report)),
            **({"comparison": comparison_data(report.comparison)} if report.comparison is not None else {}),
        },
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _result(item: ResultItem, told: ResultFinding, rules: dict[str, int], seen: Counter[str]) -> dict[str, Any]:
    name = _rules.rule_id(told.guardrail, told.rule)
    index = rules.setdefault(name, len(rules))
    cure = f" To fix: {told.cure}." if told.cure else ""
    properties: dict[str, Any] = {"policy": told.policy, "guardrail": told.guardrail, "verdict": item.verdict}
    if told.paths:
        properties["fields"] = list(told.paths)
    return {
        "ruleId": name,
        "ruleIndex": index,
        "level": told.weight,
        "message": {"text": f"{item.label}: {told.text.rstrip('.')}.{cure}"},
        "locations": [_location(item, told.at)],
        "partialFingerprints": {"podgateFinding/v1": _fingerprint(item, told, name, seen)},
        "properties": properties,
    }


def _location(item: ResultItem, line: int) -> dict[str, Any]:
    logical = {
        "name": item.name,
        "fullyQualifiedName": "/".join(filter(None, (item.namespace, item.kind, item.name))),
        "kind": "resource",
    }
    location: dict[str, Any] = {"logicalLocations": [logical]}
    if item.file:
        location["physicalLocation"] = _physical(item.file, line or item.line)
    return location


def _physical(file: str, line: int) -> dict[str, Any]:
    path = PurePath(file)
    artifact = (
        {"uri": path.as_uri()}
        if path.is_absolute()
        else {"uri": quote(str(PurePosixPath(*path.parts))), "uriBaseId": _ROOT}
    )
    physical: dict[str, Any] = {"artifactLocation": artifact}
    if line > 0:
        physical["region"] = {"startLine": line}
    return physical


def _fingerprint(item: ResultItem, told: ResultFinding, rule: str, seen: Counter[str]) -> str:
    parts = (rule, told.policy, item.kind, item.namespace, item.name, *sorted(told.paths))
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    seen[digest] += 1
    # Several findings of one rule on one object are told apart by their order, which is that of the containers.
    return f"{digest}:{seen[digest]}"


def _rule(name: str) -> dict[str, Any]:
    guardrail, _, rest = name.partition("/")
    first, manual = _rules.manual(guardrail)
    rule: dict[str, Any] = {
        "id": name,
        "name": "".join(part[:1].upper() + part[1:] for part in name.split("/")),
        "shortDescription": {"text": first or name},
        "properties": {"tags": _tags(guardrail)},
    }
    if manual:
        page = _rules.page(guardrail)
        rule["fullDescription"] = {"text": f"{first} Rule {rest}." if rest else first}
        text = f"{manual}\n\nSee {page} in Podgate's repository."
        rule["help"] = {"text": text, "markdown": text}
    return rule


def _tags(guardrail: str) -> list[str]:
    classification = classifications().get(guardrail)
    return ["kubernetes", classification.half if classification is not None else "cost"]


def _notifications(report: RunReport) -> Iterator[dict[str, Any]]:
    for unread in report.unread:
        yield {"level": "error", "message": {"text": f"{unread.place}: {unread.what}"}, **_place(unread)}
    for item in report.items:
        if item.verdict == "not judged":
            text = f"{item.label} was not judged: {item.reason or 'no policy is about it'}"
            yield {"level": "note", "message": {"text": text}, "locations": [_location(item, 0)]}


def _place(unread: UnreadInput) -> dict[str, Any]:
    file, _, line = unread.place.rpartition(":")
    known = bool(file) and line.isdecimal()
    return {"locations": [{"physicalLocation": _physical(file if known else unread.place, int(line) if known else 0)}]}


def _monthly(monthly: Monthly, currency: str) -> dict[str, str]:
    return {
        "currency": currency,
        "monthlyBefore": money.decimal_text(monthly.before),
        "monthlyAfter": money.decimal_text(monthly.after),
        "monthlyDelta": money.decimal_text(monthly.after - monthly.before),
    }


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data; money as decimal strings."""
    return {
        "before": _range(comparison.before),
        "after": _range(comparison.after),
        "increase": _range(difference(comparison.before, comparison.after)),
        "allowed": comparison.allowed,
        "exceeded": comparison.exceeded,
        "unchanged": comparison.unchanged,
        "changes": [
            {
                "kind": item.kind,
                "namespace": item.namespace,
                "name": item.name,
                "change": item.change,
                "scale": item.scale,
                "before": _range(item.before),
                "after": _range(item.after),
                "increase": _range(difference(item.before, item.after)),
            }
            for item in comparison.changes
        ],
    }


def _range(amounts: Range) -> dict[str, str]:
    return {"low": money.decimal_text(amounts.low), "high": money.decimal_text(amounts.high)}


def _priced(report: RunReport) -> Iterator[dict[str, Any]]:
    for item in report.items:
        if item.monthly is not None:
            named = {"kind": item.kind, "namespace": item.namespace, "name": item.name, "verdict": item.verdict}
            yield {**named, **_monthly(item.monthly, report.currency), "counted": item.counted}
