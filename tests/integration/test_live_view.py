"""The live view on a real API server: the same answers as a snapshot of the same objects, with the rights that the
manifests grant, and policies as custom resources that the server itself checks."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import factories
from tests.fakes.apiserver import PATHS
from tests.integration import _control_plane
from webhook import assembly
from webhook.admission.log import DecisionLog
from webhook.cluster.live import LiveView
from webhook.cluster.snapshot import Snapshot
from webhook.cluster.view import Controller, View
from webhook.cluster.watches import Watches
from webhook.kube import client
from webhook.kube.objects import WORKLOAD_KINDS, OwnerReference
from webhook.policy.model import discovery
from webhook.policy.model.envelope import API_VERSION
from webhook.policy.schema import crds
from webhook.settings import Settings

ROOT = Path(__file__).parents[2]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ORDER = ("Namespace", "Node", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "ReplicaSet", "Job")
"""Owners before what they own."""

Object = dict[str, Any]


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


class Server:
    """What tests do to the API server."""

    def __init__(self, plane: _control_plane.ControlPlane) -> None:
        self.plane = plane
        self.api = plane.client()
        self.uids: dict[str, str] = {}

    def create(self, document: Object, *, strict: bool = False) -> Object:
        """Create an object, and its status where it has one; UIDs in references follow."""
        made = json.loads(json.dumps(document))
        path = PATHS.get(made["kind"], "")
        namespace = made["metadata"].get("namespace")
        if namespace:
            head, _, plural = path.rpartition("/")
            path = f"{head}/namespaces/{namespace}/{plural}"
        status = made.pop("status", None)
        old = made["metadata"].pop("uid", None)
        for name in ("resourceVersion", "creationTimestamp", "generation"):
            made["metadata"].pop(name, None)
        for reference in made["metadata"].get("ownerReferences", ()):
            reference["uid"] = self.uids.get(reference["uid"], reference["uid"])
        if made["kind"] == "Job":
            # The server makes the selector of a Job by itself, of the UID that it gives.
            made["spec"].pop("selector", None)
            made["spec"]["template"]["metadata"].pop("labels", None)
        query = {"fieldValidation": "Strict"} if strict else None
        stored: Object = json.loads(self.api.request("POST", path, query=query, body=json.dumps(made).encode()))
        if old:
            self.uids[old] = stored["metadata"]["uid"]
        if status is not None and made["kind"] != "Namespace":
            stored["status"] = status
            body = json.dumps(stored).encode()
            self.api.request("PUT", f"{path}/{made['metadata']['name']}/status", body=body)
        return stored

    def install(self, definition: Object) -> None:
        """Create a CustomResourceDefinition and wait until it is served."""
        self.api.request("POST", CRDS, body=json.dumps(definition).encode())
        name = definition["metadata"]["name"]

        def is_served() -> bool:
            found = json.loads(self.api.get(f"{CRDS}/{name}"))
            conditions = {each["type"]: each["status"] for each in (found.get("status") or {}).get("conditions") or ()}
            assert "NonStructuralSchema" not in conditions
            return conditions.get("Established") == "True"

        eventually(is_served)

    def objects(self) -> list[Object]:
        """Return everything that a view knows of, as ``kubectl get -o yaml`` would."""
        found: list[Object] = []
        for kind, path in PATHS.items():
            if "podgate.dev" in path:
                continue
            try:
                listed = json.loads(self.api.get(path))
            except client.NotFoundError:
                continue  # Its kind is not installed here.
            found += [{**each, "apiVersion": listed["apiVersion"], "kind": kind} for each in listed["items"]]
        return found


def vpa_definition() -> Object:
    """Return a definition of VPAs that takes anything, with a status of its own as the real one has."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"kind": "VerticalPodAutoscaler", "plural": "verticalpodautoscalers"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "verticalpodautoscalers.autoscaling.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {"group": "autoscaling.k8s.io", "names": names, "scope": "Namespaced", "versions": [version]},
    }


