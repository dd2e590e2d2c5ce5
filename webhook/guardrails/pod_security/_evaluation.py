"""From a pod to violations, and from violations to the API server's own sentences."""

from collections.abc import Mapping, Sequence

from webhook.guardrails.base.contract import Context, Exemption
from webhook.guardrails.pod_security._check import Violation
from webhook.guardrails.pod_security._registry import CheckPlan, plan
from webhook.guardrails.pod_security._text import few
from webhook.guardrails.pod_security._visitor import PodView
from webhook.kube.objects import ObjectMeta, PodSpec
from webhook.policy.pod_security import CHECKS_BY_CONTROL, Level

NAME = "podSecurity"

_NO_CONTAINERS: frozenset[str] = frozenset()
_EMPTY_SPEC = PodSpec()


def evaluate(level: Level, version: str, metadata: ObjectMeta | None, spec: PodSpec) -> list[Violation]:
    """Judge a pod, or the pod of a template, by one level at one version.

    Args:
        level: ``privileged`` runs no check.
        version: ``latest`` or ``v1.N``; newer than any known change means the newest known rules.
        metadata: of the pod; annotations alone are read.
        spec: of the pod, as the API server would store it (see `webhook.kube.defaults`).

    Returns:
        One violation per check that forbids the pod, in the order of the message; empty where it passes.

    Raises:
        ValueError: the version is malformed; one line with the cure.
    """
    return run(plan(level, version), metadata, spec)


def run(checks: CheckPlan, metadata: ObjectMeta | None, spec: PodSpec) -> list[Violation]:
    """Judge a pod by checks that were looked up before."""
    visit = PodView(metadata, spec)
    violations = []
    for function in checks.functions:
        violation = function(visit)
        if violation is not None:
            violations.append(violation)
    return violations


class Leave:
    """What exceptions take out of a judgement: whole checks, and single containers of checks."""

    __slots__ = ("_containers", "_everywhere", "checks")

    def __init__(self, exemptions: Sequence[Exemption]) -> None:
        checks: set[str] = set()
        containers: dict[str, frozenset[str]] = {}
        everywhere = _NO_CONTAINERS
        self.checks: frozenset[str] | None = frozenset()
        """Checks that are not run at all; None means all of them."""
        for exemption in exemptions:
            if exemption.controls is None:
                if exemption.containers is None:
                    self.checks = None
                else:
                    everywhere |= exemption.containers
                continue
            for control in exemption.controls:
                for check in CHECKS_BY_CONTROL.get(control, ()):
                    if exemption.containers is None:
                        checks.add(check)
                    else:
                        containers[check] = containers.get(check, _NO_CONTAINERS) | exemption.containers
        if self.checks is not None:
            self.checks = frozenset(checks)
        self._containers: Mapping[str, frozenset[str]] = containers
        self._everywhere = everywhere

    def is_exempt(self, check: str) -> bool:
        """Whether a check is not run at all."""
        return self.checks is None or check in self.checks

    def containers(self, check: str) -> frozenset[str]:
        """Return the names of the containers that a check does not look at."""
        own = self._containers.get(check)
        return self._everywhere if own is None else self._everywhere | own


def run_without(checks: CheckPlan, leave: Leave, metadata: ObjectMeta | None, spec: PodSpec) -> list[Violation]:
    """Judge a pod by the checks that are not exempt, each without the containers that are.

    What the pod itself sets stays a violation: an exempt container does not excuse the pod level.
    """
    visits: dict[frozenset[str], PodView] = {}
    violations = []
    for check, function in zip(checks.ids, checks.functions, strict=True):
        if leave.is_exempt(check):
            continue
        exempt = leave.containers(check)
        visit = visits.get(exempt)
        if visit is None:
            visit = visits[exempt] = PodView(metadata, spec, exempt)
        violation = function(visit)
        if violation is not None:
            violations.append(violation)
    return violations


def judge(checks: CheckPlan, context: Context) -> list[Violation]:
    """Judge the pod of a review, without what exceptions take out."""
    pod = context.pod
    spec = pod.spec or _EMPTY_SPEC
    exemptions = context.exemptions.get(NAME)
    if exemptions:
        return run_without(checks, Leave(exemptions), pod.metadata, spec)
    return run(checks, pod.metadata, spec)


def paths_of(violations: Sequence[Violation]) -> tuple[str, ...]:
    """Return the field paths concerned; of a check that too many fields break, the first few."""
    return tuple([path for violation in violations for path in few(violation.paths)])


def violation_text(violations: Sequence[Violation]) -> str:
    """Return reasons with details: ``hostPort (container "c" uses hostPort 80), privileged (...)``."""
    return ", ".join(
        [f"{found.reason} ({found.detail})" if found.detail else found.reason for found in violations],
    )


def denial_text(level: Level, version: str, violations: Sequence[Violation]) -> str:
    """Return what the API server says when it refuses: ``violates PodSecurity "restricted:latest": ...``."""
    return f'violates PodSecurity "{level}:{version}": {violation_text(violations)}'


def would_text(level: Level, version: str, violations: Sequence[Violation]) -> str:
    """Return what the API server says when it only warns: ``would violate PodSecurity "restricted:latest": ...``."""
    return f'would violate PodSecurity "{level}:{version}": {violation_text(violations)}'
