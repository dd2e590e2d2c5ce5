"""costLabels: every pod carries the labels that its cost is booked under.

Rule
    Each entry of ``costLabels.required`` names a label. The value is found in this order:

    * ``source: namespace``: the namespace's label of that key, else its annotation, is the truth. A pod that claims
      another value is refused. Where the namespace has none, the pod's own value counts, then ``default``.
    * ``source: pod``: the pod's own value, then the namespace's, then ``default``.

    A value must match ``pattern`` (RE2, anchored) and be one of ``allowed``, where these are given.

Mutation
    A pod without the label gets it. A value that is there is never overwritten.

    Where the mutating call did not come through (its webhook object is gone, or its time ran out), a new pod lacks a
    label whose value is known. That is not its author's fault: it is let in with a warning, and budgets charge it as if
    it had the label.

Judged
    Pod CREATE and workload templates; pod UPDATE where a required label changes, without a patch.

Example message
    label cost-center is "marketing" but namespace team-alpha belongs to "engineering-alpha"

How to comply
    Remove the label from the pod template (it is filled in), or set the namespace's value.

Source
    The same precedence as OpenCost's allocation for ``source: pod``: a pod label wins over the namespace's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import re2

from webhook.guardrails.base.contract import Context, Finding, Guardrail, is_creation
from webhook.kube.caches import remembered
from webhook.kube.patch import Draft
from webhook.policy.cost_labels import CostLabelsSection

_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
"""Label values as the API server accepts them (``apimachinery/pkg/util/validation``)."""
_LONGEST_VALUE = 63
"""Characters of one."""


class _Pattern(Protocol):
    def fullmatch(self, text: str) -> object | None: ...


class CompiledLabel(NamedTuple):
    """One compiled entry of ``costLabels.required``."""

    key: str
    from_namespace: bool
    default: str | None
    pattern: _Pattern | None
    pattern_text: str
    allowed: frozenset[str] | None


class CostLabelsRule(NamedTuple):
    """The compiled section."""

    required: tuple[CompiledLabel, ...]


def compile_rule(section: CostLabelsSection) -> CostLabelsRule:
    """Compile the section; patterns become RE2 machines, linear in the length of the value."""
    return CostLabelsRule(
        tuple(
            CompiledLabel(
                key=entry.key,
                from_namespace=entry.source == "namespace",
                default=entry.default,
                pattern=re2.compile(entry.pattern) if entry.pattern is not None else None,
                pattern_text=entry.pattern or "",
                allowed=frozenset(entry.allowed) if entry.allowed is not None else None,
            )
            for entry in section.required
        )
    )


def judges(context: Context) -> bool:
    """Creation always; any other operation only where the pod's labels change."""
    if is_creation(context):
        return True
    if context.operation != "UPDATE" or context.subresource or context.old_pod is None:
        return False
    old = context.old_pod.metadata
    return ((old.labels or {}) if old is not None else {}) != context.labels


def propose(rule: CostLabelsRule, context: Context, draft: Draft) -> Sequence[Finding]:
    """Write the labels that the pod lacks and whose value is known and valid."""
    if is_creation(context):
        for key, value in written(rule, context, context.labels).items():
            draft.set_label(key, value)
    return ()


def written(rule: CostLabelsRule, context: Context, labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return the labels that a pod of the namespace gets which has these ones: those that it lacks, and whose value is
    known and valid."""
    found: dict[str, str] = {}
    for label in rule.required:
        if not labels.get(label.key):
            value = _namespace_value(label, context) or label.default
            if value and not _problem_with(label, value):
                found[label.key] = value
    return found


def inspect(rule: CostLabelsRule, context: Context) -> Sequence[Finding]:
    """Find labels that are missing, contradict the namespace, or have a value that is not allowed."""
    findings: list[Finding] = []
    for label in rule.required:
        if not is_creation(context) and not _changes(label, context):
            continue
        finding = _inspect_label(label, context)
        if finding is not None:
            findings.append(finding)
    return findings


def _inspect_label(label: CompiledLabel, context: Context) -> Finding | None:
    own = context.labels.get(label.key)
    truth = _namespace_value(label, context)
    if not own:
        offered = truth or label.default
        problem = _problem_with(label, offered) if offered else None
        if offered and problem and offered == truth:
            return Finding(
                rule="namespaceValue",
                message=f'namespace {context.namespace} has {label.key}="{offered}", which {problem}',
                cure=f"correct the value: kubectl label --overwrite namespace {context.namespace} {label.key}=VALUE",
            )
        if offered and not problem and is_creation(context):
            # Proposals come before this. A new pod without a label that is known did not pass through them, or lost it.
            return Finding(
                rule="notWritten",
                message=f'the mutating call did not come through: label {label.key}="{offered}" was not written',
                cure=(
                    "nothing on the pod; it is charged as if it had the label. Create it again once the platform team "
                    "has looked at the MutatingWebhookConfiguration of Podgate"
                ),
                notice=True,
                paths=("metadata.labels",),
            )
        return Finding(
            rule="missing",
            message=f"label {label.key} is missing",
            cure=f'set metadata.labels["{label.key}"] on the pod template, or label namespace {context.namespace}',
            paths=("metadata.labels",),
        )
    if label.from_namespace and truth and own != truth:
        return Finding(
            rule="contradicts",
            message=f'label {label.key} is "{own}" but namespace {context.namespace} belongs to "{truth}"',
            cure=f'remove the label from the pod template (it is filled in), or set it to "{truth}"',
            paths=("metadata.labels",),
        )
    problem = _problem_with(label, own)
    if problem:
        return Finding(
            rule="value",
            message=f'label {label.key} is "{own}", which {problem}',
            cure=_value_cure(label),
            paths=("metadata.labels",),
        )
    return None


def _namespace_value(label: CompiledLabel, context: Context) -> str | None:
    info = context.namespace_info
    if info is None:
        return None
    return info.labels.get(label.key) or info.annotations.get(label.key) or None


def _problem_with(label: CompiledLabel, value: str) -> str | None:
    # Whatever is long is wrong, and the cache keeps none of it.
    return _known_problem(label, value) if len(value) <= _LONGEST_VALUE else _problem(label, value)


def _problem(label: CompiledLabel, value: str) -> str | None:
    if label.allowed is not None and value not in label.allowed:
        return "is not one of the allowed values"
    if label.pattern is not None and label.pattern.fullmatch(value) is None:
        return f"does not match {label.pattern_text}"
    if len(value) > _LONGEST_VALUE or _LABEL_VALUE.fullmatch(value) is None:
        return "is not a valid label value"
    return None


_known_problem = remembered("label_values", 4096)(_problem)


def _value_cure(label: CompiledLabel) -> str:
    if label.allowed is not None:
        names = sorted(label.allowed)
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        return f"set it to one of: {listed}"
    return f"choose a value that matches {label.pattern_text}" if label.pattern_text else "choose a valid label value"


def _changes(label: CompiledLabel, context: Context) -> bool:
    old = context.old_pod.metadata if context.old_pod is not None else None
    before = (old.labels or {}).get(label.key) if old is not None else None
    return before != context.labels.get(label.key)


GUARDRAIL = Guardrail(
    name="costLabels",
    order=10,
    compile=compile_rule,
    inspect=inspect,
    severity="medium",
    propose=propose,
    judges=judges,
    labels=written,
)
