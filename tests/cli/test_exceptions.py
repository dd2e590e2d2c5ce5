"""`podgate exceptions draft`: narrow, tried, loadable; and honest about what no exception helps."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import factories
from tests.cli._desk import Desk, Ran
from webhook import assembly
from webhook.policy.loading import loader

POLICY = factories.policy(
    """
mode: enforce
exceptions: {maxDays: 30}
match: {namespaces: ["team-*"]}
podSecurity: {level: restricted, harden: true}
costCeiling: {podMonthly: "500"}
"""
)
CLOSED = factories.policy(
    "mode: enforce\nmatch: {namespaces: [closed]}\nexceptions: {allowed: false}\npodSecurity: {level: baseline}",
    "closed",
)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path, capsys, monkeypatch)
    made.write("policies/policy.yaml", POLICY, CLOSED, factories.PRICES)
    return made


def draft(desk: Desk, *arguments: str) -> Ran:
    return desk.run("exceptions", "draft", "-n", "team-a", "--owner", "a@b.example", "--days", "20", *arguments)


def specs(ran: Ran) -> list[dict[str, Any]]:
    return [document["spec"] for document in yaml.safe_load_all(ran.out) if document]


def privileged(name: str) -> dict[str, Any]:
    return factories.container(name, cpu="10m", memory="1Gi", securityContext={"privileged": True})


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:  # noqa: ANN401  fields of the pod
    return factories.deployment(1, factories.pod(*containers, **spec))


def review(desk: Desk, file: str) -> int:
    return desk.run("review", "-n", "team-a", file).status


def test_a_draft_loads_and_makes_the_failure_exempt(desk: Desk) -> None:
    pod = factories.pod(privileged("old"), factories.container(cpu="10m", memory="1Gi"))
    pod["metadata"] = {"name": "web", "labels": {"app": "web"}}
    desk.write("pod.yaml", pod)
    assert review(desk, "pod.yaml") == 1
    ran = draft(desk, "pod.yaml")
    assert (ran.status, ran.err) == (0, "")
    loader.load_text(ran.out, "draft.yaml")
    desk.write("policies/exceptions.yaml", ran.out)
    assert review(desk, "pod.yaml") == 0
    assert draft(desk, "pod.yaml").out == ""


def test_a_draft_names_guardrail_checks_containers_and_pods_and_nothing_else(desk: Desk) -> None:
    desk.write("app.yaml", deployment(privileged("old"), factories.container(cpu="10m", memory="1Gi")))
    (spec,) = specs(draft(desk, "app.yaml"))
    last = (assembly.utc_now().date() + timedelta(days=20)).isoformat()
    assert spec == {
        "guardrails": ["podSecurity"],
        "controls": ["privileged", "allowPrivilegeEscalation"],
        "containers": ["old"],
        "podSelector": {"matchLabels": {"app": "shop"}},
        "owner": "a@b.example",
        "reason": "Deployment shop fails privileged, allowPrivilegeEscalation since before it was enforced",
        "expires": last,
    }


def test_what_the_pod_level_sets_is_excused_without_containers(desk: Desk) -> None:
    desk.write("app.yaml", deployment(factories.container(cpu="10m", memory="1Gi"), hostPID=True))
    (spec,) = specs(draft(desk, "app.yaml", "--reason", "an agent"))
    assert spec["controls"] == ["hostNamespaces"]
    assert "containers" not in spec
    assert spec["reason"] == "an agent"


def test_a_pod_that_is_too_dear_is_excused_from_the_ceiling_alone(desk: Desk) -> None:
    desk.write("app.yaml", deployment(factories.container(cpu="5")))
    (spec,) = specs(draft(desk, "app.yaml"))
    assert spec["guardrails"] == ["costCeiling"]
    assert "controls" not in spec


def test_pods_of_one_workload_share_one_exception(desk: Desk) -> None:
    app = deployment(factories.container(cpu="10m", memory="1Gi"), hostPID=True)
    app["metadata"]["uid"] = "u"
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "uid": "u", "controller": True}
    pods = []
    for name in ("shop-1", "shop-2"):
        pod = factories.pod(factories.container(cpu="10m", memory="1Gi"), hostPID=True)
        pod["metadata"].update(name=name, ownerReferences=[owner])
        pods.append(pod)
    desk.write("app.yaml", app, *pods)
    assert len(specs(draft(desk, "app.yaml"))) == 1
    desk.write("pods.yaml", *pods)
    assert len(specs(draft(desk, "pods.yaml"))) == 1


def test_labels_that_differ_from_pod_to_pod_choose_nothing(desk: Desk) -> None:
    pod = factories.pod(factories.container(cpu="10m", memory="1Gi"), hostPID=True)
    pod["metadata"]["labels"]["pod-template-hash"] = "abc"
    desk.write("pod.yaml", pod)
    (spec,) = specs(draft(desk, "pod.yaml"))
    assert spec["podSelector"] == {"matchLabels": {"app": "shop"}}


def test_without_a_file_the_cluster_is_judged(desk: Desk) -> None:
    app = deployment(factories.container(cpu="10m", memory="1Gi"), hostPID=True)
    app["metadata"]["namespace"] = "team-b"
    desk.write("cluster/all.yaml", app, factories.namespace("team-b"))
    ran = draft(desk, "--cluster", "cluster")
    (document,) = yaml.safe_load_all(ran.out)
    assert document["metadata"] == {"name": "shop-podsecurity", "namespace": "team-b"}


def test_nothing_is_written_where_nothing_fails(desk: Desk) -> None:
    desk.write("app.yaml", deployment(factories.container(cpu="10m", memory="1Gi")))
    assert draft(desk, "app.yaml") == Ran(0, "", "")


LEFT = {
    "no labels": (
        {"metadata": {"name": "x"}, "spec": {"hostPID": True, "containers": [factories.container(cpu="1m")]}},
        ("-n", "team-a"),
        "Pod team-a/x has no labels, so an exception would cover its whole namespace",
    ),
    "the policy allows none": (
        {
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {"hostPID": True, "containers": [factories.container(cpu="1m")]},
        },
        ("-n", "closed"),
        "policy closed allows no exceptions from podSecurity",
    ),
    "the policy allows fewer days": (
        {
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {"hostPID": True, "containers": [factories.container(cpu="1m", memory="1Mi")]},
        },
        ("-n", "team-a", "--days", "40"),
        "policy team allows exceptions from podSecurity for 30 days at most; end it earlier",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_no_exception_helps_is_said_with_the_reason(desk: Desk, name: str) -> None:
    fields, flags, told = LEFT[name]
    desk.write("pod.yaml", {"apiVersion": "v1", "kind": "Pod", **fields})
    ran = draft(desk, "pod.yaml", *flags)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("podgate: pod.yaml:1: ")
    assert told in ran.err


WRONG = {
    "no owner": (["app.yaml", "--days", "5"], "Missing option '--owner'"),
    "an owner of two lines": (["app.yaml", "--owner", "a\nb", "--days", "5"], "spec.owner: must be one line of text"),
    "no end": (["app.yaml", "--owner", "a"], "give --expires YYYY-MM-DD or --days N"),
    "two ends": (["app.yaml", "--owner", "a", "--days", "5", "--expires", "2999-01-01"], "an exception has one end"),
    "no date": (["app.yaml", "--owner", "a", "--expires", "soon"], "--expires soon: is no date"),
    "a day that has passed": (["app.yaml", "--owner", "a", "--expires", "2020-01-01"], "2020-01-01: has passed"),
    "nothing to judge": (["--owner", "a", "--days", "5"], "nothing to judge; give FILE"),
    "no such file": (["nope", "--owner", "a", "--days", "5"], "nope: does not exist"),
    "a broken file": (["broken.yaml", "--owner", "a", "--days", "5"], "broken.yaml:"),
    "a broken object": (["wrong.yaml", "--owner", "a", "--days", "5"], "wrong.yaml:1: cannot be judged"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_one_line_with_the_cure(desk: Desk, name: str) -> None:
    desk.write("app.yaml", deployment(factories.container(cpu="10m", memory="1Gi"), hostPID=True))
    desk.write("broken.yaml", "a: [")
    desk.write("wrong.yaml", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": 5}})
    arguments, told = WRONG[name]
    ran = desk.run("exceptions", "draft", *arguments)
    assert ran.status == 2
    assert told in ran.err
    assert len(ran.err.splitlines()) == 1
