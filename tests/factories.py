# ruff: noqa: ANN401  # keyword arguments of the builders are JSON fields, which may be anything
"""Small builders for tests of the whole pipeline: pods, reviews, policies from YAML text, and an engine over documents.

Everything starts from a minimal valid object, and a test changes the one thing that it is about.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jsonpatch
import msgspec
from prometheus_client import CollectorRegistry

from webhook.admission.bookings import bookings
from webhook.admission.engine import Engine
from webhook.admission.metrics import Metrics
from webhook.admission.recorder import Recorder
from webhook.admission.review_cache import MAXIMUM_BYTES
from webhook.admission.ruleset import Ruleset, check_section
from webhook.cluster.snapshot import Snapshot
from webhook.cluster.view import View
from webhook.ledger.memory import MemoryLedger
from webhook.ledger.store import LedgerStore
from webhook.policy.loading import loader
from webhook.policy.model.sections import Mode

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""The time in tests that are not about time."""

PRICES = """
apiVersion: podgate.dev/v1alpha1
kind: PriceList
metadata: {name: default}
spec:
  currency: USD
  hoursPerMonth: 100
  onDemand: {cpuCoreHour: "1", memoryGiBHour: "0.1", gpuHour: "10"}
  spot: {cpuCoreHour: "0.2", memoryGiBHour: "0.02", gpuHour: "10"}
"""
"""Round prices: a pod of one core and 10Gi costs $2 an hour and $200 a month of 100 hours."""

GENERATED = "shop-7d9c8b6f5-x2v4z"
"""The generated name of the pod in validating reviews; no answer may contain it."""


def container(name: str = "app", cpu: str | None = "1", memory: str | None = "10Gi", **fields: Any) -> dict[str, Any]:
    """Return a container with the requests that are given."""
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"name": name, "image": "registry.example/app:1", "resources": {"requests": requests}, **fields}


def pod(
    *containers: dict[str, Any],
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a pod as an API server sends it to a mutating webhook: defaulted, named by its ReplicaSet."""
    meta: dict[str, Any] = {"generateName": "shop-7d9c8b6f5-", "labels": {"app": "shop", **(labels or {})}}
    if annotations:
        meta["annotations"] = dict(annotations)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta, **(metadata or {})},
        "spec": {
            "containers": list(containers) or [container()],
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            **spec,
        },
        "status": {},
    }


def safe_pod(*containers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a pod that Pod Security `restricted` accepts."""
    made = pod(*containers, **changes)
    made["spec"]["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for item in made["spec"]["containers"]:
        item["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return made


def required_affinity(requirements: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the affinity of a pod that requires all of these of its node."""
    terms = [{"matchExpressions": requirements}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def deployment(replicas: int = 1, template: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a Deployment of the pod."""
    inner = template or pod()
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", **metadata},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {"metadata": {"labels": inner["metadata"]["labels"]}, "spec": inner["spec"]},
        },
    }


_GROUPS = {"Pod": "", "ReplicationController": "", "Job": "batch", "CronJob": "batch", "Scale": "autoscaling"}


def review(
    document: dict[str, Any] | None,
    *,
    operation: str = "CREATE",
    namespace: str = "team-alpha",
    old: dict[str, Any] | None = None,
    uid: str = "review-1",
    user: str = "jane",
    groups: Iterable[str] = ("system:authenticated",),
    **request: Any,
) -> dict[str, Any]:
    """Return an AdmissionReview of the document; further request fields by their JSON names."""
    kind = (document or old or {}).get("kind", "Pod")
    group = _GROUPS.get(kind, "apps")
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": f"{kind.lower()}s"},
            "namespace": namespace,
            "operation": operation,
            "userInfo": {"username": user, "groups": list(groups)},
            "object": document,
            "oldObject": old,
            "dryRun": False,
            **request,
        },
    }


def stored(document: dict[str, Any], uid: str = "pod-uid-1") -> dict[str, Any]:
    """Return a copy with the name and the UID that the API server gives between the two calls."""
    copied: dict[str, Any] = json.loads(json.dumps(document))
    copied["metadata"].setdefault("name", GENERATED)
    copied["metadata"]["uid"] = uid
    return copied


