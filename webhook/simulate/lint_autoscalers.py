"""Targets with several VPAs: which one sizes their pods is decided by age or name, and nobody sees that it was."""

from collections.abc import Iterator
from typing import Final

from webhook.admission.policy_binding import CompiledMatch
from webhook.cluster.view import View
from webhook.guardrails.right_sizing.notices import contest, why_first
from webhook.policy.guardrail_policy import GuardrailPolicySpec
from webhook.policy.model.envelope import PolicyDocument
from webhook.policy.model.policy_set import PolicySet

ONE_OF_THEM: Final = "keep one of them, or give the others another targetRef"
"""The cure."""


def contested(policies: PolicySet, view: View) -> Iterator[tuple[PolicyDocument[GuardrailPolicySpec], str]]:
    """Yield the first policy that sizes the pods of such a target, and what to say."""
    sizing = [(policy, CompiledMatch(policy.spec.match)) for policy in policies.policies if _sizes(policy)]
    for found in view.contested_targets():
        first = found[0]
        info = view.namespace(first.namespace)
        policy = next((each for each, match in sizing if match.covers_namespace(first.namespace, info)), None)
        if policy is not None:
            target = f"{first.target_kind} {first.namespace}/{first.target_name}"
            reason = f"{first.name!r} counts, {why_first(found)}"
            yield policy, f"sizes {target}, which {contest(found)} have as target: {reason}"


def _sizes(policy: PolicyDocument[GuardrailPolicySpec]) -> bool:
    return "rightSizing" in policy.spec.sections and policy.spec.mode_of("rightSizing") != "off"