def embedded() -> list[Object]:
    """Return the objects of the embedded cluster, owners first."""
    found: list[Object] = []
    for path in sorted((ROOT / "manifests" / "embedded").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            found += document["items"] if document and document["kind"] == "List" else [document] if document else []
    return sorted(found, key=lambda each: ORDER.index(each["kind"]) if each["kind"] in ORDER else len(ORDER))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        made = Server(plane)
        made.install(vpa_definition())
        for kind in discovery.kinds():
            made.install(crds.crd(kind))
        for document in embedded():
            try:
                made.create(document)
            except client.ConflictError:
                # Namespaces of the system are there already; their labels do not matter here.
                assert document["kind"] in ("Namespace", "LimitRange"), document["metadata"]["name"]
        yield made


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    """A token of the service account that the manifests make, with the rights that they grant."""
    api = server.api
    paths = {
        "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    }
    for document in yaml.safe_load_all((ROOT / "manifests" / "base" / "rbac.yaml").read_text(encoding="utf-8")):
        if document and document["kind"] in paths:
            api.request("POST", paths[document["kind"]], body=json.dumps(document).encode())
    accounts = "/api/v1/namespaces/podgate/serviceaccounts"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "podgate"}}
    api.request("POST", accounts, body=json.dumps(account).encode())
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = json.loads(api.request("POST", f"{accounts}/podgate/token", body=json.dumps(asked).encode()))
    return str(made["status"]["token"])


def as_service_account(server: Server, token: str, directory: Path) -> client.Client:
    kubeconfig = json.loads(server.plane.kubeconfig.read_text(encoding="utf-8"))
    kubeconfig["users"] = [{"name": "admin", "user": {"token": token}}]
    path = directory / "kubeconfig"
    path.write_text(json.dumps(kubeconfig))
    return client.connect(path)


@pytest.fixture
def api(server: Server, token: str, tmp_path: Path) -> client.Client:
    return as_service_account(server, token, tmp_path)


@pytest.fixture
def view(api: client.Client) -> Iterator[LiveView]:
    made = LiveView(assembly.utc_now)
    watches = Watches(api, made)
    watches.start()
    try:
        eventually(lambda: watches.problem() is None)
        yield made
    finally:
        watches.stop()


def answers(view: View, objects: list[Object]) -> dict[str, object]:
    """Ask a view everything about the objects."""
    found: dict[str, object] = {
        "nodes": sorted(view.nodes(), key=lambda each: each.name),
        "pods": sorted((each.uid, each.namespace) for each in view.pods()),
    }
    for each in objects:
        kind, name, place = each["kind"], each["metadata"]["name"], each["metadata"].get("namespace", "")
        here = f"{kind} {place}/{name}"
        if kind == "Namespace":
            found[here] = (view.namespace(name), tuple(view.limit_ranges(name)))
        if kind == "Pod" or kind in WORKLOAD_KINDS:
            references = each["metadata"].get("ownerReferences") or [{"kind": kind, "name": name, "controller": True}]
            owner = OwnerReference(
                **{
                    "api_version" if k == "apiVersion" else k: v
                    for k, v in references[0].items()
                    if k != "blockOwnerDeletion"
                }
            )
            found[f"owner of {here}"] = view.top_controller(place, owner, each["metadata"].get("labels") or {})
        if kind in WORKLOAD_KINDS:
            controller = Controller(kind, name)
            labels = (each["spec"].get("template") or {}).get("metadata", {}).get("labels") or {}
            found[here] = (
                view.owner_selector(place, controller),
                view.vertical_pod_autoscaler(place, controller, labels),
                view.vertical_pod_autoscaler(place, controller, {}),
                list(view.horizontal_pod_autoscalers(place, controller)),
                list(view.disruption_budgets(place, labels)),
                view.replicas(place, controller),
            )
            workload = view.workload(place, kind, name)
            assert workload is not None, here
            if not each["metadata"].get("ownerReferences"):
                spec = workload.spec
                assert spec is not None, here
                found[f"spec of {here}"] = (spec.replicas, spec.template, spec.job_template, spec.parallelism)
    return found


def _controllers(objects: list[Object]) -> Iterator[tuple[str, Controller, dict[str, str]]]:
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            labels = each["spec"]["template"]["metadata"]["labels"]
            yield each["metadata"]["namespace"], Controller(each["kind"], each["metadata"]["name"]), labels


def test_the_live_view_answers_as_a_snapshot_of_the_same_cluster_does(server: Server, view: LiveView) -> None:
    objects = server.objects()
    expected = answers(Snapshot.from_documents(objects), objects)
    found = answers(view, objects)
    assert len(expected) > 50
    assert sum(each is not None for each in (view.vertical_pod_autoscaler(*key) for key in _controllers(objects))) > 10
    assert {name for name in expected if found[name] != expected[name]} == set()


