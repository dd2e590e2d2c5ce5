"""A value of the wrong type is told by its field, with the key and the line, and what to write instead."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from webhook.cluster import typed_objects
from webhook.kube import manifests
from webhook.kube.objects import Pod, Workload
from webhook.kube.type_errors import explain

QUOTED = 'must be text, not the number {}; write it in quotes: {}: "{}"'


def told(document: dict[str, Any], kind: type[msgspec.Struct] = Pod, origin: str = "") -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(document, kind)
    return explain(caught.value, document, origin)


def pod(**metadata: object) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "a"}]}}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(
            pod(labels={"app": "a", "build": 1234}),
            f"metadata.labels.build {QUOTED.format(1234, 'build', 1234)}",
            id="label",
        ),
        pytest.param(
            pod(annotations={"app.example/rev": 7, "b": 8}),
            f'metadata.annotations["app.example/rev"] {QUOTED.format(7, "app.example/rev", 7)}',
            id="key with dots",
        ),
        pytest.param(pod(labels={"a": 1.5}), f"metadata.labels.a {QUOTED.format(1.5, 'a', 1.5)}", id="fraction"),
        pytest.param(pod(name=5), f"metadata.name {QUOTED.format(5, 'name', 5)}", id="field"),
        pytest.param(
            pod(labels={"a": False}),
            "metadata.labels.a must be text, not false; YAML reads an unquoted word such as Off, no or n as false: "
            "write the word in quotes",
            id="false",
        ),
        pytest.param(
            pod(labels={"a": True}),
            "metadata.labels.a must be text, not true; YAML reads an unquoted word such as on, yes or y as true: "
            "write the word in quotes",
            id="true",
        ),
        pytest.param(
            pod(labels={"a": "b", "c": {}}),
            "metadata.labels.c must be text, not a mapping; write one text",
            id="mapping",
        ),
        pytest.param(
            pod(labels=["a"]),
            "metadata.labels must be a mapping, not a list; write `name: value` pairs, indented below it",
            id="list",
        ),
        pytest.param(
            {"spec": {"containers": {"name": "a"}}},
            "spec.containers must be a list, not a mapping; write each item on a line of its own after `- `",
            id="no list",
        ),
        pytest.param(
            {"spec": {"containers": [{"name": "a"}, {"name": "b", "image": 3}]}},
            f"spec.containers[1].image {QUOTED.format(3, 'image', 3)}",
            id="of the second container",
        ),
        pytest.param(
            {"spec": 5},
            "spec must be a mapping, not the number 5; write `name: value` pairs, indented below it",
            id="spec",
        ),
        pytest.param(
            {"spec": {"hostNetwork": "yes"}},
            'spec.hostNetwork must be true or false, not the text "yes"; write true or false, without quotes',
            id="text as a boolean",
        ),
    ],
)
def test_the_field_is_named_and_the_cure(document: dict[str, Any], expected: str) -> None:
    assert told(document) == expected


def test_a_number_that_is_text_is_told() -> None:
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": "3"}}
    expected = 'spec.replicas must be a whole number, not the text "3"; write it without quotes and without a fraction'
    assert told(document, Workload) == expected


def test_a_huge_number_and_long_keys_stay_on_one_short_line() -> None:
    text = told(pod(labels={"k\n" * 500: 10**5000}))
    assert "\n" not in text
    assert len(text) < 500


def test_what_is_not_understood_is_passed_on() -> None:
    assert (
        explain(msgspec.ValidationError("something else"), {}) == "something else; mend that field, see kubectl explain"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    app: a\n    build: 12\nspec: {}\n", 7),
        ("# c\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: {app: a, build: 12}\nspec: {}\n", 7),
        (
            "kind: PodList\napiVersion: v1\nitems:\n- metadata:\n    labels:\n      a: b\n      c: d\n      build: 1\n",
            8,
        ),
        (json.dumps(pod(labels={"build": 12}), indent=1), 6),
    ],
)
def test_the_line_of_the_field_is_named(text: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(text)
    (found,) = manifests.read_path(file)
    assert isinstance(found, manifests.Manifest)
    assert told(found.document, Pod, found.origin).startswith(f"metadata.labels.build (line {line}) must be text")


def test_cluster_files_are_told_alike(tmp_path: Path) -> None:
    file = tmp_path / "vpa.yaml"
    file.write_text(
        "apiVersion: autoscaling.k8s.io/v1\nkind: VerticalPodAutoscaler\nmetadata: {name: web}\nspec:\n"
        "  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  updatePolicy: {updateMode: Off}\n"
    )
    (found,) = manifests.read_path(file)
    assert isinstance(found, manifests.Manifest)
    with pytest.raises(typed_objects.ReadError) as caught:
        typed_objects.read(found.document, found.origin)
    assert str(caught.value) == (
        "VerticalPodAutoscaler web does not decode: spec.updatePolicy.updateMode (line 6) must be text, not false; "
        "YAML reads an unquoted word such as Off, no or n as false: write the word in quotes"
    )
