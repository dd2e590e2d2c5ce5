"""The live view answers as every view does, follows changes, and tells what it lacks."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.contracts.view import LABELS, NS, WEB, WEB_RS, MakeView, ViewContract, obj, owned_by, owner, vpa
from tests.fakes.apiserver import PATHS, FakeApiServer
from tests.fakes.live import NOW, Live, eventually, live
from webhook.cluster.live import LiveView
from webhook.cluster.projections import LimitRange, workload
from webhook.cluster.view import Controller, LimitRangeItem, PodShare, View
from webhook.kube.objects import OwnerReference, Workload
from webhook.kube.pod_devices import PodResourceClaim
from webhook.kube.watch_wire import Meta


@pytest.fixture
def running() -> Iterator[Live]:
    with FakeApiServer() as server:
        server.apply(obj("Namespace", NS), WEB, WEB_RS)
        with live(server) as made:
            yield made


class TestLiveView(ViewContract):
    @pytest.fixture
    def make_view(self) -> Iterator[MakeView]:
        with ExitStack() as stack:

            def make(objects: list[dict[str, Any]]) -> View:
                server = stack.enter_context(FakeApiServer())
                server.apply(*objects)
                return stack.enter_context(live(server)).view

            yield make


def test_changes_of_the_cluster_are_seen(running: Live) -> None:
    view = running.view
    assert view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS) is None
    made = vpa("v", "Deployment", "web")
    running.server.apply(made)
    eventually(lambda: view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS) is not None)
    running.server.apply(vpa("v", "Deployment", "other"))
    eventually(lambda: view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS) is None)
    eventually(lambda: view.vertical_pod_autoscaler(NS, Controller("Deployment", "other"), {}) is not None)
    running.server.delete(made)
    eventually(lambda: view.sizes()["verticalPodAutoscalers"] == 0)
    running.server.apply(obj("Node", "n"))
    eventually(lambda: [node.name for node in view.nodes()] == ["n"])
    running.server.apply(obj("Namespace", NS, labels={"team": "b"}))
    eventually(lambda: (found := view.namespace(NS)) is not None and found.labels.get("team") == "b")


def test_a_pod_that_ends_leaves_the_view(running: Live) -> None:
    pod = obj("Pod", "p", {}, uid="u-1")
    running.server.apply({**pod, "status": {"phase": "Running"}})
    eventually(lambda: [each.uid for each in running.view.pods()] == ["u-1"])
    running.server.apply({**pod, "status": {"phase": "Succeeded"}})
    eventually(lambda: not running.view.pods())


def test_pods_of_one_template_share_what_they_have_in_common(running: Live) -> None:
    owner_of = owned_by("ReplicaSet", "web-7d4b9c", "rs-1")
    spec = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]}
    pods = [
        obj("Pod", f"p{n}", {**spec, "nodeName": f"n{n}"}, uid=f"u-{n}", labels=LABELS, ownerReferences=owner_of)
        for n in range(3)
    ]
    running.server.apply(*pods)
    eventually(lambda: len(running.view.pods()) == 3)
    found = list(running.view.pods())
    assert len({id(each.pod.spec) for each in found}) == 1
    assert {each.uid for each in found} == {"u-0", "u-1", "u-2"}
    first = running.view.pods()[0].pod
    assert first.spec is not None
    assert first.spec.containers is not None
    assert first.spec.containers[0].resources is not None
    assert first.spec.containers[0].resources.requests == {"cpu": "1"}
    assert first.metadata is not None
    assert (first.metadata.labels, first.metadata.owner_references) == (
        LABELS,
        [owner("ReplicaSet", "web-7d4b9c", "rs-1")],
    )
    assert running.view.sizes()["podSpecs"] == 1


def test_what_has_not_changed_stays_what_it_was_when_everything_is_listed_anew(running: Live) -> None:
    server, view = running.server, running.view
    server.apply(obj("Pod", "p", {}, uid="u-1", labels=LABELS), obj("Pod", "q", {}, uid="u-2", labels=LABELS))
    eventually(lambda: len(view.pods()) == 2)
    before, web = dict(view.pods_by_uid.items), view.workloads["Deployment"].items[f"{NS}/web"]
    keys = {key: key for key in before}
    server.compact()
    server.apply(obj("Pod", "q", {}, uid="u-2", labels={"app": "new"}))
    server.drop_watches()
    eventually(lambda: all(each.state.lists > 1 for each in running.watches.report()))
    after = view.pods_by_uid.items
    assert after["u-1"] is before["u-1"]
    assert after["u-2"].labels == {"app": "new"}
    assert all(keys[key] is key for key in after)
    assert view.workloads["Deployment"].items[f"{NS}/web"] is web


def test_a_workload_that_a_controller_owns_is_kept_without_its_template(running: Live) -> None:
    template = {"spec": {"nodeName": "n"}}
    running.server.apply(
        {**WEB_RS, "spec": {**WEB_RS["spec"], "replicas": 3, "template": template}},
        obj("CronJob", "c", {"jobTemplate": {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}}),
    )
    eventually(lambda: running.view.workload(NS, "CronJob", "c") is not None)

    def replicas() -> int | None:
        found = running.view.workload(NS, "ReplicaSet", "web-7d4b9c")
        return found.spec.replicas if found is not None and found.spec is not None else None

    eventually(lambda: replicas() == 3)
    owned = running.view.workload(NS, "ReplicaSet", "web-7d4b9c")
    assert owned is not None
    assert owned.spec is not None
    assert owned.spec.template is None
    assert owned.spec.selector == {"matchLabels": WEB_RS["spec"]["selector"]["matchLabels"]}
    cron_job = running.view.workload(NS, "CronJob", "c")
    assert cron_job is not None
    assert cron_job.spec is not None
    assert cron_job.spec.job_template is not None
    selector = running.view.owner_selector(NS, Controller("CronJob", "c"))
    assert selector is not None
    assert selector.match_labels == {"a": "b"}


@pytest.mark.parametrize(
    ("namespace", "reference", "missing"),
    [
        pytest.param(NS, owner("ReplicaSet", "web-7d4b9c", "rs-1"), (), id="all is known"),
        pytest.param(NS, None, (), id="no owner"),
        pytest.param(NS, owner("Rollout", "unknown"), (), id="a custom kind is never watched"),
        pytest.param(NS, owner("ReplicaSet", "web-new"), ("ReplicaSet",), id="unknown owner"),
        pytest.param(NS, owner("ReplicaSet", "web-7d4b9c", "rs-2"), ("ReplicaSet",), id="another of that name"),
        pytest.param("new", None, ("Namespace",), id="unknown namespace"),
        pytest.param("new", owner("Job", "j"), ("Namespace", "Job"), id="both"),
    ],
)
def test_the_view_tells_what_waiting_may_bring(
    running: Live, namespace: str, reference: OwnerReference | None, missing: tuple[str, ...]
) -> None:
    assert running.view.lacks(namespace, reference) == missing
    eventually(lambda: all(map(running.watches.is_watching, missing)))


def test_the_view_tells_which_claims_waiting_may_bring(running: Live) -> None:
    claims = [
        PodResourceClaim("a", resource_claim_name="shared"),
        PodResourceClaim("b", resource_claim_template_name="t"),
        PodResourceClaim("c"),
    ]
    missing = ("ResourceClaim", "ResourceClaimTemplate")
    assert running.view.lacks(NS, None, claims) == missing
    assert running.view.lacks("new", None, claims) == ("Namespace", *missing)
    eventually(lambda: all(map(running.watches.is_watching, missing)))
    running.server.apply(obj("ResourceClaim", "shared"), obj("ResourceClaimTemplate", "t"))
    eventually(lambda: running.view.lacks(NS, None, claims) == ())


# --- readiness and staleness ----------------------------------------------------------------------------------------


def test_nothing_is_complete_before_everything_was_listed() -> None:
    with FakeApiServer() as server:
        server.forbidden.add(PATHS["HorizontalPodAutoscaler"])
        with live(server, start=False) as it:
            assert (it.watches.problem() or "").startswith("not listed yet: cronjobs, ")
            it.watches.start()
            eventually(lambda: "grant it in the ClusterRole" in (it.watches.problem() or ""))
            eventually(lambda: (it.watches.problem() or "").startswith("not listed yet: horizontalpodautoscalers; "))
            server.forbidden.clear()
            eventually(lambda: it.watches.problem() is None)


def test_a_cluster_without_vpas_is_complete_and_says_so() -> None:
    with FakeApiServer() as server:
        server.absent.add(PATHS["VerticalPodAutoscaler"])
        with live(server) as it:
            assert any(line.startswith("verticalpodautoscalers: not installed") for line in it.watches.notices())


_DEVICES = ("DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice")


def test_a_cluster_without_claims_for_devices_is_complete_and_says_so() -> None:
    with FakeApiServer() as server:
        server.absent |= {PATHS[kind] for kind in _DEVICES}
        with live(server) as it:
            said = [line.partition(":")[0] for line in it.watches.notices() if "not installed" in line]
            assert said == ["deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"]


def test_without_the_right_to_list_claims_for_devices_all_else_is_answered_and_a_notice_says_so() -> None:
    with FakeApiServer() as server:
        server.forbidden |= {PATHS[kind] for kind in _DEVICES}
        with live(server) as it:
            said = [line for line in it.watches.notices() if "grant it in the ClusterRole" in line]
            assert [line.partition(":")[0] for line in said] == [
                "deviceclasses",
                "resourceclaims",
                "resourceclaimtemplates",
                "resourceslices",
            ]
            server.forbidden.clear()
            eventually(lambda: not it.watches.notices())


@pytest.mark.parametrize("how", ["absent", "forbidden"])
def test_without_keda_or_the_right_to_follow_it_all_else_is_answered_and_a_notice_says_so(how: str) -> None:
    hpa = obj("HorizontalPodAutoscaler", "keda-hpa-s", {"scaleTargetRef": {"kind": "Deployment", "name": "web"}})
    with FakeApiServer() as server:
        getattr(server, how).add(PATHS["ScaledObject"])
        server.apply(hpa)
        with live(server) as it:
            (found,) = it.view.horizontal_pod_autoscalers(NS, Controller("Deployment", "web"))
            assert found.name == "keda-hpa-s"
            assert [line.partition(":")[0] for line in it.watches.notices()] == ["scaledobjects"]


def test_a_watch_that_breaks_is_a_notice_and_the_view_answers_on(running: Live) -> None:
    assert running.watches.notices() == []
    running.server.forbidden.add(PATHS["Namespace"])
    running.server.drop_watches()
    eventually(lambda: any(line.startswith("namespaces: answers may be") for line in running.watches.notices()))
    assert running.watches.problem() is None
    assert running.view.namespace(NS) is not None
    assert not running.watches.is_watching("Namespace")


def test_an_object_that_does_not_decode_keeps_its_last_good_version(running: Live) -> None:
    running.server.apply(obj("LimitRange", "l", {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}))
    eventually(lambda: len(running.view.limit_ranges(NS)) == 1)
    running.server.apply(
        obj("LimitRange", "l", {"limits": "none"}),
        obj("Deployment", "bad", {"selector": 3}),
        {**obj("Pod", "p"), "spec": "x"},
    )

    def malformed() -> int:
        return sum(each.state.errors.get("malformed", 0) for each in running.watches.report())

    eventually(lambda: malformed() == 3)
    assert len(running.view.limit_ranges(NS)) == 1
    assert running.view.workload(NS, "Deployment", "bad") is None


# --- disruption budgets ---------------------------------------------------------------------------------------------


def disruption_budget(app: str, **spec: object) -> dict[str, Any]:
    return obj("PodDisruptionBudget", "b", {"selector": {"matchLabels": {"app": app}}, **spec})


def test_a_disruption_budget_is_followed_as_it_is_edited_and_goes(running: Live) -> None:
    def found(app: str) -> list[tuple[str, object]]:
        return [(each.name, each.max_unavailable) for each in running.view.disruption_budgets(NS, {"app": app})]

    running.server.apply(disruption_budget("web", maxUnavailable=0))
    eventually(lambda: found("web") == [("b", PodShare(0))])
    running.server.apply(disruption_budget("api", maxUnavailable=2))
    eventually(lambda: found("api") == [("b", PodShare(2))])
    assert found("web") == []
    running.server.apply(disruption_budget("api", maxUnavailable="some"))
    running.server.apply(obj("Namespace", "after"))
    eventually(lambda: sum(each.state.errors.get("malformed", 0) for each in running.watches.report()) == 1)
    assert found("api") == [("b", PodShare(2))], "its last good version"
    running.server.delete(disruption_budget("api"))
    eventually(lambda: found("api") == [])
    assert running.view.sizes()["disruptionBudgets"] == 0


# --- schedulers -----------------------------------------------------------------------------------------------------


def lease(name: str, namespace: str = "kube-system", age: float = 0, holder: str = "pod-1") -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed}
    made = obj("Lease", name, spec)
    made["metadata"]["namespace"] = namespace
    return made


def test_only_leases_of_schedulers_that_policies_name_are_watched(running: Live) -> None:
    path = PATHS["Lease"]
    assert running.server.watches(path) == []
    running.server.apply(lease("packer"), lease("node-1", "kube-node-lease"))
    running.watches.follow_schedulers({"packer"})
    eventually(lambda: running.view.is_scheduler_alive("packer"))
    assert running.view.sizes()["leases"] == 1
    assert not running.view.is_scheduler_alive("node-1")
    assert [call.query["fieldSelector"] for call in running.server.lists(path)] == ["metadata.name=packer"]
    running.watches.follow_schedulers(())
    assert not running.view.is_scheduler_alive("packer")
    assert not any(each.name.startswith("leases/") for each in running.watches.report())
    running.server.apply(lease("packer", age=1))
    assert running.view.sizes()["leases"] == 0


def test_a_scheduler_dies_with_its_lease(running: Live) -> None:
    running.server.apply(lease("packer"))
    running.watches.follow_schedulers({"packer"})
    eventually(lambda: running.view.is_scheduler_alive("packer"))
    running.server.apply(lease("packer", holder=""))
    eventually(lambda: not running.view.schedulers()["packer"])
    before = running.view.not_alive["packer"]
    assert not running.view.is_scheduler_alive("packer")
    assert running.view.not_alive["packer"] == before + 1


def test_a_lease_in_a_namespace_of_a_team_is_not_believed(running: Live) -> None:
    running.server.apply(lease("packer", "team-alpha"))
    running.watches.follow_schedulers({"packer"})
    eventually(lambda: running.view.sizes()["leases"] == 1)
    assert not running.view.is_scheduler_alive("packer")


def test_a_claim_passes_to_the_next_pod_when_its_payer_ends(running: Live) -> None:
    spec = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}]}
    older = obj("Pod", "a", spec, uid="u-1", creationTimestamp="2026-01-01T00:00:00Z")
    running.server.apply(older, obj("Pod", "b", spec, uid="u-2", creationTimestamp="2026-01-02T00:00:00Z"))
    eventually(lambda: len(running.view.pods()) == 2)
    assert running.view.claim_payer(NS, "shared") == "u-1"
    running.server.delete(older)
    eventually(lambda: running.view.claim_payer(NS, "shared") == "u-2")
    running.server.apply({**obj("Pod", "b", spec, uid="u-2"), "status": {"phase": "Failed"}})
    eventually(lambda: running.view.claim_payer(NS, "shared") is None)
    assert not running.view.pods_by_uid.mounted


def test_who_uses_a_claim_for_devices_follows_the_pods(running: Live) -> None:
    def users(name: str) -> list[str]:
        return [each.uid for each in running.view.device_claim_users(NS, name)]

    spec = {"resourceClaims": [{"name": "gpu", "resourceClaimName": "shared"}]}
    older = obj("Pod", "a", spec, uid="u-1", creationTimestamp="2026-01-01T00:00:00Z")
    newer = obj("Pod", "b", spec, uid="u-2", creationTimestamp="2026-01-02T00:00:00Z")
    running.server.apply(newer, older)
    eventually(lambda: users("shared") == ["u-1", "u-2"])
    running.server.delete(older)
    eventually(lambda: users("shared") == ["u-2"])
    made = {"extendedResourceClaimStatus": {"resourceClaimName": "extended"}}
    running.server.apply({**newer, "status": made})
    eventually(lambda: users("extended") == ["u-2"])
    running.server.apply({**newer, "status": {"phase": "Failed"}})
    eventually(lambda: not users("shared"))
    assert not users("extended")


def test_devices_follow_the_cluster(running: Live) -> None:
    before = running.view.changes_of_devices()
    assert running.view.device_inventory().every("gold") == 32
    gold = obj("DeviceClass", "gold", {"extendedResourceName": "example.com/gold"})
    pool = obj("ResourceSlice", "s", {"driver": "d", "nodeName": "n", "devices": [{"name": "a"}, {"name": "b"}]})
    running.server.apply(gold, pool)
    eventually(lambda: running.view.device_inventory().classes == {"example.com/gold": "gold"})
    eventually(lambda: running.view.device_inventory().every("gold") == 2)
    assert running.view.changes_of_devices() != before
    running.server.delete(pool)
    eventually(lambda: running.view.device_inventory().every("gold") == 32)


def test_the_limits_of_a_namespace_are_the_same_until_one_of_them_changes() -> None:
    seen = LiveView(lambda: NOW)
    item = LimitRangeItem("Container", default_request={"cpu": "1"})
    for name in ("a", "b"):
        seen.limit_ranges_by_namespace.put(f"{NS}/{name}", LimitRange(NS, (item,)))
    first = seen.limit_ranges(NS)
    assert len(first) == 2
    assert seen.limit_ranges(NS) is first
    seen.limit_ranges_by_namespace.put(f"{NS}/b", LimitRange(NS, (item, item)))
    assert len(seen.limit_ranges(NS)) == 3
    seen.limit_ranges_by_namespace.drop(f"{NS}/b")
    assert len(seen.limit_ranges(NS)) == 1
    seen.limit_ranges_by_namespace.drop(f"{NS}/a")
    assert seen.limit_ranges(NS) == ()


def test_a_workload_whose_spec_changes_is_told_and_no_other() -> None:
    seen = LiveView(lambda: NOW)
    told: list[Workload] = []
    seen.workloads["Deployment"].on_change = told.append

    def put(replicas: int, **annotations: str) -> None:
        made = obj("Deployment", "web", {"replicas": replicas}, uid="d-1", annotations=annotations)
        project = workload("apps/v1", "Deployment")
        seen.workloads["Deployment"].put(f"{NS}/web", project(msgspec.Raw(msgspec.json.encode(made)), Meta()))

    put(4)
    put(4, a="b")
    assert told == []
    put(0)
    put(2)
    assert [each.spec.replicas for each in told if each.spec is not None] == [0, 2]
