"""A report as JSON, and as the neutral result that the SARIF, JUnit and Markdown writers take.

Money is a decimal string in units of the currency per month; patches are exact.
"""

import json
from typing import Any

from webhook.reporting.fold import FoldedFinding, Totals, WorkloadSummary
from webhook.reporting.render.text import amount, exact
from webhook.reporting.report import AuditReport, GroupLine
from webhook.simulate import formats
from webhook.simulate.formats import result


def as_json(report: AuditReport) -> str:
    """Return the report as JSON, with its last line break."""
    return json.dumps(document(report), indent=2, ensure_ascii=False) + "\n"


def document(report: AuditReport) -> dict[str, Any]:
    """Return the report as plain data."""
    return {
        "title": report.title,
        "source": report.source,
        "time": report.when.isoformat(),
        "currency": report.currency,
        "total": {"workloads": len(report.rows), **_tally(report.total)},
        "policies": [
            {
                "policy": line.policy,
                "guardrail": line.guardrail,
                "mode": line.mode,
                "objects": line.share.objects,
                "wouldRefuse": line.share.refused,
                "wouldChange": line.share.changed,
                "exempt": line.share.exempt,
                "faults": line.share.faults,
                "monthlySaved": exact(line.share.saved),
                "monthlyRefused": exact(line.share.refused_money),
            }
            for line in report.policies
        ],
        "namespaces": [_group(line) for line in report.namespaces],
        "costCenters": [_group(line) for line in report.cost_centers],
        "departments": [_group(line) for line in report.departments],
        "workloads": [_row(row) for row in report.rows],
        "exceptions": [
            {
                "namespace": each.namespace,
                "name": each.name,
                "guardrails": list(each.guardrails),
                "owner": each.owner,
                "reason": each.reason,
                "expires": each.expires.isoformat(),
                "state": each.state,
                "uses": each.uses,
            }
            for each in report.exceptions
        ],
        "budgets": [
            {
                "name": each.name,
                "mode": each.mode,
                "period": each.period,
                "amount": exact(each.amount),
                "committed": exact(each.committed),
                "percent": each.percent,
            }
            for each in report.budgets
        ],
        "notJudged": [
            {
                "what": each.what,
                "namespace": each.namespace,
                "reason": each.reason,
                "count": each.times,
                "example": each.example,
                "failure": each.is_failure,
            }
            for each in report.not_judged
        ],
    }


def as_format(report: AuditReport, name: str) -> str:
    """Return the report as ``sarif``, ``junit`` or ``markdown``: one item a workload."""
    neutral = formats.RunReport(
        tool=f"podgate {report.title}",
        currency=report.currency,
        items=tuple(_item(row) for row in report.rows),
        unread=tuple(
            formats.UnreadInput(each.example or each.what, _unread(each.what, each.example, each.reason))
            for each in report.failures
        ),
        when=report.when,
    )
    return formats.WRITERS[name](neutral)


def _unread(what: str, example: str, reason: str) -> str:
    return f"{what}: {reason}" if example else reason


def _tally(tally: Totals) -> dict[str, Any]:
    return {
        "objects": tally.objects,
        "wouldRefuse": tally.refused,
        "wouldChange": tally.changed,
        "monthlyBefore": exact(tally.before),
        "monthlyAfter": exact(tally.after),
        "monthlySaved": exact(tally.saved),
        "monthlyRefused": exact(tally.refused_money),
    }


def _group(line: GroupLine) -> dict[str, Any]:
    return {"name": line.name, "workloads": line.workloads, **_tally(line.tally)}


def _row(row: WorkloadSummary) -> dict[str, Any]:
    return {
        "kind": row.owner.kind,
        "namespace": row.owner.namespace,
        "name": row.owner.name,
        "verdict": row.word,
        "basis": row.basis,
        "origin": row.origin,
        "costCenter": row.cost_center,
        "department": row.department,
        **_tally(row.tally),
        "findings": [
            {
                "policy": note.policy,
                "guardrail": note.guardrail,
                "rule": note.rule,
                "message": note.text,
                "cure": note.cure,
                "refuses": note.refuses,
                "objects": times,
            }
            for note, times in row.findings
        ],
        "moreFindings": row.more_findings,
        "patches": [{"objects": times, "patch": json.loads(patch)} for patch, times in row.patches],
    }


def _item(row: WorkloadSummary) -> formats.ResultItem:
    file, line = result.split_origin(row.origin) if row.origin.rpartition(":")[2].split(" ")[0].isdecimal() else ("", 0)
    tally = row.tally
    return formats.ResultItem(
        kind=row.owner.kind,
        namespace=row.owner.namespace,
        name=row.owner.name,
        verdict="would refuse" if tally.refused else "would change" if tally.changed else "passed",
        told=tuple(_told(note) for note, _ in row.findings),
        changes="; ".join(words for words, _ in row.changes[:1]),
        monthly=formats.Monthly(amount(tally.before), amount(tally.after)),
        file=file,
        line=line,
    )


def _told(note: FoldedFinding) -> formats.ResultFinding:
    return formats.ResultFinding(
        note.policy, note.guardrail, note.rule, "warning" if note.refuses else "note", note.text, note.cure
    )
