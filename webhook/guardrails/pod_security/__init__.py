"""The guardrail `podSecurity`: refuse pods that break the Pod Security Standards, in the API server's own words.

Rule: a pod, and the pod template of a workload, meets every check of the configured level at the configured version.
The checks are the files of this package, one each, named after what they guard; the docstring of each is its manual.
Verdicts and messages equal those of the admission plugin that is built into the API server; Podgate adds which fields
are concerned and how to comply, follows exceptions down to one check of one container, and can fill in what is unset.

Fields: ``level`` (``baseline``, ``restricted``), ``version`` (``latest``, ``v1.N``), ``harden``.
Judged: new pods, templates of workloads, and updates of pods that change an image or the containers, ephemeral
ones included. A resize is never judged.
Example: ``violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "web" must set
securityContext.runAsNonRoot=true)``.
How to comply: set what the message names, or let the platform team switch ``harden`` on, which fills in
runAsNonRoot, the seccomp profile, allowPrivilegeEscalation and dropped capabilities where they are unset.
Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/.
"""

from collections.abc import Sequence
from typing import NamedTuple

from webhook.guardrails._contract import Context, Finding, Guardrail, is_creation
from webhook.guardrails.pod_security._check import Violation
from webhook.guardrails.pod_security._evaluation import (
    Leave,
    denial_text,
    evaluate,
    run,
    run_without,
    violation_text,
    would_text,
)
from webhook.guardrails.pod_security._harden import harden
from webhook.guardrails.pod_security._registry import Plan, plan
from webhook.guardrails.pod_security._significance import judges
from webhook.kube.objects import Pod, PodSpec
from webhook.kube.patch import Draft
from webhook.policy.pod_security import CONTROLS, Level, PodSecuritySection

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

NAME = "podSecurity"

_EMPTY_SPEC = PodSpec()


class Rule(NamedTuple):
    """The section, compiled: the checks are looked up once per policy load."""

    level: Level
    version: str
    harden: bool
    checks: Plan


def compile_section(section: PodSecuritySection) -> Rule:
    """Return the rule of a section."""
    return Rule(section.level, section.version, section.harden, plan(section.level, section.version))


def inspect(rule: Rule, context: Context) -> Sequence[Finding]:
    """Judge the pod; all violations together are one finding, as in the API server's message."""
    found = violations(rule, context, context.pod)
    if not found:
        return ()
    return (
        Finding(
            rule=NAME,
            message=denial_text(rule.level, rule.version, found),
            would=would_text(rule.level, rule.version, found),
            cure="; ".join(dict.fromkeys([violation.cure for violation in found])),
            paths=tuple([path for violation in found for path in violation.paths]),
        ),
    )


def propose(rule: Rule, context: Context, draft: Draft) -> Sequence[Finding]:
    """Fill in what the level needs and a new pod leaves unset, where that makes it pass; else change nothing."""
    if rule.harden and is_creation(context):
        exemptions = context.exemptions.get(NAME)
        harden(draft, rule.checks, Leave(exemptions) if exemptions else None)
    return ()


def violations(rule: Rule, context: Context, pod: Pod) -> list[Violation]:
    """Return what the pod violates, one entry a check, without what exceptions excuse."""
    spec = pod.spec or _EMPTY_SPEC
    exemptions = context.exemptions.get(NAME)
    if exemptions:
        return run_without(rule.checks, Leave(exemptions), pod.metadata, spec)
    return run(rule.checks, pod.metadata, spec)


GUARDRAIL = Guardrail(
    name=NAME,
    order=50,
    compile=compile_section,
    inspect=inspect,
    propose=propose,
    default_on_fault="deny",
    judges=judges,
    scope="container",
    half="security",
)
