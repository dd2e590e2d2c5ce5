"""Fields are found at their lines, and what is not written is told where it belongs."""

import pytest

from webhook.kube.source_map import SourceMap, in_object

TEXT = """\
# a comment
apiVersion: v1
kind: Pod
spec:
  hostNetwork: true
  containers:
    - name: a
      image: x
    - name: b
      securityContext:
        privileged: true
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Pod
    spec:
      hostPID: true
"""


@pytest.mark.parametrize(
    ("at", "path", "line"),
    [
        pytest.param(2, "spec.hostNetwork", 5, id="a field"),
        pytest.param(2, "spec.containers[1].securityContext.privileged", 11, id="a field of an item"),
        pytest.param(2, "spec.containers[0].securityContext.privileged", 7, id="not written: its container"),
        pytest.param(2, "spec.containers[7].image", 6, id="no such item: its list"),
        pytest.param(2, "spec.securityContext.runAsUser", 4, id="not written: the spec"),
        pytest.param(2, "metadata.labels", 2, id="not written: the object"),
        pytest.param(16, "spec.hostPID", 19, id="an item of a list"),
        pytest.param(3, "spec.hostNetwork", 3, id="no object begins there"),
    ],
)
def test_a_field_has_a_line(at: int, path: str, line: int) -> None:
    assert SourceMap(TEXT, {2, 16}).line(at, path) == line


def test_json_has_lines_too() -> None:
    assert SourceMap('{"kind": "Pod",\n "spec": {\n  "hostPID": true}}', {1}).line(1, "spec.hostPID") == 3


def test_documents_before_a_broken_one_have_lines() -> None:
    assert SourceMap(TEXT + "---\na: [", {2}).line(2, "spec.hostNetwork") == 5


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Pod", "spec.hostPID"),
        ("Deployment", "spec.template.spec.hostPID"),
        ("CronJob", "spec.jobTemplate.spec.template.spec.hostPID"),
    ],
)
def test_the_field_of_a_pod_stands_in_the_object_that_holds_it(kind: str, path: str) -> None:
    assert in_object(kind, "spec.hostPID") == path
