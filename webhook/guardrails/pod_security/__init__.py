"""The guardrail `podSecurity`: refuse pods that break the Pod Security Standards, in the API server's own words.

Rule: a pod, and the pod template of a workload, meets every check of the configured level at the configured version.
The checks are the files of this package, one each, named after what they guard; the docstring of each is its manual.
Verdicts and messages equal those of the admission plugin that is built into the API server; Podgate adds which fields
are concerned and how to comply, follows exceptions down to one check of one container, and can fill in what is unset.

Fields: ``level`` (``baseline``, ``restricted``), ``version`` (``latest``, ``v1.N``), ``harden``,
``fromNamespaceLabels``, ``defaults``, ``exemptions``.
Judged: new pods, templates of workloads, and updates of pods that change an image or the containers, ephemeral
ones included. A resize is never judged.
Example: ``violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "web" must set
securityContext.runAsNonRoot=true)``.
How to comply: set what the message names, or let the platform team switch ``harden`` on, which fills in
runAsNonRoot, the seccomp profile, allowPrivilegeEscalation and dropped capabilities where they are unset. Where that
does not make a pod pass, it is left as it is, and the message names what its author has to change; the rest is filled
in then. A pod of more than 500 containers is left as written, and a message names the first five of what more than 500
times breaks a check. Of a pod that runs nothing but a new debug container can be mended (``kubectl debug
--profile=restricted``); for all else the pod has to be recreated, and the cure says so.

Labels of namespaces: with ``fromNamespaceLabels: true`` the namespace's labels
``pod-security.kubernetes.io/{enforce,audit,warn}`` and their ``-version`` take the place of ``level`` and ``version``,
and mean what they mean to the built-in plugin. A violation of ``enforce`` refuses the pod, one of ``warn`` is an
admission warning (unless the pod is refused), one of ``audit`` the audit annotation ``audit-violations``. Workloads are
never refused; they are warned by ``warn``, which follows a stricter ``enforce`` where it is not set. An invalid
``enforce`` means restricted, an invalid ``audit`` or ``warn`` means privileged, an invalid version means latest; the
annotation ``error`` says so. In a namespace that is not known, pods are refused.

* ``mode`` and ``onViolation`` stay caps: under ``audit`` or ``warn`` nothing is refused, whatever a label says.
* ``level`` and ``version``, where they are written, hold for namespaces without the labels ``enforce`` and
  ``enforce-version``; ``defaults`` does the same for audit and warn. Without them such a namespace is privileged.
* ``exemptions`` names users, namespaces and runtime classes that the labels do not concern.
* ``harden`` helps pods to pass what ``enforce`` demands, and is silent about what it fills in.
* A PolicyException loosens all three judgements alike; ``match`` decides first which namespaces the policy is for.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ and, of the labels,
https://kubernetes.io/docs/concepts/security/pod-security-admission/.
"""

from collections.abc import Sequence
from typing import NamedTuple

from webhook.guardrails.base.contract import Context, Finding, Guardrail, is_creation
from webhook.guardrails.pod_security import _labelled
from webhook.guardrails.pod_security._check import Violation
from webhook.guardrails.pod_security._cures import cure_of
from webhook.guardrails.pod_security._evaluation import (
    NAME,
    Leave,
    denial_text,
    evaluate,
    judge,
    paths_of,
    violation_text,
    would_text,
)
from webhook.guardrails.pod_security._harden import harden, hardening_text
from webhook.guardrails.pod_security._registry import CheckPlan, plan
from webhook.guardrails.pod_security._significance import judges
from webhook.kube.patch import Draft
from webhook.policy.pod_security import CONTROLS, EnforceableLevel, PodSecuritySection

__all__ = [
    "CONTROLS",
    "GUARDRAIL",
    "Violation",
    "denial_text",
    "evaluate",
    "violation_text",
    "violations",
    "would_text",
]


class Rule(NamedTuple):
    """The section, compiled: the checks are looked up once per policy load."""

    level: EnforceableLevel
    version: str
    harden: bool
    checks: CheckPlan
    labels: _labelled.Labelled | None = None
    """Set where the labels of the namespace decide, instead of level and version."""


def compile_section(section: PodSecuritySection) -> Rule:
    """Return the rule of a section."""
    labels = _labelled.compile_section(section) if section.from_namespace_labels else None
    return Rule(section.level, section.version, section.harden, plan(section.level, section.version), labels)


def inspect(rule: Rule, context: Context) -> Sequence[Finding]:
    """Judge the pod; all violations together are one finding, as in the API server's message."""
    if rule.labels is not None:
        return _labelled.inspect(rule.labels, context, fills_in=rule.harden)
    found: Sequence[Violation] = judge(rule.checks, context)
    if not found:
        return ()
    hint = ""
    if rule.harden and is_creation(context):
        found, hint = hardening_text(found, context)
    return (
        Finding(
            rule=NAME,
            message=denial_text(rule.level, rule.version, found),
            would=would_text(rule.level, rule.version, found),
            cure=hint + cure_of(found, context),
            paths=paths_of(found),
        ),
    )


def propose(rule: Rule, context: Context, draft: Draft) -> Sequence[Finding]:
    """Fill in what the level needs and a new pod leaves unset, where that makes it pass; else change nothing."""
    if rule.harden and is_creation(context):
        checks = _refusing(rule, context)
        exemptions = context.exemptions.get(NAME)
        harden(draft, checks, Leave(exemptions) if exemptions else None)
    return ()


def violations(rule: Rule, context: Context) -> list[Violation]:
    """Return what refuses the pod, one entry a check, without what exceptions excuse."""
    return judge(_refusing(rule, context), context)


def _refusing(rule: Rule, context: Context) -> CheckPlan:
    return rule.checks if rule.labels is None else _labelled.enforced_checks(rule.labels, context)


GUARDRAIL = Guardrail(
    name=NAME,
    order=50,
    compile=compile_section,
    inspect=inspect,
    severity="high",
    propose=propose,
    default_on_fault="deny",
    judges=judges,
    scope="container",
    half="security",
)
