"""Minimal valid documents, one of each kind; a test changes one thing in one of them."""

import pytest

from webhook.policy.loading import loader
from webhook.policy.model.problems import PolicyErrors

HEAD = "apiVersion: podgate.dev/v1alpha1\n"
POLICY = HEAD + "kind: GuardrailPolicy\nmetadata:\n  name: teams\nspec:\n  mode: enforce\n"
BUDGET = (
    HEAD + "kind: Budget\nmetadata: {name: alpha}\n"
    'spec: {mode: enforce, scope: {cluster: true}, amount: "100", currency: USD}\n'
)
PRICES = (
    HEAD + "kind: PriceList\nmetadata: {name: default}\nspec:\n  currency: USD\n"
    '  onDemand: {cpuCoreHour: "1", memoryGiBHour: "1", gpuHour: "1"}\n'
)
EXCEPTION = (
    HEAD + "kind: PolicyException\nmetadata: {name: legacy, namespace: team-alpha}\nspec:\n"
    '  guardrails: [podSecurity]\n  owner: payments\n  reason: vendor image\n  expires: "2027-03-31"\n'
)


def lines(text: str) -> list[str]:
    """Return what is told about a text that must be refused."""
    with pytest.raises(PolicyErrors) as caught:
        loader.load_text(text, "a.yaml")
    return str(caught.value).splitlines()