def test_changes_arrive_within_moments(server: Server, view: LiveView) -> None:
    server.create(factories.namespace("team-late", {"cost-center": "late"}))
    eventually(lambda: (found := view.namespace("team-late")) is not None and found.labels["cost-center"] == "late", 5)


def test_the_rights_of_the_manifests_are_enough_for_leases_of_schedulers(server: Server, api: client.Client) -> None:
    renewed = assembly.utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 3600, "renewTime": renewed}
    metadata = {"name": "packer", "namespace": "kube-system"}
    server.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
    view = LiveView(assembly.utc_now)
    watches = Watches(api, view)
    watches.follow_schedulers({"packer"})
    try:
        eventually(lambda: view.is_scheduler_alive("packer"))
    finally:
        watches.stop()


def test_shipped_policies_are_accepted_by_the_server(server: Server) -> None:
    files = sorted((ROOT / "policies").rglob("*.yaml"))
    documents = [each for path in files for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]
    policies = [each for each in documents if each["apiVersion"] == API_VERSION]
    assert len(policies) >= 8
    for document in policies:
        kind, name = document["kind"], document["metadata"]["name"]
        stored = server.create(document, strict=True)
        # What the document leaves out may have a default.
        assert {key: stored["spec"].get(key) for key in document["spec"]} == document["spec"], f"{kind} {name}"
        base, _, plural = PATHS[kind].rpartition("/")
        place = document["metadata"].get("namespace")
        server.api.request("DELETE", f"{base}/namespaces/{place}/{plural}/{name}" if place else f"{PATHS[kind]}/{name}")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="no mode"),
        pytest.param({"mode": "strict"}, id="unknown mode"),
        pytest.param({"mode": "audit", "podSecurty": {}}, id="unknown field"),
        pytest.param({"mode": "audit", "costLabels": {"required": [{"key": "a b"}]}}, id="no label key"),
    ],
)
def test_malformed_policies_are_refused_by_the_server(server: Server, spec: Object) -> None:
    document = {"apiVersion": API_VERSION, "kind": "GuardrailPolicy", "metadata": {"name": "bad"}, "spec": spec}
    with pytest.raises(client.ApiError) as caught:
        server.create(document, strict=True)
    assert caught.value.status in (400, 422)


async def test_a_policy_as_resource_takes_effect_and_goes(server: Server, api: client.Client) -> None:
    parts = assembly.live(Settings.build(cluster="live"), DecisionLog(io.BytesIO()), api=api)
    assert parts.cluster is not None
    parts.cluster.watches.start()
    try:
        eventually(lambda: parts.cluster is not None and parts.cluster.watches.problem() is None)

        async def patched() -> bool:
            assert parts.cluster is not None
            await parts.cluster.look()
            body = json.dumps(factories.review(factories.pod())).encode()
            answered = assembly.answer(parts, "/mutate", body, 10.0)
            encoded, _ = answered if isinstance(answered, tuple) else await answered
            return "patch" in json.loads(encoded)["response"]

        async def becomes(expected: bool) -> None:
            deadline = time.monotonic() + 10
            while await patched() is not expected:
                assert time.monotonic() < deadline

        await becomes(False)
        spec = "{mode: enforce, costLabels: {required: [{key: cost-center}]}}"
        server.create(yaml.safe_load(factories.policy(spec, "labels")), strict=True)
        await becomes(True)
        server.api.request("DELETE", f"{PATHS['GuardrailPolicy']}/labels")
        await becomes(False)
    finally:
        parts.cluster.watches.stop()


def test_revoked_rights_are_told_and_the_view_answers_on(server: Server, api: client.Client) -> None:
    binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    view = LiveView(assembly.utc_now)
    watches = Watches(api, view, options={"idle_seconds": 0.5, "scale": 0.1})
    watches.start()
    try:
        eventually(lambda: watches.problem() is None)
        stored = json.loads(server.api.get(f"{binding}/podgate"))
        server.api.request("DELETE", f"{binding}/podgate")
        try:
            eventually(lambda: any("grant it in the ClusterRole" in line for line in watches.notices()))
            assert view.namespace("team-alpha") is not None
            assert watches.problem() is None
        finally:
            stored["metadata"] = {"name": "podgate"}
            server.api.request("POST", binding, body=json.dumps(stored).encode())
        eventually(lambda: not any("grant it" in line for line in watches.notices()))
    finally:
        watches.stop()
