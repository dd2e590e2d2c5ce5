"""Manifests and policies held against an API server: `--cluster live` of review, lint and exceptions draft."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import factories
from tests.cli._desk import Desk, Ran
from tests.fakes.apiserver import PATHS, FakeApiServer
from tests.reporting import _scene

LABELLED = factories.policy(
    "mode: enforce\nmatch: {namespaces: ['team-*']}\n"
    "costLabels: {required: [{key: cost-center, source: namespace}]}\npodSecurity: {level: baseline}"
)
DRAFT = ["exceptions", "draft", "--owner", "o@x.example", "--days", "9"]


class Site(Desk):
    """A desk with an API server."""

    server: FakeApiServer

    def live(self, *arguments: str) -> Ran:
        """Run a command against the server."""
        return self.run(*arguments, "--cluster", "live", "--kubeconfig", "kubeconfig")


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path, capsys, monkeypatch)
    made.write("policies/policy.yaml", LABELLED, factories.PRICES)
    made.write("pod.yaml", {**factories.pod(), "metadata": {"name": "web", "namespace": "team-alpha"}})
    with FakeApiServer() as server:
        made.server = server
        named = [{"name": "here", "cluster": {"server": server.url}}]
        context = [{"name": "here", "context": {"cluster": "here", "user": "me"}}]
        users = [{"name": "me", "user": {}}]
        made.write(
            "kubeconfig",
            {"apiVersion": "v1", "kind": "Config", "clusters": named, "contexts": context, "users": users}
            | {"current-context": "here"},
        )
        server.apply(_scene.team(), *_scene.deployment())
        yield made


def test_a_review_knows_what_the_cluster_knows(site: Site) -> None:
    ran = site.live("review", "pod.yaml")
    assert (ran.status, ran.err) == (0, "")
    label = _scene.team()["metadata"]["labels"]["cost-center"]
    assert f"label cost-center={label}" in ran.out


def test_what_the_input_brings_goes_before_the_cluster(site: Site) -> None:
    brought = factories.namespace("team-alpha", {"cost-center": "brought"})
    pod = yaml.safe_load((site.path / "pod.yaml").read_text())
    ran = site.live("review", site.write("both.yaml", brought, pod))
    assert ran.status == 0
    assert "label cost-center=brought" in ran.out


def test_a_baseline_brings_its_own_and_leaves_nothing_of_it_behind(site: Site) -> None:
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "team-alpha"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 9,
        },
    }
    web = factories.deployment(1, name="web", namespace="team-alpha")
    site.write("old.yaml", web, hpa)
    site.write("new.yaml", web)
    ran = site.live("review", "new.yaml", "--baseline", "old.yaml")
    assert ran.err == ""
    # Nine pods at most before, one now: the autoscaler of the baseline is no part of the cluster afterwards.
    line = next(each for each in ran.out.splitlines() if "Deployment team-alpha/web" in each and "->" in each)
    before, _, after = line.partition("->")
    assert "9" in before or " to " in before
    assert " to " not in after


def test_policies_of_the_cluster_count_and_may_be_all_there_are(site: Site) -> None:
    site.server.apply(yaml.safe_load(LABELLED), yaml.safe_load(factories.PRICES))
    (site.path / "policies" / "policy.yaml").unlink()
    (site.path / "policies").rmdir()
    pod = {**factories.pod(hostNetwork=True), "metadata": {"name": "web", "namespace": "team-alpha"}}
    ran = site.live("review", site.write("host.yaml", pod))
    assert (ran.status, ran.err) == (1, "")
    assert "hostNetwork" in ran.out


def test_a_list_that_is_forbidden_is_named_and_the_rest_is_judged(site: Site) -> None:
    site.server.forbidden.add(PATHS["LimitRange"])
    ran = site.live("review", "pod.yaml")
    assert ran.status == 2
    assert "Pod team-alpha/web" in ran.out
    (line,) = ran.err.splitlines()
    assert line.startswith("podgate: the live cluster: limitranges: verdicts are made without it: ")
    assert line.endswith("ask for the right to list it, or use another kubeconfig")


def test_lint_tells_what_matches_nothing_that_is_there(site: Site) -> None:
    site.write("policies/other.yaml", LABELLED.replace("team-*", "nobody-*").replace("name: team", "name: nobody"))
    ran = site.live("lint")
    assert ran.err == ""
    assert "matches none of the 1 namespaces of the cluster" in ran.out
    site.server.apply(factories.namespace("nobody-home"))
    assert "matches none" not in site.live("lint").out


def test_exceptions_are_drafted_for_what_the_cluster_holds(site: Site) -> None:
    host = factories.deployment(1, name="host", namespace="team-alpha")
    host["spec"]["template"]["spec"]["hostNetwork"] = True
    site.server.apply(host)
    ran = site.live(*DRAFT)
    assert (ran.status, ran.err) == (0, "")
    assert [each["kind"] for each in yaml.safe_load_all(ran.out)] == ["PolicyException"]


def test_a_server_that_does_not_answer_is_one_line_each_and_no_trace(site: Site) -> None:
    config = (site.path / "kubeconfig").read_text().replace(site.server.url, "https://[nonsense")
    site.write("kubeconfig", config)
    ran = site.live("review", "pod.yaml")
    assert ran.status == 2
    assert "Traceback" not in ran.err
