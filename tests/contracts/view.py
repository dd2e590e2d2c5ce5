"""What every cluster view must answer, whatever it is fed by.

A test module imports `ViewContract`, subclasses it, and offers a fixture `make_view` that turns Kubernetes objects
(plain data) into a view. It is no test module itself, so it runs only where it is subclassed.
"""

from collections.abc import Callable
from typing import Any

import pytest

from webhook.cluster.view import (
    ClaimUser,
    Controller,
    DeviceClaim,
    PodShare,
    QuotaScope,
    RuntimeClass,
    StorageClaim,
    View,
)
from webhook.kube.device_claims import Alternative, DeviceRequest
from webhook.kube.objects import OwnerReference

Object = dict[str, Any]
MakeView = Callable[[list[Object]], View]

NS = "shop"


def obj(kind: str, name: str, spec: Object | None = None, /, **metadata: object) -> Object:
    """Return an object of a kind that the view knows, in the namespace ``shop``."""
    version = {
        "Namespace": "v1",
        "Pod": "v1",
        "Node": "v1",
        "LimitRange": "v1",
        "PodDisruptionBudget": "policy/v1",
        "ResourceQuota": "v1",
        "PersistentVolumeClaim": "v1",
        "ReplicationController": "v1",
        "Job": "batch/v1",
        "CronJob": "batch/v1",
        "VerticalPodAutoscaler": "autoscaling.k8s.io/v1",
        "HorizontalPodAutoscaler": "autoscaling/v2",
        "ScaledObject": "keda.sh/v1alpha1",
        "Lease": "coordination.k8s.io/v1",
        "ResourceClaim": "resource.k8s.io/v1",
        "ResourceClaimTemplate": "resource.k8s.io/v1",
        "DeviceClass": "resource.k8s.io/v1",
        "ResourceSlice": "resource.k8s.io/v1",
        "RuntimeClass": "node.k8s.io/v1",
    }.get(kind, "apps/v1")
    place = {} if kind in ("Namespace", "Node", "RuntimeClass", "DeviceClass", "ResourceSlice") else {"namespace": NS}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place, **metadata}, "spec": spec or {}}


def owned_by(kind: str, name: str, uid: str = "", *, controller: bool = True) -> list[Object]:
    """Return the ``ownerReferences`` of an object with one owner."""
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": controller}]


def owner(kind: str, name: str, uid: str = "") -> OwnerReference:
    """Return a pod's controller reference."""
    return OwnerReference(api_version="apps/v1", kind=kind, name=name, uid=uid, controller=True)


def vpa(name: str, kind: str, target: str, created: str = "", **spec: object) -> Object:
    """Return a VPA with a recommendation."""
    made = obj("VerticalPodAutoscaler", name, {"targetRef": {"kind": kind, "name": target}, **spec})
    made["metadata"]["creationTimestamp"] = created or None
    made["status"] = {"recommendation": {"containerRecommendations": [{"containerName": "c", "target": {"cpu": "5m"}}]}}
    return made


WEB = obj("Deployment", "web", {"selector": {"matchLabels": {"app": "web"}}}, uid="d-1")
WEB_RS = obj(
    "ReplicaSet",
    "web-7d4b9c",
    {"selector": {"matchLabels": {"app": "web", "pod-template-hash": "7d4b9c"}}},
    uid="rs-1",
    ownerReferences=owned_by("Deployment", "web", "d-1"),
)
LABELS = {"app": "web", "pod-template-hash": "7d4b9c"}


