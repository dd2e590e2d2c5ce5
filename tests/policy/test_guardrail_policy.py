"""What the rest of the code asks of a policy: modes, selectors, globs."""

import pytest

from tests.policy._documents import POLICY
from webhook.policy.guardrail_policy import GuardrailPolicySpec
from webhook.policy.loading import loader
from webhook.policy.model.match import SelectorModel
from webhook.policy.model.names import compile_globs


def spec(more: str, mode: str = "enforce") -> GuardrailPolicySpec:
    return loader.load_text(POLICY.replace("enforce", mode) + more, "a.yaml").policies[0].spec


@pytest.mark.parametrize(
    ("policy_mode", "section", "mode", "violation"),
    [
        ("enforce", "{}", "enforce", "enforce"),
        ("enforce", "{mode: warn}", "warn", "warn"),
        ("audit", "{mode: enforce}", "enforce", "enforce"),
        ("enforce", "{onViolation: audit}", "enforce", "audit"),
        ("audit", "{onViolation: enforce}", "audit", "audit"),
        ("off", "{onViolation: enforce}", "off", "off"),
        ("off", "{mode: enforce, onViolation: warn}", "enforce", "warn"),
    ],
)
def test_a_violation_is_never_stricter_than_the_mode(policy_mode: str, section: str, mode: str, violation: str) -> None:
    policy = spec(f"  podSecurity: {section}\n", policy_mode)
    assert (policy.mode_of("podSecurity"), policy.violation_mode_of("podSecurity")) == (mode, violation)


def test_an_absent_section_is_off() -> None:
    policy = spec("  podSecurity: {}\n")
    assert (policy.mode_of("spot"), policy.violation_mode_of("spot")) == ("off", "off")
    assert list(policy.sections) == ["podSecurity"]


def test_a_selector_compiles_to_what_kubernetes_means_by_it() -> None:
    selector = SelectorModel.model_validate(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]}
    )
    matches = selector.compile()
    assert matches({"app": "web"})
    assert not matches({"app": "web", "tier": "db"})
    assert not matches({"tier": "front"})
    assert SelectorModel().compile()({})


def test_a_selector_tells_where_it_looks_at_a_key() -> None:
    selector = SelectorModel.model_validate(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    )
    assert selector.path_of("app") == ("matchLabels", "app")
    assert selector.path_of("tier") == ("matchExpressions", 0, "key")
    assert selector.path_of("other") is None


@pytest.mark.parametrize(
    ("glob", "name", "expected"),
    [
        ("team-*", "team-alpha", True),
        ("team-*", "team-", True),
        ("team-*", "my-team-alpha", False),
        ("team-?", "team-a", True),
        ("team-?", "team-ab", False),
        ("*", "anything", True),
        ("a", "a", True),
        ("a", "ab", False),
    ],
)
def test_a_glob_matches_whole_names(glob: str, name: str, expected: bool) -> None:
    assert compile_globs([glob])(name) is expected
    assert compile_globs(["never", glob])(name) is expected
