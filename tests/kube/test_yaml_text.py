"""What is written as YAML is read back as it was, by Kubernetes' rules and by Python's."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.kube import _yaml, manifests, yaml_text

HEAD = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}


def read_back(text: str) -> list[dict[str, Any]]:
    return [manifest.document for manifest in manifests.read_text(text, "output")]


SURPRISES = ["y", "N", "on", "Off", "yes", "~", "null", "", "1e3", "0o7", "0b11", "0x1F", "089", "1_000", ".5", "1."]
SURPRISES += [
    "a\x85b",
    "\u2028",
    "a\r\nb",
    ".inf",
    "-.INF",
    ".nan",
    "22:30",
    "2024-01-01",
    "<<",
    "=",
    "- a",
    "a: b",
    "#a",
    "{{ x }}",
    "*",
    "&a",
]


@pytest.mark.parametrize("text", SURPRISES)
def test_a_text_that_looks_like_something_else_stays_text(text: str) -> None:
    document = {**HEAD, "data": {text: text}, "list": [text]}

    written = yaml_text.dump([document])

    assert read_back(written) == [document]
    assert yaml.safe_load(written) == document


@pytest.mark.parametrize("value", [True, False, None, 0, -1, 2**64 - 1, 0.5, 1e-7, [], {}, [None, {"a": []}]])
def test_what_is_no_text_is_not_quoted(value: object) -> None:
    document = {**HEAD, "field": value}

    assert read_back(yaml_text.dump([document])) == [document]


def test_an_ordinary_text_needs_no_quotes() -> None:
    written = yaml_text.dump(
        [{**HEAD, "data": {"image": "registry.example/web:1.2", "memory": "128Mi", "cpu": "100m"}}]
    )

    assert "'" not in written
    assert '"' not in written


def test_one_document_stands_alone_and_several_are_parted() -> None:
    assert yaml_text.dump([HEAD]).startswith("apiVersion: v1\nkind: ConfigMap\n")
    assert yaml_text.dump([HEAD, HEAD]).count("---\n") == 2
    assert read_back(yaml_text.dump([HEAD, HEAD])) == [HEAD, HEAD]


def test_what_is_there_twice_is_written_out() -> None:
    shared = {"drop": ["ALL"]}

    written = yaml_text.dump([{**HEAD, "first": shared, "second": shared}])

    assert "&" not in written
    assert read_back(written) == [{**HEAD, "first": shared, "second": shared}]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    [*_yaml._WORDS, "1\n2\n", " a\nb ", "\n\n", "\t", "\x85", "\u2028", "\ufeff", "\U0001f600"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(texts, values, max_size=4))
def test_whatever_is_written_is_read_back(data: dict[str, Any]) -> None:
    document = {**HEAD, "data": data}

    assert read_back(yaml_text.dump([document])) == [document]
