"""Policies in any number, to see what the number costs."""

from pathlib import Path

import yaml

_SECTIONS: tuple[dict[str, object], ...] = (
    {"podSecurity": {"level": "restricted"}},
    {"costLabels": {"required": [{"key": "cost-center", "source": "pod", "default": "shared"}]}},
    {"spot": {"tolerations": [{"key": "kubernetes.io/spot", "operator": "Equal", "value": "true"}]}},
    {"rightSizing": {"recommendation": "target", "limitHeadroom": {"cpu": 3, "memory": 2}}},
)


def write_policies(directory: Path, count: int) -> None:
    """Write `count` policies in audit mode, every second of which matches no namespace at all.

    Those that match name their namespaces in different ways and rotate through the guardrails, so that the winner of
    each guardrail has to be found among several.
    """
    directory.mkdir(parents=True, exist_ok=True)
    documents = [_policy(index) for index in range(count)]
    (directory / "scale.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))


def _policy(index: int) -> dict[str, object]:
    if index % 2:
        match: dict[str, object] = {"namespaces": [f"nobody-{index}-*"]}
    elif index % 4:
        match = {"namespaces": ["*"], "excludeNamespaces": [f"legacy-{index}"]}
    else:
        match = {"podSelector": {"matchExpressions": [{"key": f"opt-out-{index}", "operator": "DoesNotExist"}]}}
    return {
        "apiVersion": "podgate.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": {"name": f"scale-{index:04}"},
        "spec": {"priority": index, "mode": "audit", "match": match, **_SECTIONS[index // 2 % len(_SECTIONS)]},
    }