def namespace(name: str, labels: Mapping[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a Namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": dict(labels or {}), **metadata},
    }


def policy(spec: str, name: str = "team", kind: str = "GuardrailPolicy") -> str:
    """Return a policy document; `spec` is YAML without indentation of its own."""
    body = "\n".join(f"  {line}" for line in spec.strip("\n").splitlines())
    return f"apiVersion: podgate.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{body}\n"


def ruleset(*documents: str, excluded: tuple[str, ...] = (), cap: Mode = "enforce", prices: str = PRICES) -> Ruleset:
    """Compile policy documents, with the round prices."""
    return Ruleset(
        loader.load_text("\n---\n".join((*documents, prices)), "test.yaml", check=check_section), excluded, cap
    )


class Answer(NamedTuple):
    """One answered review."""

    response: dict[str, Any]
    entry: dict[str, Any] | None
    """The line of the decision log; None where nothing was judged."""

    @property
    def allowed(self) -> bool:
        """The verdict."""
        return bool(self.response["allowed"])

    @property
    def message(self) -> str:
        """The denial."""
        return str(self.response.get("status", {}).get("message", ""))

    @property
    def warnings(self) -> list[str]:
        """The admission warnings."""
        return list(self.response.get("warnings", []))

    @property
    def patch(self) -> list[dict[str, Any]]:
        """The decoded patch; empty where there is none."""
        return list(json.loads(base64.b64decode(self.response["patch"]))) if "patch" in self.response else []

    @property
    def notes(self) -> dict[str, str]:
        """The audit annotations."""
        return dict(self.response.get("auditAnnotations", {}))

    def outcome(self, guardrail: str, policy_name: str | None = None) -> str | None:
        """What became of a guardrail, as the log says it; None where it did not look."""
        for item in (self.entry or {}).get("guardrails", []):
            if item["guardrail"] == guardrail and policy_name in (None, item["policy"]):
                return str(item["outcome"])
        return None


class World:
    """An engine over documents, with a ledger, metrics and a log in memory."""

    def __init__(
        self,
        *policies: str,
        cluster: Iterable[dict[str, Any]] = (),
        cap: Mode = "enforce",
        now: Callable[[], datetime] = lambda: NOON,
        excluded: tuple[str, ...] = (),
        ledger: LedgerStore | None = None,
        rules: Ruleset | None = None,
        view: View | None = None,
        cache_bytes: int = MAXIMUM_BYTES,
    ) -> None:
        self.view: View = view if view is not None else Snapshot.from_documents(cluster)
        self.rules = rules if rules is not None else ruleset(*policies, excluded=excluded, cap=cap)
        self.ledger: LedgerStore = ledger if ledger is not None else MemoryLedger(clock=now)
        self.ledger.recount(bookings(self.view, self.rules, now))
        self.metrics = Metrics(CollectorRegistry())
        self.lines: list[bytes] = []
        self.engine = Engine(
            view=self.view,
            ledger=self.ledger,
            recorder=Recorder(self, self.metrics, now),
            now=now,
            cache_bytes=cache_bytes,
        )
        self.engine.put_in_force(self.rules)

    def write(self, line: bytes) -> None:
        """Take a line of the decision log."""
        self.lines.append(line)

    def call(self, path: str, body: dict[str, Any]) -> Answer:
        """Post a review to a path, and record the decision."""
        encoded, after = self.engine.answer(path, msgspec.json.encode(body))
        before = len(self.lines)
        if after is not None:
            after()
        decoded = msgspec.json.decode(encoded)
        assert decoded["apiVersion"] == "admission.k8s.io/v1"
        assert decoded["kind"] == "AdmissionReview"
        assert decoded["response"]["uid"] == body["request"]["uid"]
        return Answer(decoded["response"], msgspec.json.decode(self.lines[-1]) if len(self.lines) > before else None)

    def mutate(self, document: dict[str, Any], **request: Any) -> Answer:
        """Post the object to the mutating path."""
        return self.call("/mutate", review(document, **request))

    def validate(self, document: dict[str, Any], **request: Any) -> Answer:
        """Post the object to the validating path, named and with a UID, as stored."""
        uid = request.pop("pod_uid", "pod-uid-1")
        return self.call("/validate", review(stored(document, uid), **request))

    def create(self, document: dict[str, Any], **request: Any) -> tuple[Answer, Answer, dict[str, Any]]:
        """Do what an API server does: mutate, apply the patch, validate.

        Returns:
            Both answers, and the object as it would be stored.
        """
        mutated = self.mutate(document, **request)
        patched = patched_with(document, mutated.patch)
        return mutated, self.validate(patched, **request), patched

    def sample(self, name: str, **labels: str) -> float:
        """Return the value of a metric; 0 where there is no such series."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def patched_with(document: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a copy of the document with the patch applied."""
    copied = msgspec.json.decode(msgspec.json.encode(document))
    result = jsonpatch.JsonPatch.from_string(json.dumps(patch)).apply(copied, in_place=True)
    assert isinstance(result, dict)
    return result
