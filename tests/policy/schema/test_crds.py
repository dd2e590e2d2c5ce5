"""The CustomResourceDefinitions say what the models say, in the little that a structural schema can say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from webhook.policy.model import discovery
from webhook.policy.model.envelope import API_VERSION
from webhook.policy.schema import crds, json_schema, structural

ROOT = Path(__file__).parents[3]
FILES = ROOT / "manifests" / "crds"
KINDS = sorted(discovery.kinds())

_STRUCTURAL = frozenset(structural.COPIED) | {
    "properties",
    "items",
    "additionalProperties",
    "default",
    "not",
    "anyOf",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
}


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = crds.crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("properties", {}).values():
        yield from nodes(child)
    for name in ("items", "additionalProperties"):
        if name in node:
            yield from nodes(node[name])


def test_the_files_are_up_to_date() -> None:
    made = dict(crds.files())
    found = {path.name: path.read_text(encoding="utf-8") for path in FILES.glob("*.yaml") if path.name in made}
    assert found == made, "run `make crds`"


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_is_structural(kind: str) -> None:
    for node in nodes(schema(kind)):
        assert set(node) <= _STRUCTURAL
        is_open = "x-kubernetes-preserve-unknown-fields" in node or "x-kubernetes-int-or-string" in node
        assert isinstance(node.get("type"), str) is not is_open
        assert not ("properties" in node and "additionalProperties" in node)


@pytest.mark.parametrize("kind", KINDS)
def test_only_columns_have_defaults_because_not_said_becomes_said(kind: str) -> None:
    spec = schema(kind)["properties"]["spec"]
    found = {name: each["default"] for name, each in spec["properties"].items() if "default" in each}
    assert found == {"Budget": {"period": "monthly"}, "GuardrailPolicy": {"priority": 0}}.get(kind, {})
    assert sum("default" in node for node in nodes(schema(kind))) == len(found)


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_is_kept_that_nobody_knows(kind: str) -> None:
    """What has no type says what it may be: other objects than the ones that are described are refused."""
    for node in nodes(schema(kind)):
        if "x-kubernetes-preserve-unknown-fields" not in node:
            continue
        assert node["maxItems"] == 0
        assert True in node["not"]["enum"]
        if "properties" not in node:
            assert node["maxProperties"] == 0
            assert {} in node["not"]["enum"]
            continue
        for known in (["cpu"], ["cpu", "memory"], []):
            jsonschema.validate(dict.fromkeys(known, 2), node)
        for unknown in ({"gpu": 2}, {"cpu": 2, "gpu": 2}, [], [1], True, 3, "most"):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(unknown, node)


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_map_and_text_is_bounded_so_that_rules_can_be_judged(kind: str) -> None:
    for node in nodes(schema(kind)["properties"]["spec"]):
        bound = {"array": "maxItems", "string": "maxLength"}.get(node.get("type", ""))
        assert bound is None or {bound, "enum", "format"} & node.keys()
        assert "additionalProperties" not in node or "maxProperties" in node


def test_whoever_reads_the_schema_is_told_to_write_off_in_quotes() -> None:
    modes = [node for kind in KINDS for node in nodes(schema(kind)) if "off" in node.get("enum", ())]
    assert modes
    assert all(node["description"].endswith('Write "off" in quotes.') for node in modes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_models_is_in_the_schema(kind: str) -> None:
    def walk(model: dict[str, Any], made: dict[str, Any], path: str) -> None:
        model = structural.resolved(model, root)
        assert set(model.get("properties", {})) == set(made.get("properties", {})), path
        for name, child in model.get("properties", {}).items():
            walk(child, made["properties"][name], f"{path}.{name}")

    root = json_schema.schema(kind)
    walk(json_schema.at(kind, ("spec",)), schema(kind)["properties"]["spec"], "spec")


HEADROOMS: list[object] = [
    {"cpu": 0.5},
    {"cpu": "0.5"},
    {"cpu": 101},
    {"cpu": True},
    {"cpu": {}},
    {"cpus": 2},
    "some",
    3,
]
"""That no limit can have."""


def documents() -> list[dict[str, Any]]:
    files = [*(ROOT / "policies").rglob("*.yaml"), ROOT / "tests" / "data" / "policy" / "contract.yaml"]
    found = [each for path in files for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]
    return [each for each in found if each.get("apiVersion") == API_VERSION]


@pytest.mark.parametrize("document", documents(), ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_the_shipped_policies_are_valid_by_the_schema(document: dict[str, Any]) -> None:
    jsonschema.validate(document, schema(document["kind"]))


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param("GuardrailPolicy", {}, id="no mode"),
        pytest.param("GuardrailPolicy", {"mode": "strict"}, id="unknown mode"),
        pytest.param("GuardrailPolicy", {"mode": "audit", "priority": 10**7}, id="priority out of range"),
        pytest.param("Budget", {"mode": "audit", "amount": "1", "currency": "USD", "scope": {}}, id="no scope"),
        pytest.param(
            "Budget",
            {"mode": "audit", "amount": "1", "currency": "USD", "scope": {"cluster": True, "namespaces": ["a"]}},
            id="two scopes",
        ),
        pytest.param(
            "Budget",
            {"mode": "audit", "amount": 1, "currency": "USD", "scope": {"cluster": True}},
            id="money is a number",
        ),
        pytest.param("PolicyException", {"guardrails": [], "owner": "a", "reason": "b"}, id="no guardrail"),
        *(
            pytest.param(
                "GuardrailPolicy", {"mode": "audit", "rightSizing": {"limitHeadroom": each}}, id=f"headroom {each}"
            )
            for each in HEADROOMS
        ),
    ],
)
def test_what_a_schema_can_refuse_is_refused(kind: str, spec: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"metadata": {}, "spec": spec}, schema(kind))


@pytest.mark.parametrize(
    "headroom", ["none", {}, {"cpu": 2.5}, {"cpu": "2.5", "memory": "none"}, {"cpu": 1}, {"cpu": 100}]
)
def test_every_form_of_headroom_is_taken(headroom: object) -> None:
    spec = {"mode": "audit", "rightSizing": {"limitHeadroom": headroom}}
    jsonschema.validate({"metadata": {}, "spec": spec}, schema("GuardrailPolicy"))


def test_names_and_scopes_are_those_of_the_contract() -> None:
    made = {kind: crds.crd(kind) for kind in KINDS}
    assert {kind: each["spec"]["names"]["plural"] for kind, each in made.items()} == {
        "Budget": "budgets",
        "GuardrailPolicy": "guardrailpolicies",
        "PolicyException": "policyexceptions",
        "PriceList": "pricelists",
    }
    assert {kind for kind, each in made.items() if each["spec"]["scope"] == "Namespaced"} == {"PolicyException"}
    for each in made.values():
        assert each["metadata"]["name"] == f"{each['spec']['names']['plural']}.podgate.dev"
        assert [version["name"] for version in each["spec"]["versions"]] == ["v1alpha1"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_status_apart_from_the_spec_and_shows_what_came_of_it(kind: str) -> None:
    (version,) = crds.crd(kind)["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    columns = {each["name"]: each["jsonPath"] for each in version["additionalPrinterColumns"]}
    assert columns["Accepted"] == '.status.conditions[?(@.type=="Accepted")].status'
    conditions = schema(kind)["properties"]["status"]["properties"]["conditions"]["items"]
    assert set(conditions["properties"]) == {
        "type",
        "status",
        "reason",
        "message",
        "lastTransitionTime",
        "observedGeneration",
    }
    assert "status" not in schema(kind)["required"]
