"""`podgate review`: formats, inputs, exit statuses, and errors of one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import factories
from tests.cli import _desk
from webhook.kube import manifests

POLICY = factories.policy(
    """
mode: enforce
match: {namespaces: ["team-*"]}
costLabels: {required: [{key: cost-center, source: namespace, default: shared}]}
rightSizing: {when: always}
podSecurity: {level: baseline}
costCeiling: {podMonthly: "500", workloadMonthly: "900"}
"""
)


class Desk(_desk.Desk):
    """A directory with policies, where commands run."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(path, capsys, monkeypatch)
        self.write("policies/policy.yaml", POLICY, factories.PRICES)

    def review(self, *arguments: str, stdin: bytes = b"") -> _desk.Ran:
        """Run ``podgate review`` in namespace ``team-alpha``."""
        return self.run("review", "-n", "team-alpha", *arguments, stdin=stdin)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, capsys, monkeypatch)


def named(name: str = "web", **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of a pod
    made = factories.pod(**spec)
    made["metadata"] = {"name": name}
    return made


CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"on": "yes", "n": "1e3"}}


# --- exit statuses ----------------------------------------------------------------------------------------------------


def test_status_0_where_nothing_is_refused(desk: Desk) -> None:
    assert desk.review(desk.write("pod.yaml", named())).status == 0


def test_status_1_where_something_is_refused(desk: Desk) -> None:
    assert desk.review(desk.write("pods.yaml", named(), named("bad", hostNetwork=True))).status == 1


def test_status_1_where_a_workload_is_refused(desk: Desk) -> None:
    ran = desk.review(desk.write("d.yaml", factories.deployment(5)))
    assert ran.status == 1
    assert "costs $1,000.00 a month (5 replicas), above the ceiling of $900.00" in ran.out


def test_status_2_where_the_input_is_wrong_even_if_something_is_refused(desk: Desk) -> None:
    desk.write("dir/a.yaml", named(hostNetwork=True))
    desk.write("dir/b.yaml", "a: [")
    ran = desk.review("dir")
    assert ran.status == 2
    assert "podSecurity" in ran.out
    assert ran.err.startswith("podgate: dir/b.yaml:")


def test_audit_refuses_nothing(desk: Desk) -> None:
    ran = desk.review("--mode", "audit", desk.write("pod.yaml", named(hostNetwork=True)))
    assert ran.status == 0
    assert "would refuse" in ran.out


