"""What loads, in which order, and how errors of several documents, guardrails and custom resources are told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.policy._documents import BUDGET, EXCEPTION, POLICY, PRICES, lines
from webhook.policy.loading import loader
from webhook.policy.model.problems import PolicyErrors
from webhook.policy.model.sections import FieldError, Section

LOADS = {
    "a policy without sections": POLICY,
    "mode off without quotes": POLICY.replace("enforce", "off"),
    "an empty match": POLICY + "  match: {}\n",
    "a section that is only switched off": POLICY + "  binPacking: {mode: off}\n  costLabels: {mode: off}\n"
    "  spot: {mode: off}\n",
    "globs": POLICY + '  match: {namespaces: ["*", "team-?", a], excludeNamespaces: ["*-legacy"]}\n',
    "a pod selector on a label nobody writes": POLICY + "  match: {podSelector: {matchLabels: {app: web}}}\n"
    "  costLabels: {required: [{key: cost-center}]}\n",
    "a CI account left alone": POLICY + "  match: {excludeSubjects: {serviceAccounts: [ci/deployer], "
    "users: [admin@company.example], groups: [sre]}}\n",
    "a violation milder than the mode": POLICY + "  podSecurity: {mode: warn, onViolation: audit}\n",
    "a toleration of every taint": POLICY + "  spot: {tolerations: [{operator: Exists}]}\n",
    "anchored alternatives": POLICY + '  costLabels: {required: [{key: team, pattern: "^(a|b)[|]$"}]}\n',
    "a class that begins with a bracket": POLICY + '  costLabels: {required: [{key: team, pattern: "^[]|]$"}]}\n',
    "a date without quotes": EXCEPTION.replace('"', ""),
    "an exception from a budget": EXCEPTION.replace("podSecurity", "budget, spot"),
    "what the API server adds": POLICY.replace(
        "  name: teams\n",
        "  name: teams\n  uid: a\n  resourceVersion: '1'\n  generation: 1\n  creationTimestamp: null\n"
        "  managedFields: [{manager: kubectl}]\n  ownerReferences: []\n  finalizers: []\n",
    )
    + "status: {conditions: [{type: Ready, message: null}]}\n",
    "several documents, comments and empty ones": f"# prices first\n---\n{PRICES}---\n---\n# none\n---\n{BUDGET}...\n",
    "JSON, which is YAML": '{"apiVersion": "podgate.dev/v1alpha1", "kind": "GuardrailPolicy", '
    '"metadata": {"name": "a"}, "spec": {"mode": "audit"}}',
    "a budget in a currency of its own, without a default price list": BUDGET.replace("USD", "EUR"),
    "a price list for a node pool": PRICES + "---\n" + PRICES.replace("name: default", "name: gpu"),
    "exceptions of the same name in two namespaces": f"{EXCEPTION}---\n{EXCEPTION.replace('team-alpha', 'team-beta')}",
}


@pytest.mark.parametrize("text", LOADS.values(), ids=LOADS.keys())
def test_it_loads(text: str) -> None:
    assert loader.load_text(text, "a.yaml").documents


def test_all_errors_of_all_documents_are_told_at_once() -> None:
    text = "\n---\n".join(
        [
            POLICY.replace("enforce", "on")
            + "  priority: x\n  spot: {tolerations: [{operator: Exists}], skipStateful: 1, allowSkip: 2}",
            "a: [",
            BUDGET.replace('"100"', "100").replace("USD", "usd"),
            EXCEPTION.replace("[podSecurity]", "[a, b]"),
        ]
    )
    found = [line.split(" ")[1] for line in lines(text)]
    assert found == [
        "spec.mode:",
        "spec.priority:",
        "spec.spot.skipStateful:",
        "spec.spot.allowSkip:",
        "is",
        "spec.amount:",
        "spec.currency:",
        "spec.guardrails[0]:",
        "spec.guardrails[1]:",
    ]


def test_a_syntax_error_in_one_document_does_not_hide_the_next() -> None:
    text = f"a: [\n---\n{POLICY}  priority: x\n"
    assert [line.split(" ")[0] for line in lines(text)] == ["a.yaml:1:", "a.yaml:9:"]


def test_policies_are_sorted_by_priority_and_then_by_name() -> None:
    names = {"b": 1, "a": 1, "c": 7, "d": -1}
    text = "---\n".join(POLICY.replace("teams", name) + f"  priority: {value}\n" for name, value in names.items())
    assert [item.name for item in loader.load_text(text, "a.yaml").policies] == ["c", "a", "b", "d"]


def test_a_guardrail_that_cannot_be_compiled_is_an_error_at_its_section() -> None:
    def check(name: str, section: Section) -> None:
        if name == "spot":
            raise ValueError("cannot be compiled; use other tolerations")
        raise FieldError("is wrong", "Mend it.", path=("level",))

    text = POLICY + "  podSecurity:\n    level: baseline\n  spot:\n    tolerations: [{operator: Exists}]\n"
    with pytest.raises(PolicyErrors) as caught:
        loader.load_text(text, "a.yaml", check=check)
    assert str(caught.value).splitlines() == [
        "a.yaml:8: spec.podSecurity.level: is wrong. Mend it.",
        "a.yaml:9: spec.spot: cannot be compiled. Use other tolerations.",
    ]


def test_the_check_sees_every_section_of_a_valid_policy() -> None:
    seen: list[str] = []
    text = POLICY + "  podSecurity: {}\n  rightSizing: {}\n"
    loader.load_text(text, "a.yaml", check=lambda name, _section: seen.append(name))
    assert sorted(seen) == ["podSecurity", "rightSizing"]


def custom_resource(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "podgate.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": {"name": "teams", "uid": "1", "managedFields": [], "labels": {"a": "b"}},
        "spec": {"mode": "audit", **spec},
        "status": {"conditions": []},
    }


def test_a_custom_resource_loads() -> None:
    loaded = loader.load_documents([("GuardrailPolicy teams", custom_resource())])
    assert loaded.policies[0].spec.mode == "audit"
    assert loaded.policies[0].labels == {"a": "b"}
    assert str(loaded.policies[0].origin) == "GuardrailPolicy teams"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            custom_resource(priority=True),
            "cr: spec.priority: must be a whole number, not `true`. Write it without quotes and without a fraction.",
        ),
        (None, "cr: the document must be a mapping, not nothing. Begin with `apiVersion: podgate.dev/v1alpha1`."),
        (
            custom_resource(priority=float("nan")),
            "cr: the document cannot be written as JSON. Use plain text, numbers, lists and mappings.",
        ),
        (
            custom_resource(match={"a": {1, 2}}),
            "cr: the document cannot be written as JSON. Use plain text, numbers, lists and mappings.",
        ),
    ],
    ids=["a wrong type", "nothing", "not a number", "no plain value"],
)
def test_a_malformed_custom_resource_is_refused(document: Mapping[str, Any] | None, expected: str) -> None:
    with pytest.raises(PolicyErrors) as caught:
        loader.load_documents([("cr", document)])
    assert str(caught.value) == expected


def test_equal_content_has_an_equal_fingerprint_and_other_content_another() -> None:
    first, again = (loader.load_text(POLICY, "a.yaml").fingerprint for _ in range(2))
    assert first == again
    assert first != loader.load_text(POLICY + "  priority: 1\n", "a.yaml").fingerprint


def test_an_error_is_one_line_whatever_the_document_says(tmp_path: Path) -> None:
    name = "a\nb.yaml"
    (tmp_path / name).write_text(POLICY.replace("enforce", '"x\\ny"') + '  "z\\n\\u2028": 1\n')
    with pytest.raises(PolicyErrors) as caught:
        loader.load_directory(tmp_path)
    assert [len(str(problem).splitlines()) for problem in caught.value.problems] == [1, 1]


_POOL = PRICES.replace("name: default", "name: gpu")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            f"{PRICES}---\n{_POOL.replace('USD', 'EUR')}",
            "spec.currency: must be the currency of PriceList default (a.yaml:1), not `EUR`. Write USD.",
            id="a pool in another currency",
        ),
        pytest.param(
            PRICES + "  nodes: {selectors: [{matchLabels: {a: b}}]}\n",
            "spec.nodes: must not be in the PriceList named default",
            id="the default list is for all nodes",
        ),
        pytest.param(
            f"{PRICES}---\n{_POOL}  storage: {{volumeGiBMonth: '1'}}\n",
            "spec.storage: belongs to the PriceList named default",
            id="volumes are on no node",
        ),
        pytest.param(
            f"{PRICES}---\n{_POOL}  hoursPerMonth: 720\n",
            "spec.hoursPerMonth: must be the 730 of PriceList default, not 720. Remove it.",
            id="another month",
        ),
    ],
)
def test_price_lists_must_go_together(text: str, words: str) -> None:
    with pytest.raises(PolicyErrors) as caught:
        loader.load_text(text, "a.yaml")
    (problem,) = caught.value.problems
    assert words in str(problem)


def test_money_in_a_currency_without_prices_is_refused_where_nothing_else_brings_them(tmp_path: Path) -> None:
    (tmp_path / "budget.yaml").write_text(BUDGET.replace("USD", "EUR"))
    assert len(loader.load_directory(tmp_path, is_whole=False).budgets) == 1
    with pytest.raises(PolicyErrors) as caught:
        loader.load_directory(tmp_path)
    (problem,) = caught.value.problems
    assert "is EUR, but there is no PriceList default, and the built-in prices are in USD" in str(problem)
    assert "Add a PriceList named default in EUR." in str(problem)
    (tmp_path / "prices.yaml").write_text(PRICES.replace("USD", "EUR"))
    assert len(loader.load_directory(tmp_path).budgets) == 1
