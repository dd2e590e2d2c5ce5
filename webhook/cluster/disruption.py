"""PodDisruptionBudgets: how one is read, and which of a namespace select a pod.

Only the spec is kept. The status counts pods of this moment, and a rule that followed it would give two replicas of one
workload different answers.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from webhook.cluster.view import PodDisruptionBudget, PodShare
from webhook.kube import selectors
from webhook.kube.objects import LabelSelector, Object, ObjectMeta
from webhook.kube.selectors import LabelPredicate

_HUNDRED: Final = 100
_PERCENT: Final = re.compile(r"([0-9]{1,3})%", re.ASCII)


class _DisruptionBudgetSpec(Object):
    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class _DisruptionBudget(Object):
    api_version: str = ""
    spec: _DisruptionBudgetSpec | None = None


def read(metadata: ObjectMeta, document: dict[str, Any], default_namespace: str) -> PodDisruptionBudget:
    """Read one of any version of the group.

    Raises:
        ValueError: what the API server would refuse.
    """
    content = msgspec.convert(document, _DisruptionBudget)
    spec = content.spec or _DisruptionBudgetSpec()
    selector = spec.selector
    if selector is not None:
        try:
            selectors.compile_selector(selector)
        except selectors.SelectorError as error:
            raise ValueError(f"spec.selector: {error}") from None
        # The empty selector has selected every pod since version 1; before that it selected none.
        if content.api_version == "policy/v1beta1" and selectors.is_empty(selector):
            selector = None
    if spec.min_available is not None and spec.max_unavailable is not None:
        raise ValueError("spec has both minAvailable and maxUnavailable; remove one of them")
    return PodDisruptionBudget(
        namespace=metadata.namespace or default_namespace,
        name=metadata.name or "",
        selector=selector,
        min_available=_share("minAvailable", spec.min_available),
        max_unavailable=_share("maxUnavailable", spec.max_unavailable),
    )


def _share(field: str, value: int | str | None) -> PodShare | None:
    if value is None:
        return None
    if isinstance(value, int) and value >= 0:
        return PodShare(value)
    percent = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if percent is None or int(percent[1]) > _HUNDRED:
        raise ValueError(f"spec.{field} {value!r} is no number of pods; write for example 1 or 50%")
    return PodShare(int(percent[1]), is_percent=True)


class Selecting(NamedTuple):
    """A budget, and whether pods with given labels are counted by it."""

    budget: PodDisruptionBudget
    selects: LabelPredicate


def selecting(budget: PodDisruptionBudget) -> Selecting | None:
    """Compile the selector of a budget; None where there is none, which selects no pod."""
    if budget.selector is None:
        return None
    return Selecting(budget, selectors.compile_selector(budget.selector))


def matching(known: Iterable[Selecting], labels: Mapping[str, str]) -> Sequence[PodDisruptionBudget]:
    """Return the budgets that count a pod with these labels."""
    return [each.budget for each in known if each.selects(labels)]


def by_name(known: Iterable[Selecting]) -> tuple[Selecting, ...]:
    """Return the budgets of a namespace in the order in which they are told."""
    return tuple(sorted(known, key=lambda each: each.budget.name))
