"""Label selectors, compiled once into a predicate (``apimachinery/pkg/labels``)."""

from collections.abc import Callable, Mapping
from typing import Any

from webhook.kube.objects import LabelSelector

Labels = Mapping[str, str]
LabelPredicate = Callable[[Labels], bool]

_NO_LABELS: Labels = {}


class SelectorError(ValueError):
    """A selector that Kubernetes would refuse; the text says which requirement and why."""


def is_empty(selector: LabelSelector | None) -> bool:
    """Whether a selector is absent or selects everything."""
    return selector is None or not (selector.match_labels or selector.match_expressions)


def compile_selector(selector: LabelSelector) -> LabelPredicate:
    """Compile a selector; an empty one selects everything.

    Raises:
        SelectorError: an unknown operator, or values where none belong or none where some belong.
    """
    checks: list[LabelPredicate] = [_equals(key, value) for key, value in (selector.match_labels or {}).items()]
    checks += [_requirement(item.key, item.operator, item.values or []) for item in selector.match_expressions or ()]
    if not checks:
        return lambda _labels: True
    if len(checks) == 1:
        return checks[0]
    frozen = tuple(checks)
    return lambda labels: all(check(labels) for check in frozen)


def _equals(key: str, value: str) -> LabelPredicate:
    return lambda labels: labels.get(key) == value


def _requirement(key: str, operator: str, values: list[str]) -> LabelPredicate:
    if not key:
        raise SelectorError("a requirement has no key; name the label it looks at")
    if operator in ("In", "NotIn"):
        if not values:
            raise SelectorError(f"{operator} on {key!r} has no values; give at least one")
        allowed = frozenset(values)
        if operator == "In":
            return lambda labels: labels.get(key) in allowed
        return lambda labels: key not in labels or labels[key] not in allowed
    if values:
        raise SelectorError(f"{operator} on {key!r} takes no values; remove them")
    if operator == "Exists":
        return lambda labels: key in labels
    if operator == "DoesNotExist":
        return lambda labels: key not in labels
    raise SelectorError(f"unknown operator {operator!r} on {key!r}; use In, NotIn, Exists or DoesNotExist")


def to_json(selector: LabelSelector) -> dict[str, Any]:
    """Return the selector as the JSON of the API, absent fields left out."""
    value: dict[str, Any] = {}
    if selector.match_labels:
        value["matchLabels"] = dict(selector.match_labels)
    if selector.match_expressions:
        value["matchExpressions"] = [
            {"key": item.key, "operator": item.operator, **({"values": list(item.values)} if item.values else {})}
            for item in selector.match_expressions
        ]
    return value
