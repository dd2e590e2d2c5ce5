"""The facts of the pages for programs: JSON with money as decimal strings and times in ISO 8601, UTC.

Names and money are written as ``podgate audit -o json`` writes them.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from webhook.dashboard.budgets import BudgetFact
from webhook.dashboard.facts import ExceptionLine, Overview, Some
from webhook.reporting.journal import DecisionOwner, KeptDecision, MonthlyMoney
from webhook.reporting.render.text import exact

T = TypeVar("T")


def overview(facts: Overview) -> dict[str, Any]:
    """Return the overview as plain data."""
    return {
        "time": facts.now.isoformat(),
        "started": facts.started.isoformat(),
        "cluster": facts.cluster,
        "mode": facts.mode,
        "currency": facts.currency,
        "ready": facts.is_ready,
        "checks": [{"name": name, "problem": problem} for name, problem in facts.checks],
        "notices": list(facts.notices),
        "decisions": {
            "sinceStart": facts.taken,
            "lastDay": dict(facts.verdicts),
            "history": [{"begin": begin.isoformat(), **counts} for begin, counts in facts.history],
        },
        "money": _money(facts.money),
        "savings": [
            {
                "guardrail": each.guardrail,
                "monthlyApplied": exact(each.applied),
                "monthlyHeldBack": exact(each.held_back),
            }
            for each in facts.savings
        ],
        "budgets": _some(facts.budgets, _budget),
        "findings": {
            "policies": _some(
                facts.by_policy,
                lambda line: {
                    "policy": line.policy,
                    "guardrail": line.guardrail,
                    "mode": line.mode,
                    "outcomes": dict(line.outcomes),
                },
            ),
            "namespaces": _some(
                facts.by_namespace,
                lambda line: {
                    "namespace": line.namespace,
                    "outcomes": dict(line.outcomes),
                    "money": _money(line.money),
                },
            ),
        },
        "policies": {
            "inForce": facts.in_force,
            "generation": facts.generation,
            "loadedAt": _time(facts.loaded_at),
            "kinds": dict(facts.kinds),
            "problems": _some(facts.problems, lambda problem: problem._asdict()),
            "documents": _some(facts.documents, lambda line: line._asdict()),
        },
        "exceptions": _some(facts.exceptions, _exception),
        "certificates": [each._asdict() for each in facts.certificates],
        "caches": {
            "watches": [each._asdict() for each in facts.watches],
            "schedulers": [{"name": name, "alive": alive} for name, alive in facts.schedulers],
            "entries": dict(facts.sizes),
        },
    }


def workload(owner: DecisionOwner, kept: Iterable[KeptDecision]) -> dict[str, Any]:
    """Return everything that is kept of one workload: lines of the decision log, oldest first."""
    return {
        **owner._asdict(),
        "decisions": [
            {"times": each.times, "first": each.first, "last": each.last, "entry": msgspec.Raw(each.line.strip())}
            for each in kept
        ],
    }


def _some(found: Some[T], tell: Callable[[T], Mapping[str, Any]]) -> dict[str, Any]:
    return {"total": found.total, "items": [tell(each) for each in found.shown]}


def _money(money: MonthlyMoney) -> dict[str, str]:
    return {
        "monthlySaved": exact(money.saved),
        "monthlyHeldBack": exact(money.held_back),
        "monthlyRefused": exact(money.refused),
        "monthlyWouldRefuse": exact(money.would_refuse),
    }


def _budget(fact: BudgetFact) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": fact.name,
        "mode": fact.mode,
        "scope": fact.scope,
        "period": fact.period,
        "basis": fact.basis,
        "currency": fact.currency,
        "amount": exact(fact.amount),
        "rejectAt": fact.reject_at,
        "state": fact.state,
    }
    if fact.problem:
        return {**told, "problem": fact.problem}
    return {
        **told,
        "committed": exact(fact.committed),
        "spent": exact(fact.spent),
        "used": exact(fact.used),
        "percent": fact.percent,
        "forecast": exact(fact.forecast),
        "forecastPercent": fact.forecast_percent,
        "forecastState": fact.forecast_state,
        "forecastIsLowerBound": fact.is_partly_seen,
    }


def _exception(line: ExceptionLine) -> dict[str, Any]:
    told = line.told
    return {
        "namespace": told.namespace,
        "name": told.name,
        "guardrails": list(told.guardrails),
        "owner": told.owner,
        "reason": told.reason,
        "expires": told.expires.isoformat(),
        "days": line.days,
        "state": told.state,
        "uses": told.uses if line.counts_uses else None,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
