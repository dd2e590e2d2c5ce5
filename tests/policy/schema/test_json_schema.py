"""The JSON Schema is a valid one, describes every field, and agrees with the loader on examples."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from webhook.cli import schema as schema_command
from webhook.policy.loading import loader, yaml_documents
from webhook.policy.model import discovery
from webhook.policy.model.problems import PolicyErrors
from webhook.policy.schema import json_schema

CONTRACT = (Path(__file__).parents[2] / "data" / "policy" / "contract.yaml").read_text()
DOCUMENTS: dict[str, dict[str, Any]] = {
    document.value["kind"]: document.value for document in yaml_documents.parse(CONTRACT, "contract.yaml").documents
}
KINDS = sorted(DOCUMENTS)


def accepts(schema: dict[str, Any], document: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(document)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_it_is_a_valid_schema_of_the_dialect_it_names(kind: str | None) -> None:
    schema = json.loads(schema_command.schema_text(kind))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_contract_has_every_kind() -> None:
    assert sorted(discovery.kinds()) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_is_accepted_by_its_own_schema_and_by_that_of_all_kinds(kind: str) -> None:
    assert accepts(json_schema.schema(kind), DOCUMENTS[kind])
    assert accepts(json_schema.schema(), DOCUMENTS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_is_refused_by_the_schemas_of_other_kinds(kind: str) -> None:
    assert not any(accepts(json_schema.schema(other), DOCUMENTS[kind]) for other in KINDS if other != kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_description(kind: str) -> None:
    named = [(path, node) for path, node in json_schema.fields(kind) if isinstance(path[-1], str)]
    assert named
    assert [path for path, node in named if len(node.get("description", "")) < 8] == []


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_are_refused_at_every_level(kind: str) -> None:
    objects = [
        (path, node)
        for path, node in [((), json_schema.at(kind, ())), *json_schema.fields(kind)]
        if "properties" in node
    ]
    assert objects
    assert [path for path, node in objects if node.get("additionalProperties") is not False] == []


def test_kinds_share_definitions_of_the_same_name_only_where_they_are_equal() -> None:
    merged = json_schema.schema()["$defs"]
    for kind in KINDS:
        for name, definition in json_schema.schema(kind).get("$defs", {}).items():
            assert merged[name] == definition, name


CHANGES: dict[str, tuple[str, tuple[str | int, ...], object]] = {
    "a misspelt mode": ("GuardrailPolicy", ("spec", "mode"), "enforced"),
    "another version": ("GuardrailPolicy", ("apiVersion",), "podgate.dev/v1"),
    "an unknown field": ("GuardrailPolicy", ("spec", "priorty"), 1),
    "an unknown field of a section": ("GuardrailPolicy", ("spec", "spot", "toleration"), []),
    "a number as text": ("GuardrailPolicy", ("spec", "priority"), "1"),
    "a null": ("GuardrailPolicy", ("spec", "podSecurity"), None),
    "a glob in capitals": ("GuardrailPolicy", ("spec", "match", "namespaces", 0), "Team-*"),
    "a label key with a space": ("GuardrailPolicy", ("spec", "costLabels", "required", 0, "key"), "cost center"),
    "no allowed value": ("GuardrailPolicy", ("spec", "costLabels", "required", 0, "allowed"), []),
    "a weight of nothing": ("GuardrailPolicy", ("spec", "spot", "nodeAffinity", "weight"), 0),
    "money as a number": ("GuardrailPolicy", ("spec", "costCeiling", "podMonthly"), 300),
    "money below nothing": ("Budget", ("spec", "amount"), "-1"),
    "a currency in small letters": ("Budget", ("spec", "currency"), "usd"),
    "a negative quantity": ("PriceList", ("spec", "assumedRequest", "cpu"), -1),
    "no guardrails": ("PolicyException", ("spec", "guardrails"), []),
    "an unknown guardrail": ("PolicyException", ("spec", "guardrails", 0), "podSecurty"),
    "an unknown check": ("PolicyException", ("spec", "controls", 0), "runAsNonRot"),
    "a namespace where none belongs": ("Budget", ("metadata", "namespace"), "team-alpha"),
}


@pytest.mark.parametrize(("kind", "path", "value"), CHANGES.values(), ids=CHANGES.keys())
def test_schema_and_loader_both_refuse_it(kind: str, path: tuple[str | int, ...], value: object) -> None:
    document = copy.deepcopy(DOCUMENTS[kind])
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not accepts(json_schema.schema(kind), document)
    with pytest.raises(PolicyErrors):
        loader.load_documents([("changed", document)])


def test_a_quantity_is_text_or_a_number() -> None:
    document = copy.deepcopy(DOCUMENTS["PriceList"])
    document["spec"]["assumedRequest"] = {"cpu": 0.1, "memory": "1e6"}
    assert accepts(json_schema.schema("PriceList"), document)
    assert loader.load_documents([("prices", document)]).documents


HEADROOMS: dict[str, tuple[object, bool]] = {
    "none for both": ("none", True),
    "none for one": ({"cpu": "none", "memory": 2}, True),
    "numbers and decimal texts": ({"cpu": 2.5, "memory": "1.1"}, True),
    "nothing given": ({}, True),
    "another word": ("nothing", False),
    "a bare number": (3, False),
    "another word for one": ({"cpu": "nothing"}, False),
    "below one": ({"cpu": 0.5}, False),
    "another resource": ({"gpu": 2}, False),
}


@pytest.mark.parametrize(("headroom", "good"), HEADROOMS.values(), ids=HEADROOMS.keys())
def test_schema_and_loader_agree_on_headroom(headroom: object, good: bool) -> None:
    document = copy.deepcopy(DOCUMENTS["GuardrailPolicy"])
    document["spec"]["rightSizing"] = {"limitHeadroom": headroom}
    assert accepts(json_schema.schema("GuardrailPolicy"), document) == good
    assert accepts(json_schema.schema(), document) == good
    if good:
        assert loader.load_documents([("changed", document)]).documents
    else:
        with pytest.raises(PolicyErrors, match="limitHeadroom"):
            loader.load_documents([("changed", document)])


def test_headroom_keeps_its_fields_in_the_schema() -> None:
    at = json_schema.at("GuardrailPolicy", ("spec", "rightSizing", "limitHeadroom"))
    assert sorted(at["properties"]) == ["cpu", "memory"]
    assert at["description"].startswith("Limit = request x headroom")


SCOPES: dict[str, tuple[dict[str, object], str]] = {
    "a glob in capitals": ({"namespaces": ["Team-*"]}, "spec.scope.namespaces[0]"),
    "a glob with a slash": ({"namespaces": ["team-a", "a/b"]}, "spec.scope.namespaces[1]"),
    "a key with a blank": ({"label": {"key": "cost center", "value": "a"}}, "spec.scope.label.key"),
    "a value with a blank": ({"label": {"key": "cost-center", "value": "a b"}}, "spec.scope.label.value"),
    "a value too long": ({"label": {"key": "cost-center", "value": "a" * 64}}, "spec.scope.label.value"),
}


@pytest.mark.parametrize(("scope", "field"), SCOPES.values(), ids=SCOPES.keys())
def test_schema_and_loader_both_refuse_a_scope_that_no_pod_can_be_in(scope: dict[str, object], field: str) -> None:
    document = copy.deepcopy(DOCUMENTS["Budget"])
    document["spec"]["scope"] = scope
    assert not accepts(json_schema.schema("Budget"), document)
    with pytest.raises(PolicyErrors) as caught:
        loader.load_documents([("changed", document)])
    assert field in str(caught.value)


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"namespaces": ["team-*", "ci-?"]}, id="globs"),
        pytest.param({"label": {"key": "example.com/cost-center", "value": "Eng_1.a"}}, id="a prefixed key"),
        pytest.param({"label": {"key": "cost-center", "value": ""}}, id="an empty value"),
    ],
)
def test_schema_and_loader_both_accept_the_scope(scope: dict[str, object]) -> None:
    document = copy.deepcopy(DOCUMENTS["Budget"])
    document["spec"]["scope"] = scope
    assert accepts(json_schema.schema("Budget"), document)
    assert loader.load_documents([("changed", document)]).documents


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("budget", "'budget' is no kind of policy. Did you mean Budget?"),
        ("Pod", "'Pod' is no kind of policy. Known are Budget, GuardrailPolicy, PolicyException, PriceList, Case."),
    ],
)
def test_an_unknown_kind_is_refused_with_the_cure(kind: str, message: str) -> None:
    with pytest.raises(ValueError, match="is no kind") as caught:
        schema_command.schema_text(kind)
    assert str(caught.value) == message
