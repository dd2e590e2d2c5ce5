"""Input as people have it: what was judged is reported, what was not is named with the reason, the status tells."""

import os
from pathlib import Path

import pytest

from tests import factories
from tests.cli._desk import Desk

POLICY = factories.policy("mode: enforce\nmatch: {namespaces: ['team-*']}\npodSecurity: {level: baseline}")
GOOD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "good"}, "spec": {"containers": []}}
TEMPLATE = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Values.name }}\nspec: {}\n"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path, capsys, monkeypatch)
    made.write("policies/policy.yaml", POLICY, factories.PRICES)
    made.write("input/a.yaml", GOOD)
    return made


def deployment(version: str) -> dict[str, object]:
    return {**factories.deployment(1), "apiVersion": version}


NOT_JUDGED: dict[str, tuple[object, str]] = {
    "a template that was not rendered": (TEMPLATE, "a template that was not rendered; render it first: helm template"),
    "a template in a block": ("{{- if .Values.on }}\n" + TEMPLATE, "a template that was not rendered"),
    "YAML that ends in the middle": ("a: [", "b.yaml:"),
    "a list of plain values": ("- 1\n- 2\n", "is a list, not an object"),
    "a binary file": ("\0\0\0", "holds a NUL byte"),
    "a version that is gone": (
        deployment("apps/v1beta1"),
        "Deployment of apiVersion apps/v1beta1 is served by no API server any more; write apiVersion: apps/v1",
    ),
    "a group that is gone": (
        deployment("extensions/v1beta1"),
        "Deployment of apiVersion extensions/v1beta1 is served by no API server any more; write apiVersion: apps/v1",
    ),
    "a pod of a wrong version": ({**GOOD, "apiVersion": "v2"}, "Pod of apiVersion v2 is served by no API server"),
}


@pytest.mark.parametrize("name", NOT_JUDGED)
def test_what_cannot_be_judged_is_named_and_the_rest_is_judged(desk: Desk, name: str) -> None:
    document, told = NOT_JUDGED[name]
    desk.write("input/b.yaml", document)
    desk.write("input/c.yaml", {**GOOD, "metadata": {"name": "other"}})
    ran = desk.run("review", "-n", "team-a", "input")
    assert ran.status == 2
    assert told in ran.err
    assert len(ran.err.splitlines()) == 1
    assert "Pod team-a/good" in ran.out
    assert "Pod team-a/other" in ran.out


def test_documents_before_a_broken_one_are_judged(desk: Desk) -> None:
    desk.write("input/a.yaml", GOOD, "a: [")
    ran = desk.run("review", "-n", "team-a", "input")
    assert ran.status == 2
    assert "Pod team-a/good" in ran.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(desk: Desk) -> None:
    desk.write("input/b.yaml", GOOD)
    (desk.path / "input" / "b.yaml").chmod(0)
    ran = desk.run("review", "-n", "team-a", "input")
    assert ran.status == 2
    assert "input/b.yaml: cannot be read: Permission denied; check the path and its permissions" in ran.err


def test_a_link_that_leads_nowhere_is_named(desk: Desk) -> None:
    (desk.path / "input" / "b.yaml").symlink_to("nowhere.yaml")
    ran = desk.run("review", "-n", "team-a", "input")
    assert ran.status == 2
    assert "input/b.yaml: cannot be read: No such file or directory" in ran.err
    assert "Pod team-a/good" in ran.out


def test_a_kind_of_another_group_is_not_judged_and_says_so(desk: Desk) -> None:
    desk.write("input/a.yaml", deployment("flows.example/v1"))
    ran = desk.run("review", "-n", "team-a", "input", "-o", "markdown")
    assert ran.status == 0
    assert "Deployment of flows.example/v1 is not judged" in ran.out


def test_a_file_above_the_limit_is_named_and_costs_no_other_its_verdict(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write("input/b.yaml", GOOD, "# " + "x" * 5000)
    monkeypatch.setattr("webhook.kube.manifests.MAX_BYTES", 4096)
    ran = desk.run("review", "-n", "team-a", "input")
    assert ran.status == 2
    assert "input/b.yaml: is larger than" in ran.err
    assert "Pod team-a/good" in ran.out


def test_a_cluster_without_the_namespace_is_told_and_judged(desk: Desk) -> None:
    desk.write("cluster/all.yaml", factories.namespace("team-b"))
    ran = desk.run("review", "-n", "team-a", "input", "--cluster", "cluster")
    assert ran.status == 0
    assert ran.err == (
        "podgate: note: cluster: there is no Namespace team-a, so its objects were judged without its labels; "
        "add it, or name another with --namespace\n"
    )
    assert desk.run("review", "-n", "team-b", "input", "--cluster", "cluster").err == ""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["review", "-n", "team-a", "input"], id="review"),
        pytest.param(["lint"], id="lint"),
        pytest.param(["exceptions", "draft", "--owner", "o@x.example", "--days", "9", "input"], id="exceptions"),
        pytest.param(["audit"], id="audit"),
    ],
)
def test_files_of_a_cluster_that_are_broken_are_named_and_the_rest_counts(desk: Desk, command: list[str]) -> None:
    desk.write("cluster/a.yaml", "a: [")
    desk.write("cluster/b.yaml", "b: [")
    desk.write("cluster/c.yaml", factories.namespace("team-a"))
    ran = desk.run(*command, "--cluster", "cluster")
    assert ran.status == 2
    broken = [line for line in ran.err.splitlines() if "no valid YAML" in line]
    assert len(ran.err.splitlines()) == 2
    assert ["a.yaml" in broken[0], "b.yaml" in broken[1]] == [True, True]
    if command[0] == "review":
        assert "Pod team-a/good" in ran.out
    if command[0] == "lint":
        assert "0 errors" in ran.out


@pytest.mark.parametrize("command", [["audit"], ["report"], ["lint"], ["review", "-n", "team-a", "input"]])
def test_a_cluster_of_files_that_hold_nothing_is_wrong(desk: Desk, command: list[str]) -> None:
    desk.write("cluster/all.yaml", "# nothing yet\n---\n")
    ran = desk.run(*command, "--cluster", "cluster")
    assert ran.status == 2
    assert "holds no Kubernetes object; name a directory with the output of kubectl get -o yaml" in ran.err