class ViewContract:
    """The behaviour of `webhook.cluster.view.View`."""

    def test_an_empty_cluster_knows_nothing_and_says_so(self, make_view: MakeView) -> None:
        view = make_view([])
        assert view.namespace(NS) is None
        assert view.top_controller(NS, None, {}) is None
        assert view.workload(NS, "Deployment", "web") is None
        assert view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), {}) is None
        assert not view.horizontal_pod_autoscalers(NS, Controller("Deployment", "web"))
        assert not view.limit_ranges(NS)
        assert not view.disruption_budgets(NS, {"app": "web"})
        assert view.replicas(NS, Controller("Deployment", "web")) is None
        assert not view.resource_quotas(NS)
        assert view.owner_selector(NS, Controller("Deployment", "web")) is None
        assert not view.nodes()
        assert view.node("n") is None
        assert view.claim(NS, "data") is None
        assert view.claim_payer(NS, "data") is None
        assert view.device_claim(NS, "gpus") is None
        assert view.device_claim_template(NS, "gpus") is None
        assert not list(view.device_claim_users(NS, "gpus"))
        assert view.device_inventory() == ({}, {}, {}, {})
        assert view.runtime_class("kata") is None
        assert not view.pods()
        assert not view.is_scheduler_alive("bin-packing-scheduler")
        assert not view.knows_scheduler("bin-packing-scheduler")
        assert set(view.sizes().values()) <= {0}

    def test_a_namespace_has_its_labels_annotations_and_name_label(self, make_view: MakeView) -> None:
        view = make_view([obj("Namespace", NS, labels={"team": "a"}, annotations={"note": "n"})])
        namespace = view.namespace(NS)
        assert namespace is not None
        assert namespace.labels == {"team": "a", "kubernetes.io/metadata.name": NS}
        assert namespace.annotations == {"note": "n"}

    # --- owners -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("order", [1, -1], ids=["owner first", "owner last"])
    def test_a_replica_set_leads_to_its_deployment(self, make_view: MakeView, order: int) -> None:
        view = make_view([WEB, WEB_RS][::order])
        found = view.top_controller(NS, owner("ReplicaSet", "web-7d4b9c", "rs-1"), LABELS)
        assert found == Controller("Deployment", "web", "apps/v1")

    def test_owners_are_looked_up_in_the_namespace_of_the_pod(self, make_view: MakeView) -> None:
        view = make_view([WEB, WEB_RS])
        found = view.top_controller("elsewhere", owner("ReplicaSet", "web-7d4b9c"), {})
        assert found == Controller("ReplicaSet", "web-7d4b9c", "apps/v1")

    def test_an_unknown_replica_set_is_derived_and_says_so(self, make_view: MakeView) -> None:
        view = make_view([WEB])
        found = view.top_controller(NS, owner("ReplicaSet", "web-7d4b9c", "rs-9"), LABELS)
        assert found == Controller("Deployment", "web", "apps/v1", derived=True)

    def test_a_head_says_who_a_workload_is_and_how_many_pods_it_wants(self, make_view: MakeView) -> None:
        spec = {"replicas": 3, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "10%"}}}
        head = make_view([obj("Deployment", "web", spec, uid="d-1")]).head(NS, "Deployment", "web")
        assert head is not None
        assert head.metadata is not None
        assert head.metadata.uid == "d-1"
        assert head.spec is not None
        assert head.spec.replicas == 3
        assert head.spec.strategy is not None
        assert head.spec.strategy.rolling_update is not None
        assert head.spec.strategy.rolling_update.max_surge == "10%"

    def test_the_replica_sets_of_a_controller_are_found_by_its_uid(self, make_view: MakeView) -> None:
        mine = [
            obj("ReplicaSet", f"web-{n}", {"replicas": n}, uid=f"rs-{n}", ownerReferences=owned_by("D", "web", "d-1"))
            for n in (1, 2)
        ]
        alone = obj("ReplicaSet", "alone", {"replicas": 4})
        view = make_view([*mine, alone])
        wanted = [each.spec.replicas for each in view.replica_sets_of("d-1") if each.spec is not None]
        assert sorted(wanted, key=str) == [1, 2]
        assert not view.replica_sets_of("d-2")
        assert not view.replica_sets_of("")

    def test_the_pods_of_a_controller_are_counted_but_for_those_that_are_being_deleted(
        self, make_view: MakeView
    ) -> None:
        mine, other = owned_by("ReplicaSet", "web-1", "rs-1"), owned_by("ReplicaSet", "web-2", "rs-2")
        view = make_view(
            [
                obj("Pod", "a", uid="u-a", ownerReferences=mine),
                obj("Pod", "b", uid="u-b", ownerReferences=mine),
                obj("Pod", "c", uid="u-c", ownerReferences=mine, deletionTimestamp="2026-11-22T12:00:00Z"),
                obj("Pod", "d", uid="u-d", ownerReferences=other),
                obj("Pod", "e", uid="u-e", ownerReferences=owned_by("ReplicaSet", "web-1", "rs-1", controller=False)),
                obj("Pod", "f", uid="u-f"),
            ]
        )
        assert [view.pods_of(uid) for uid in ("rs-1", "rs-2", "rs-3", "")] == [2, 1, 0, 0]

    def test_a_pod_that_is_being_deleted_is_there_and_says_so(self, make_view: MakeView) -> None:
        leaving = obj("Pod", "p", uid="p-1", deletionTimestamp="2026-11-22T12:00:00Z")
        (found,) = make_view([leaving]).pods()
        assert found.pod.metadata is not None
        assert found.pod.metadata.deletion_timestamp == "2026-11-22T12:00:00Z"

    # --- autoscalers ------------------------------------------------------------------------------------------------

    def test_the_vpa_of_the_target_is_found(self, make_view: MakeView) -> None:
        view = make_view([WEB, vpa("v", "Deployment", "web")])
        found = view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS)
        assert found is not None
        assert found.name == "v"
        assert found.recommendations is not None
        assert found.recommendations[0].target == {"cpu": "5m"}

    @pytest.mark.parametrize("mode", ["Off", "Initial", "Recreate", "Auto", "InPlaceOrRecreate"])
    def test_vpas_of_every_update_mode_count(self, make_view: MakeView, mode: str) -> None:
        view = make_view([WEB, vpa("v", "Deployment", "web", updatePolicy={"updateMode": mode})])
        found = view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS)
        assert found is not None
        assert found.update_mode == mode

    def test_the_oldest_vpa_wins_then_the_smaller_name(self, make_view: MakeView) -> None:
        late = [vpa("a", "Deployment", "web", "2024-03-01T00:00:00Z")]
        early = [vpa(name, "Deployment", "web", "2024-02-29T23:30:00-00:00") for name in ("c", "b")]
        found = make_view([WEB, *late, *early]).vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS)
        assert found is not None
        assert found.name == "b"

    @pytest.mark.parametrize("mode", ["Off", "Initial"])
    @pytest.mark.parametrize("acting", [None, "Auto", "Recreate", "InPlaceOrRecreate", "InPlace"])
    def test_a_vpa_that_acts_comes_before_one_that_recommends(
        self, make_view: MakeView, mode: str, acting: str | None
    ) -> None:
        old = vpa("a", "Deployment", "web", "2024-03-01T00:00:00Z", updatePolicy={"updateMode": mode})
        new = vpa(
            "b",
            "Deployment",
            "web",
            "2026-03-01T00:00:00Z",
            **({"updatePolicy": {"updateMode": acting}} if acting else {}),
        )
        for made in ([WEB, old, new], [WEB, new, old]):
            view = make_view(made)
            found = view.vertical_pod_autoscalers(NS, Controller("Deployment", "web"), LABELS)
            assert [each.name for each in found] == ["b", "a"]
            assert view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS) == found[0]

    def test_targets_with_several_vpas_are_told(self, make_view: MakeView) -> None:
        made = [vpa("b", "Deployment", "web"), vpa("a", "Deployment", "web"), vpa("c", "Deployment", "api")]
        view = make_view([WEB, *made, vpa("d", "", "")])
        assert [[each.name for each in found] for found in view.contested_targets()] == [["a", "b"]]

    def test_a_cron_jobs_pods_without_labels_have_its_vpa(self, make_view: MakeView) -> None:
        template = {"metadata": {}, "spec": {"containers": [{"name": "c"}]}}
        made = obj("CronJob", "nightly", {"jobTemplate": {"spec": {"template": template}}})
        job = obj("Job", "nightly-1", {}, uid="j-1", ownerReferences=owned_by("CronJob", "nightly"))
        view = make_view([made, job, vpa("v", "CronJob", "nightly")])
        labels = {"batch.kubernetes.io/job-name": "nightly-1"}
        controller = view.top_controller(NS, owner("Job", "nightly-1", "j-1"), labels)
        assert controller is not None
        assert view.vertical_pod_autoscaler(NS, controller, labels) is not None

    @pytest.mark.parametrize(
        ("boost", "boosts"),
        [
            (None, False),
            ({}, False),
            ({"cpu": {"type": "Factor", "factor": 3}}, True),
            ({"cpu": {"type": "Factor", "factor": 1}}, False),
            ({"cpu": {"type": "Factor"}}, False),
            ({"cpu": {"type": "Quantity", "quantity": "500m"}}, True),
            ({"cpu": {"type": "Quantity", "quantity": 0}}, False),
            ({"cpu": {"type": "Quantity", "quantity": "much"}}, True),
            ({"cpu": {"type": "Later", "factor": 3}}, False),
        ],
    )
    def test_vpas_tell_whether_they_boost_the_cpu_of_starting_containers(
        self, make_view: MakeView, boost: Object | None, boosts: bool
    ) -> None:
        policies = [{"containerName": "a", "startupBoost": boost}, {"containerName": "b"}]
        made = vpa("v", "Deployment", "web", startupBoost=boost, resourcePolicy={"containerPolicies": policies})
        found = make_view([WEB, made]).vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS)
        assert found is not None
        assert found.boosts_cpu is boosts
        assert [each.boosts_cpu for each in found.container_policies] == [None if boost is None else boosts, None]

    def test_a_vpa_without_creation_time_is_the_oldest(self, make_view: MakeView) -> None:
        made = [vpa("a", "Deployment", "web", "2024-03-01T00:00:00Z"), vpa("b", "Deployment", "web")]
        found = make_view([WEB, *made]).vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS)
        assert found is not None
        assert found.name == "b"

    def test_a_vpa_whose_target_does_not_select_the_pod_is_not_its(self, make_view: MakeView) -> None:
        view = make_view([WEB, vpa("v", "Deployment", "web")])
        assert view.vertical_pod_autoscaler(NS, Controller("Deployment", "web"), {"app": "other"}) is None

    def test_a_vpa_confirms_a_target_that_is_not_known(self, make_view: MakeView) -> None:
        view = make_view([vpa("v", "Deployment", "web")])
        derived = view.top_controller(NS, owner("ReplicaSet", "web-7d4b9c"), LABELS)
        assert derived is not None
        assert view.vertical_pod_autoscaler(NS, derived, LABELS) is not None

    def test_a_vpa_of_another_namespace_never_matches(self, make_view: MakeView) -> None:
        view = make_view([WEB, vpa("v", "Deployment", "web")])
        assert view.vertical_pod_autoscaler("elsewhere", Controller("Deployment", "web"), LABELS) is None

    def test_a_malformed_quantity_of_a_vpa_is_kept_as_it_is(self, make_view: MakeView) -> None:
        broken = vpa("v", "Deployment", "web")
        broken["status"]["recommendation"]["containerRecommendations"][0]["target"] = {"cpu": "lots", "memory": 7}
        found = make_view([WEB, broken]).vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS)
        assert found is not None
        assert found.recommendations is not None
        assert found.recommendations[0].target == {"cpu": "lots", "memory": 7}

    def test_a_vpa_without_a_recommendation_has_none(self, make_view: MakeView) -> None:
        bare = vpa("v", "Deployment", "web")
        del bare["status"]
        found = make_view([WEB, bare]).vertical_pod_autoscaler(NS, Controller("Deployment", "web"), LABELS)
        assert found is not None
        assert found.recommendations is None

    def test_hpas_tell_which_resources_drive_them(self, make_view: MakeView) -> None:
        def metric(kind: str, name: str, target: str, **more: str) -> Object:
            field = kind[0].lower() + kind[1:]
            return {"type": kind, field: {"name": name, "target": {"type": target}, **more}}

        metrics = [
            metric("Resource", "cpu", "Utilization"),
            metric("Resource", "memory", "AverageValue"),
            metric("ContainerResource", "memory", "Utilization", container="app"),
            {"type": "Pods", "pods": {"metric": {"name": "rps"}}},
        ]
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 5}
        view = make_view([obj("HorizontalPodAutoscaler", "h", {**spec, "metrics": metrics})])
        (found,) = view.horizontal_pod_autoscalers(NS, Controller("Deployment", "web"))
        assert found.utilization_resources == {"cpu"}
        assert found.container_utilization == {("app", "memory")}
        assert (found.min_replicas, found.max_replicas) == (2, 5)

    def test_a_scaled_object_stands_for_the_hpa_that_keda_makes_of_it(self, make_view: MakeView) -> None:
        triggers = [
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "50"}},
            {"type": "memory", "metricType": "AverageValue", "metadata": {"value": "1Gi"}},
            {"type": "memory", "metadata": {"type": "Utilization", "value": "70", "containerName": "app"}},
            {"type": "kafka", "metadata": {"topic": "orders"}},
        ]
        spec = {"scaleTargetRef": {"name": "web"}, "maxReplicaCount": 20, "triggers": triggers}
        made = obj("ScaledObject", "s", spec)
        target = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 20}
        others = [
            obj("HorizontalPodAutoscaler", "keda-hpa-s", target),
            obj("HorizontalPodAutoscaler", "own", target),
        ]
        controller = Controller("Deployment", "web")
        both = make_view([made, *others]).horizontal_pod_autoscalers(NS, controller)
        own, found = sorted(both, key=lambda each: each.label)
        assert (own.name, own.label) == ("own", "HorizontalPodAutoscaler 'own'")
        assert (found.name, found.label) == ("keda-hpa-s", "ScaledObject 's'")
        assert found.utilization_resources == {"cpu"}
        assert found.container_utilization == {("app", "memory")}
        assert (found.min_replicas, found.max_replicas) == (0, 20)
        alone = make_view([made])
        assert alone.horizontal_pod_autoscalers(NS, controller) == (found,)
        assert alone.sizes()["scaledObjects"] == 1
        assert not alone.horizontal_pod_autoscalers(NS, Controller("StatefulSet", "web"))
        assert make_view(others).horizontal_pod_autoscalers(NS, controller)[0].max_replicas == 20

    # --- disruption budgets -----------------------------------------------------------------------------------------

    def test_disruption_budgets_of_the_namespace_are_found_by_the_labels_of_a_pod(self, make_view: MakeView) -> None:
        web = {"matchLabels": {"app": "web"}}
        tier = {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "edge"]}]}
        view = make_view(
            [
                obj("PodDisruptionBudget", "web", {"selector": web, "minAvailable": "50%"}),
                obj("PodDisruptionBudget", "front", {"selector": tier, "maxUnavailable": 1}),
                obj("PodDisruptionBudget", "all", {"selector": {}}),
                obj("PodDisruptionBudget", "nobody", {"maxUnavailable": 0}),
            ]
        )
        assert [each.name for each in view.disruption_budgets(NS, {"app": "web", "tier": "edge"})] == [
            "all",
            "front",
            "web",
        ]
        assert [each.name for each in view.disruption_budgets(NS, {})] == ["all"]
        assert not view.disruption_budgets("elsewhere", {"app": "web"})
        _, front, found = view.disruption_budgets(NS, {"app": "web", "tier": "front"})
        assert (found.min_available, found.max_unavailable) == (PodShare(50, is_percent=True), None)
        assert (front.min_available, front.max_unavailable) == (None, PodShare(1))

    @pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ReplicaSet"])
    def test_replicas_of_a_workload_are_told(self, make_view: MakeView, kind: str) -> None:
        selector, template = {"matchLabels": {"app": "x"}}, {"metadata": {"labels": {"app": "x"}}}
        made = obj(kind, "x", {"replicas": 3, "selector": selector, "template": template})
        assert make_view([made]).replicas(NS, Controller(kind, "x")) == 3

    def test_a_workload_that_names_no_replicas_has_one(self, make_view: MakeView) -> None:
        assert make_view([WEB]).replicas(NS, Controller("Deployment", "web")) == 1

    def test_a_daemon_set_has_no_replicas_to_count(self, make_view: MakeView) -> None:
        view = make_view([obj("DaemonSet", "d", {"selector": {"matchLabels": {"app": "d"}}})])
        assert view.replicas(NS, Controller("DaemonSet", "d")) is None

    # --- the rest ---------------------------------------------------------------------------------------------------

    def test_limit_ranges_have_the_defaults_of_the_api_server(self, make_view: MakeView) -> None:
        item = {"type": "Container", "max": {"cpu": "2", "memory": "1Gi"}, "default": {"cpu": "1"}, "min": {"x": "1"}}
        pod_item = {"type": "Pod", "max": {"cpu": "4"}}
        view = make_view([obj("LimitRange", "a", {"limits": [item, pod_item]}), obj("LimitRange", "b", {"limits": []})])
        container, pod = view.limit_ranges(NS)
        assert container.default == {"cpu": "1", "memory": "1Gi"}
        assert container.default_request == {"cpu": "1", "memory": "1Gi", "x": "1"}
        assert (pod.type, pod.default, pod.default_request) == ("Pod", {}, {})

    def test_quotas_have_what_is_enforced_what_is_used_and_whom_they_count(self, make_view: MakeView) -> None:
        selector = {
            "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}],
        }
        fresh = obj("ResourceQuota", "fresh", {"hard": {"cpu": "4"}, "scopes": ["NotTerminating"]})
        known = obj("ResourceQuota", "known", {"hard": {"limits.cpu": "9"}, "scopeSelector": selector})
        known["status"] = {"hard": {"limits.cpu": "8"}, "used": {"limits.cpu": "1"}}
        first, second = sorted(make_view([fresh, known]).resource_quotas(NS), key=lambda each: each.name)
        assert (first.hard, first.used, first.scopes) == ({"cpu": "4"}, {}, (QuotaScope("NotTerminating"),))
        assert (second.hard, second.used) == ({"limits.cpu": "8"}, {"limits.cpu": "1"})
        assert second.scopes == (QuotaScope("PriorityClass", "In", ("high",)),)
        assert not make_view([fresh]).resource_quotas("elsewhere")

    def test_selectors_of_owners_are_told(self, make_view: MakeView) -> None:
        selector = make_view([WEB]).owner_selector(NS, Controller("Deployment", "web"))
        assert selector is not None
        assert selector.match_labels == {"app": "web"}

    def test_nodes_have_labels_taints_and_allocatable(self, make_view: MakeView) -> None:
        taint = {"key": "kubernetes.io/spot", "value": "true", "effect": "NoSchedule"}
        made = obj("Node", "n", {"taints": [taint], "unschedulable": True}, labels={"a": "b"})
        made["status"] = {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "3920m"}}
        view = make_view([made])
        (node,) = view.nodes()
        assert view.node("n") == node
        assert view.node("m") is None
        assert node.capacity == {"cpu": "4"}
        assert node.name == "n"
        assert node.labels == {"a": "b"}
        assert node.taints == (("kubernetes.io/spot", "true", "NoSchedule"),)
        assert node.allocatable == {"cpu": "3920m"}
        assert node.unschedulable

    def test_a_claim_has_what_its_volume_has_else_what_it_asks_for(self, make_view: MakeView) -> None:
        asked = {"storageClassName": "gp3", "resources": {"requests": {"storage": "10Gi"}}}
        waiting, grown = obj("PersistentVolumeClaim", "waiting", asked), obj("PersistentVolumeClaim", "grown", asked)
        grown["status"] = {"capacity": {"storage": "20Gi"}}
        view = make_view([waiting, grown, obj("PersistentVolumeClaim", "bare")])
        assert view.claim(NS, "waiting") == StorageClaim(NS, "waiting", "10Gi", "gp3")
        assert view.claim(NS, "grown") == StorageClaim(NS, "grown", "20Gi", "gp3")
        assert view.claim(NS, "bare") == StorageClaim(NS, "bare", None, "")
        assert view.claim("elsewhere", "grown") is None
        assert view.sizes()["persistentVolumeClaims"] == 3

    def test_a_pod_tells_its_node_its_claims_and_its_ephemeral_volumes(self, make_view: MakeView) -> None:
        volumes: list[Object] = [
            {"name": "kube-api-access", "projected": {}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}},
            {
                "name": "scratch",
                "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "5Gi"}}}}},
            },
        ]
        view = make_view([obj("Pod", "p", {"nodeName": "n", "volumes": volumes}, uid="u"), obj("Pod", "q", uid="v")])
        placed, waiting = sorted(view.pods(), key=lambda each: each.uid)
        assert (placed.node, placed.claims) == ("n", ("data-0",))
        assert (waiting.node, waiting.claims) == ("", ())
        assert placed.pod.spec is not None
        (scratch,) = [each.ephemeral for each in placed.pod.spec.volumes or () if each.ephemeral is not None]
        assert scratch.volume_claim_template is not None
        assert scratch.volume_claim_template.spec is not None
        assert scratch.volume_claim_template.spec.resources is not None
        assert scratch.volume_claim_template.spec.resources.requests == {"storage": "5Gi"}

    def test_a_claim_is_counted_with_the_oldest_pod_that_mounts_it(self, make_view: MakeView) -> None:
        spec = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}]}
        created = {"c": "2026-01-02T00:00:00Z", "b": "2026-01-01T00:00:00Z", "a": "2026-01-02T00:00:00Z"}
        pods = [obj("Pod", uid, spec, uid=uid, creationTimestamp=time) for uid, time in created.items()]
        assert make_view(pods).claim_payer(NS, "shared") == "b"
        assert make_view([pods[0], pods[2]]).claim_payer(NS, "shared") == "a"
        ended = {**pods[1], "status": {"phase": "Succeeded"}}
        view = make_view([pods[0], ended])
        assert view.claim_payer(NS, "shared") == "c"
        assert view.claim_payer("elsewhere", "shared") is None

    # --- devices ----------------------------------------------------------------------------------------------------

    def test_a_claim_for_devices_says_what_it_asks_for_and_whose_it_is(self, make_view: MakeView) -> None:
        spec = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gold", "count": 2}}]}}
        pods: list[Object] = [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-1", "controller": True}]
        view = make_view(
            [
                obj("ResourceClaim", "shared", spec),
                obj("ResourceClaim", "made", spec, ownerReferences=pods),
                obj("ResourceClaim", "of-a-set", spec, ownerReferences=owned_by("StatefulSet", "s", "u-2")),
                obj("ResourceClaimTemplate", "two", {"spec": spec}),
                obj("ResourceClaimTemplate", "none", {"spec": {}}),
            ]
        )
        two = (DeviceRequest((Alternative("gold", 2),)),)
        assert view.device_claim(NS, "shared") == DeviceClaim(NS, "shared", two)
        assert view.device_claim(NS, "made") == DeviceClaim(NS, "made", two, "u-1")
        assert view.device_claim(NS, "of-a-set") == DeviceClaim(NS, "of-a-set", two)
        assert view.device_claim("elsewhere", "shared") is None
        assert view.device_claim_template(NS, "two") == two
        assert view.device_claim_template(NS, "none") == ()
        assert view.device_claim_template("elsewhere", "two") is None
        assert (view.sizes()["resourceClaims"], view.sizes()["resourceClaimTemplates"]) == (3, 2)

    def test_a_claim_that_is_allocated_is_what_it_has(self, make_view: MakeView) -> None:
        requests = [{"name": "gpu", "exactly": {"deviceClassName": "gold", "allocationMode": "All"}}]
        claim = obj("ResourceClaim", "c", {"devices": {"requests": requests}})
        claim["status"] = {"allocation": {"devices": {"results": [{"request": "gpu"}] * 3}}}
        found = make_view([claim]).device_claim(NS, "c")
        assert found is not None
        assert found.requests == (DeviceRequest((Alternative("gold", 3),)),)

    def test_the_users_of_a_claim_are_told_the_oldest_first(self, make_view: MakeView) -> None:
        spec = {"resourceClaims": [{"name": "gpu", "resourceClaimName": "shared"}]}
        days = {"c": "2026-01-02T00:00:00Z", "b": "2026-01-01T00:00:00Z", "a": "2026-01-02T00:00:00Z"}
        pods = [obj("Pod", uid, spec, uid=uid, creationTimestamp=day, labels={"u": uid}) for uid, day in days.items()]
        users = list(make_view([*pods, obj("Pod", "d", uid="d")]).device_claim_users(NS, "shared"))
        assert users == [ClaimUser(days[uid], uid, {"u": uid}) for uid in ("b", "a", "c")]
        ended = {**pods[1], "status": {"phase": "Succeeded"}}
        view = make_view([pods[0], ended])
        assert [each.uid for each in view.device_claim_users(NS, "shared")] == ["c"]
        assert not list(view.device_claim_users("elsewhere", "shared"))

    def test_a_pod_uses_the_claims_that_were_made_for_it(self, make_view: MakeView) -> None:
        pod = obj("Pod", "p", {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}, uid="u")
        pod["status"] = {
            "resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu-x"}, {"name": "none"}],
            "extendedResourceClaimStatus": {"resourceClaimName": "p-extended"},
        }
        view = make_view([pod])
        (found,) = view.pods()
        assert found.made_claims == (("gpu", "p-gpu-x"), ("none", ""), ("", "p-extended"))
        assert found.pod.spec is not None
        assert found.pod.spec.resource_claims is not None
        (entry,) = found.pod.spec.resource_claims
        assert (entry.name, entry.resource_claim_template_name, entry.resource_claim_name) == ("gpu", "t", None)
        for name in ("p-gpu-x", "p-extended"):
            assert [each.uid for each in view.device_claim_users(NS, name)] == ["u"]
        assert not list(view.device_claim_users(NS, ""))

    def test_the_inventory_knows_classes_and_how_many_devices_a_node_can_have(self, make_view: MakeView) -> None:
        gold: Object = {
            "extendedResourceName": "example.com/gpu",
            "selectors": [{"cel": {"expression": "device.driver == 'gpu.example.com'"}}],
        }
        view = make_view(
            [
                obj("DeviceClass", "gold", gold, creationTimestamp="2026-01-01T00:00:00Z"),
                obj("DeviceClass", "newer", {"extendedResourceName": "example.com/gpu"}, creationTimestamp="2026-02"),
                obj("DeviceClass", "bare"),
                *(
                    obj("ResourceSlice", f"{node}-{n}", {"driver": driver, "nodeName": node, "devices": [{}] * devices})
                    for n, (node, driver, devices) in enumerate(
                        [("a", "gpu.example.com", 4), ("a", "gpu.example.com", 4), ("b", "gpu.example.com", 2)]
                    )
                ),
                obj(
                    "ResourceSlice", "net", {"driver": "net.example.com", "allNodes": True, "devices": [{"name": "n"}]}
                ),
                obj("ResourceSlice", "empty", {"driver": "gpu.example.com", "nodeName": "c"}),
            ]
        )
        inventory = view.device_inventory()
        assert inventory.classes == {"example.com/gpu": "newer"}
        assert inventory.resources == {"gold": "example.com/gpu", "newer": "example.com/gpu"}
        assert [inventory.every(name) for name in ("gold", "bare")] == [8, 9]
        assert view.device_inventory() is inventory
        assert (view.sizes()["deviceClasses"], view.sizes()["resourceSlices"]) == (3, 4)

    def test_terminal_pods_are_not_among_the_pods(self, make_view: MakeView) -> None:
        made = [obj("Pod", phase.lower(), {}, uid=phase) for phase in ("Running", "Pending", "Succeeded", "Failed")]
        for pod in made:
            pod["status"] = {"phase": pod["metadata"]["uid"]}
        assert sorted(pod.uid for pod in make_view(made).pods()) == ["Pending", "Running"]

    def test_workloads_come_with_their_template(self, make_view: MakeView) -> None:
        spec = {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": {"spec": {"nodeName": "n"}}}
        found = make_view([obj("StatefulSet", "x", spec)]).workload(NS, "StatefulSet", "x")
        assert found is not None
        assert found.spec is not None
        assert found.spec.replicas == 3
        assert found.spec.template is not None
        assert found.spec.template.spec is not None
        assert found.spec.template.spec.node_name == "n"

    def test_a_runtime_class_has_the_overhead_of_its_pods(self, make_view: MakeView) -> None:
        view = make_view(
            [
                {**obj("RuntimeClass", "kata"), "handler": "kata", "overhead": {"podFixed": {"cpu": "2"}}},
                {**obj("RuntimeClass", "runc"), "handler": "runc"},
            ]
        )
        assert view.runtime_class("kata") == RuntimeClass("kata", {"cpu": "2"})
        assert view.runtime_class("runc") == RuntimeClass("runc")
        assert view.runtime_class("other") is None

    def test_stateful_sets_tell_which_claims_they_make(self, make_view: MakeView) -> None:
        made = {"metadata": {"name": "data", "labels": {"a": "b"}}, "spec": {"storageClassName": "gp3"}}
        spec = {"selector": {"matchLabels": {"app": "x"}}, "volumeClaimTemplates": [made]}
        found = make_view([obj("StatefulSet", "x", spec)]).workload(NS, "StatefulSet", "x")
        assert found is not None
        assert found.spec is not None
        (template,) = found.spec.volume_claim_templates or []
        assert template.metadata is not None
        assert template.metadata.name == "data"
        assert template.spec is not None
        assert template.spec.storage_class_name == "gp3"

    def test_sizes_count_what_is_known(self, make_view: MakeView) -> None:
        sizes = make_view([WEB, WEB_RS, obj("Namespace", NS), vpa("v", "Deployment", "web")]).sizes()
        assert (sizes["workloads"], sizes["namespaces"], sizes["verticalPodAutoscalers"]) == (2, 1, 1)