WRONG: dict[str, tuple[list[str], str]] = {
    "no such file": (
        ["nope.yaml"],
        "podgate: nope.yaml: does not exist; give a file, a directory, or - for standard input",
    ),
    "an empty file": (["empty.yaml"], "podgate: empty.yaml: holds no Kubernetes object; give a manifest"),
    "an empty directory": (["void"], "podgate: void: holds no .yaml, .yml or .json file"),
    "broken YAML": (["broken.yaml"], "podgate: broken.yaml:"),
    "no kind": (["nokind.yaml"], "podgate: nokind.yaml:1: "),
    "a wrong type": (["wrong.yaml"], "podgate: wrong.yaml:1: is no valid Pod: "),
    "a wrong type in a workload": (["workload.yaml"], "podgate: workload.yaml:1: is no valid Deployment: "),
    "a wrong type in a VPA": (["vpa.yaml"], "podgate: vpa.yaml:1: VerticalPodAutoscaler web does not decode: "),
    "a review of another version": (["old.json"], "podgate: old.json:1: apiVersion must be admission.k8s.io/v1"),
    "no argument": ([], "podgate: Missing argument 'FILE|DIR|-'; see podgate review --help"),
    "an unknown flag": (["--nope", "pod.yaml"], "podgate: No such option '--nope'"),
    "an unknown format": (["-o", "x", "pod.yaml"], "podgate: Invalid value for '--output' / '-o': 'x' is not one of"),
    "no such policies": (
        ["--policies", "nope", "pod.yaml"],
        "podgate: --policies: nope is not a directory; give a directory",
    ),
    "no policies": (["--policies", "void", "pod.yaml"], "podgate: void: has no *.yaml or *.yml file"),
    "no such cluster": (["--cluster", "nope", "pod.yaml"], "podgate: --cluster: nope does not exist; give a directory"),
    "a kubeconfig without a live cluster": (
        ["--kubeconfig", "pod.yaml", "pod.yaml"],
        "podgate: --kubeconfig says nothing without --cluster live; give both",
    ),
    "a kubeconfig that is none": (["--cluster", "live", "--kubeconfig", "pod.yaml", "pod.yaml"], "podgate: "),
    "a broken cluster": (
        ["--cluster", "cluster", "pod.yaml"],
        "podgate: cluster/broken.yaml:1: verdicts are made without it: ",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_with_the_cure(desk: Desk, name: str) -> None:
    desk.write("pod.yaml", named())
    desk.write("empty.yaml", "")
    (desk.path / "void").mkdir()
    desk.write("broken.yaml", "a: [")
    desk.write("cluster/broken.yaml", "a: [")
    desk.write("cluster/namespace.yaml", factories.namespace("team-alpha"))
    desk.write("nokind.yaml", {"apiVersion": "v1"})
    desk.write("wrong.yaml", {**named(), "spec": {"containers": 5}})
    workload = factories.deployment()
    workload["spec"]["replicas"] = "three"
    desk.write("workload.yaml", workload)
    vpa = {"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler", "metadata": {"name": "web"}}
    desk.write("vpa.yaml", {**vpa, "spec": {"targetRef": 5}})
    old = {**factories.review(named()), "apiVersion": "admission.k8s.io/v1beta1"}
    desk.write("old.json", json.dumps(old))
    arguments, expected = WRONG[name]
    ran = desk.review(*arguments)
    assert ran.status == 2
    assert ran.err.startswith(expected)
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err


def test_all_errors_of_the_policies_are_told(desk: Desk) -> None:
    desk.write("policies/a.yaml", factories.policy("mode: nope", name="a"))
    desk.write("policies/b.yaml", factories.policy("mode: enforce\nspot: {x: 1}", name="b"))
    ran = desk.review(desk.write("pod.yaml", named()))
    assert ran.status == 2
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["podgate"] * len(ran.err.splitlines())
    assert "a.yaml:" in ran.err
    assert "b.yaml:" in ran.err


# --- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["documents", "List", "json", "PodList", "directory", "stdin"])
def test_the_same_objects_are_judged_the_same_in_every_form(desk: Desk, form: str) -> None:
    pods = [named("good"), named("bad", hostNetwork=True)]
    stdin = b""
    match form:
        case "documents":
            file = desk.write("x.yaml", *pods)
        case "List" | "PodList":
            file = desk.write("x.yaml", {"apiVersion": "v1", "kind": form, "items": pods})
        case "json":
            file = desk.write("x.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
        case "directory":
            for pod in pods:
                desk.write(f"dir/sub/{pod['metadata']['name']}.yaml", pod)
            file = "dir"
        case _:
            file, stdin = "-", yaml.safe_dump_all(pods).encode()
    ran = desk.review("-o", "json", file, stdin=stdin)
    assert ran.status == 1
    found = {item["name"]: item["verdict"] for item in json.loads(ran.out)}
    assert found == {"good": "allowed", "bad": "refused"}


def test_an_admission_review_is_judged_as_it_was_asked(desk: Desk) -> None:
    review = factories.review(factories.pod(hostNetwork=True), namespace="team-beta", user="system:node:n1")
    ran = desk.review("-o", "json", desk.write("review.json", json.dumps(review)))
    (item,) = json.loads(ran.out)
    assert ran.status == 1
    assert (item["namespace"], item["user"], item["verdict"]) == ("team-beta", "system:node:n1", "refused")


def test_objects_of_the_input_are_known_to_each_other(desk: Desk) -> None:
    vpa = {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "shop"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "updatePolicy": {"updateMode": "Off"},
        },
        "status": {
            "recommendation": {
                "containerRecommendations": [{"containerName": "app", "target": {"cpu": "100m", "memory": "1Gi"}}]
            }
        },
    }
    ran = desk.review(
        desk.write("chart.yaml", factories.namespace("team-alpha", {"cost-center": "x"}), factories.deployment(2), vpa)
    )
    assert ran.status == 0
    assert "its pods get label cost-center=x, app requests.cpu=100m" in ran.out
    assert "$400.00 -> $40.00 a month" in ran.out


def test_two_versions_of_a_workload_are_judged_both(desk: Desk) -> None:
    ran = desk.review("-o", "json", desk.write("two.yaml", factories.deployment(1), factories.deployment(5)))
    assert [item["verdict"] for item in json.loads(ran.out)] == ["allowed", "refused"]
    assert ran.status == 1


def test_the_object_of_the_input_counts_where_the_cluster_has_another(desk: Desk) -> None:
    desk.write("cluster/ns.yaml", factories.namespace("team-alpha", {"cost-center": "cluster"}))
    pod = desk.write("pod.yaml", named())
    both = desk.write("both.yaml", factories.namespace("team-alpha", {"cost-center": "input"}), named())
    assert "label cost-center=cluster" in desk.review("--cluster", "cluster", pod).out
    assert "label cost-center=input" in desk.review("--cluster", "cluster", both).out
    assert "label cost-center=shared" in desk.review(pod).out


def test_namespaces_may_be_excluded(desk: Desk) -> None:
    ran = desk.review("--exclude-namespaces", "team-*", desk.write("pod.yaml", named(hostNetwork=True)))
    assert ran.status == 0
    assert ran.out == "1 object: 1 not judged\n"


# --- formats ----------------------------------------------------------------------------------------------------------


def test_text_tells_verdict_place_cost_patch_and_cure(desk: Desk) -> None:
    ran = desk.review(desk.write("pods.yaml", named("good"), named("bad", hostNetwork=True), CONFIG_MAP))
    lines = ran.out.splitlines()
    assert lines[0].split() == ["changed", "Pod", "team-alpha/good", "pods.yaml:1", "$200.00", "a", "month"]
    assert lines[1].strip() == "✎ sets label cost-center=shared"
    assert lines[2].startswith("refused      Pod team-alpha/bad  pods.yaml:")
    assert any("✗ policy team, podSecurity: " in line and "; to fix: " in line for line in lines)
    assert lines[-1] == "3 objects: 1 changed, 1 not judged, 1 refused"
    assert "\x1b" not in ran.out


def test_yaml_is_every_object_as_it_would_be_stored(desk: Desk) -> None:
    # As JSON, since PyYAML writes some texts so that Kubernetes reads them as numbers and truth values.
    given = [named(), CONFIG_MAP, factories.deployment()]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": given})
    ran = desk.review("-o", "yaml", desk.write("all.json", text))
    stored = [item.document for item in manifests.read_text(ran.out, "output")]
    assert stored == [{**given[0], "metadata": {"name": "web", "labels": {"cost-center": "shared"}}}, *given[1:]]


def test_yaml_can_be_reviewed_again_without_a_further_change(desk: Desk) -> None:
    first = desk.review("-o", "yaml", desk.write("all.yaml", named(), CONFIG_MAP))
    second = desk.review("-o", "yaml", "-", stdin=first.out.encode())
    assert second.out == first.out


def test_patch_of_one_object_is_what_kubectl_patch_takes(desk: Desk) -> None:
    ran = desk.review("-o", "patch", desk.write("pod.yaml", named(), CONFIG_MAP))
    assert json.loads(ran.out) == [
        {"op": "add", "path": "/metadata/labels", "value": {}},
        {"op": "add", "path": "/metadata/labels/cost-center", "value": "shared"},
    ]


def test_patch_of_several_objects_is_one_line_each(desk: Desk) -> None:
    ran = desk.review("-o", "patch", desk.write("pods.yaml", named("a"), named("b"), factories.deployment()))
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [(row["kind"], row["name"], len(row["patch"])) for row in rows] == [
        ("Pod", "a", 2),
        ("Pod", "b", 2),
        ("Deployment", "shop", 0),
    ]


def test_json_tells_of_every_object(desk: Desk) -> None:
    ran = desk.review("-o", "json", desk.write("all.yaml", named(), CONFIG_MAP))
    pod, config_map = json.loads(ran.out)
    assert pod["origin"] == "all.yaml:1"
    assert pod["cost"]["monthlyAfter"] == "200.00"
    assert [item["guardrail"] for item in pod["guardrails"]] == [
        "costLabels",
        "rightSizing",
        "podSecurity",
        "costCeiling",
    ]
    assert config_map["verdict"] == "not judged"
    assert config_map["reason"] == "ConfigMap is not judged"


def test_a_container_without_a_name_does_not_break_the_output(desk: Desk) -> None:
    pod = named()
    del pod["spec"]["containers"][0]["name"]
    desk.write(
        "policies/policy.yaml", factories.policy("mode: enforce\npodSecurity: {level: restricted, harden: true}")
    )
    ran = desk.review("-o", "yaml", desk.write("pod.yaml", pod))
    assert ran.status == 0
    assert yaml.safe_load(ran.out)["spec"]["securityContext"]["runAsNonRoot"] is True
