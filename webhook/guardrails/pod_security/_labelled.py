"""Judging by the labels of the namespace, as the built-in plugin does.

One pod may be judged three times, for enforce, audit and warn; equal policies are judged once. What comes out are
findings: a violation of enforce refuses, one of warn is told, and the rest are audit annotations under the
names that the built-in plugin gives them.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from webhook.guardrails.base.contract import Context, Finding, is_creation
from webhook.guardrails.pod_security._check import Violation
from webhook.guardrails.pod_security._cures import cure_of
from webhook.guardrails.pod_security._evaluation import NAME, denial_text, judge, paths_of, would_text
from webhook.guardrails.pod_security._harden import hardening_text
from webhook.guardrails.pod_security._namespace_labels import PREFIX, NamespaceLevels, Standard, policies_of
from webhook.guardrails.pod_security._registry import CheckPlan, plan
from webhook.guardrails.pod_security._text import go_quote
from webhook.policy.pod_security import PodSecuritySection

_NOTHING: Final = plan("privileged", "latest")


class Labelled(NamedTuple):
    """The part of the section that is about labels, compiled."""

    defaults: NamespaceLevels
    usernames: frozenset[str]
    namespaces: frozenset[str]
    runtime_classes: frozenset[str]


def compile_section(section: PodSecuritySection) -> Labelled:
    """Return the rule of a section with ``fromNamespaceLabels``."""
    defaults, exemptions = section.defaults, section.exemptions
    return Labelled(
        NamespaceLevels(
            Standard(section.unlabelled_level, section.version),
            Standard(defaults.audit, defaults.audit_version),
            Standard(defaults.warn, defaults.warn_version),
        ),
        frozenset(exemptions.usernames),
        frozenset(exemptions.namespaces),
        frozenset(exemptions.runtime_classes),
    )


def enforced_checks(rule: Labelled, context: Context) -> CheckPlan:
    """Return the checks that a pod of this namespace must pass; none where it is exempt or nothing is known."""
    info = context.namespace_info
    if info is None or _exempt(rule, context) or _has_exempt_runtime_class(rule, context):
        return _NOTHING
    return policies_of(info.labels, rule.defaults).enforce.checks


def inspect(rule: Labelled, context: Context, *, fills_in: bool = False) -> Sequence[Finding]:
    """Judge a pod, or the template of a workload, in the order of the built-in plugin; the first hit answers.

    Args:
        rule: the section, compiled.
        context: the review.
        fills_in: whether what is unset is filled in where that makes a new pod pass.
    """
    is_workload = context.scale is not None
    if is_workload and context.subresource:
        return ()
    exempt = _exempt(rule, context)
    if exempt:
        return (_annotation("exempt", exempt),)
    info = context.namespace_info
    if info is None:
        return _unknown_namespace(context, is_workload=is_workload)
    policies = policies_of(info.labels, rule.defaults)
    if not policies.errors:
        if policies.is_privileged:
            return () if is_workload else (_annotation("enforce-policy", "privileged:latest"),)
        if is_workload and policies.warn.level == policies.audit.level == "privileged":
            return ()
    if _has_exempt_runtime_class(rule, context):
        return (_annotation("exempt", "runtimeClass"),)
    found: list[Finding] = []
    if policies.errors:
        found.append(_annotation("error", f"Failed to parse policy: {policies.error_text}"))
    if not is_workload:
        found.append(_annotation("enforce-policy", str(policies.enforce)))
    return _judged(policies, context, found, is_workload=is_workload, fills_in=fills_in and is_creation(context))


def _judged(
    policies: NamespaceLevels, context: Context, found: list[Finding], *, is_workload: bool, fills_in: bool
) -> list[Finding]:
    known: dict[Standard, list[Violation]] = {}

    def violations_of(standard: Standard) -> list[Violation]:
        if standard not in known:
            known[standard] = judge(standard.checks, context)
        return known[standard]

    audited = violations_of(policies.audit)
    if audited:
        found.append(_annotation("audit-violations", would_text(*policies.audit, audited)))
    enforced: Sequence[Violation] = () if is_workload else violations_of(policies.enforce)
    hint = ""
    if enforced and fills_in:
        enforced, hint = hardening_text(enforced, context)
    if enforced:
        found.append(
            Finding(
                rule=NAME,
                message=denial_text(*policies.enforce, enforced),
                would=would_text(*policies.enforce, enforced),
                cure=hint + _cure(policies, enforced, context),
                paths=paths_of(enforced),
            )
        )
        # A pod that is refused is not warned about as well.
        return found
    warned = violations_of(policies.warn)
    if warned:
        found.append(
            Finding(
                rule=NAME,
                message=would_text(*policies.warn, warned),
                cure=_cure(policies, warned, context),
                # Of a workload nothing is ever refused, so there it may count as what it is.
                notice=not is_workload,
                paths=paths_of(warned),
            )
        )
    return found


def _exempt(rule: Labelled, context: Context) -> str:
    """Return what exempts the request, before anything is looked at; empty where nothing does."""
    if context.namespace in rule.namespaces:
        return "namespace"
    return "user" if context.requester.username in rule.usernames else ""


def _has_exempt_runtime_class(rule: Labelled, context: Context) -> bool:
    spec = context.pod.spec
    return spec is not None and bool(spec.runtime_class_name) and spec.runtime_class_name in rule.runtime_classes


def _unknown_namespace(context: Context, *, is_workload: bool) -> Sequence[Finding]:
    text = f"failed to lookup namespace {go_quote(context.namespace)}"
    cause = f'namespaces "{context.namespace}" not found'
    if is_workload:
        return (_annotation("error", f"{text}: {cause}"),)
    return (
        _annotation("error", f"Internal error occurred: {text}: {cause}"),
        Finding(
            rule="unknownNamespace",
            message=f"Internal error occurred: {text}",
            cure="try again in a moment; where that does not help, the platform team sees in /readyz?verbose whether "
            "Podgate still hears of namespaces",
        ),
    )


def _annotation(name: str, text: str) -> Finding:
    return Finding(rule="podSecurityPolicy", message=text, cure="", notice=True, annotation=name)


def _cure(policies: NamespaceLevels, violations: Sequence[Violation], context: Context) -> str:
    cure = cure_of(violations, context)
    if policies.errors:
        cure += f"; and correct the labels {PREFIX}* of the namespace, one of which is invalid"
    return cure
