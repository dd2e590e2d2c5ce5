"""A JSON Patch (RFC 6902) that is built operation by operation, never found by comparing documents.

A `Draft` changes the typed pod and writes down the operation that does the same to the JSON the API server holds, so
whoever looks at the pod afterwards sees it as it will be. Two rules keep a patch safe to apply to an object that
another webhook may have touched: an element of a list is only ever addressed behind a ``test`` operation on its name,
and lists are otherwise only appended to. Parents that are absent are added first.

A setter that would change nothing writes nothing, so a second pass over a patched pod gives an empty patch.
"""

from typing import Any, Literal

import msgspec

from webhook.kube.containers import ContainerRef
from webhook.kube.objects import (
    Affinity,
    NodeAffinity,
    ObjectMeta,
    Pod,
    PodSpec,
    PreferredSchedulingTerm,
    ResourceRequirements,
    Toleration,
    TopologySpreadConstraint,
)
from webhook.kube.security_objects import Capabilities, PodSecurityContext, SecurityContext, TypedProfile

Operation = dict[str, Any]


def escape(token: str) -> str:
    """Escape one reference token of a JSON Pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1") if "~" in token or "/" in token else token


class Draft:
    """The changes to one pod: applied to `pod`, and recorded in `operations`."""

    __slots__ = ("_tested", "changes_resources", "operations", "pod")

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.operations: list[Operation] = []
        self.changes_resources = False
        """Whether a request or a limit was changed, and with it perhaps the price."""
        self._tested: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.operations)

    def encode(self) -> bytes:
        """Return the patch as JSON bytes."""
        return msgspec.json.encode(self.operations)

    # --- metadata -------------------------------------------------------------------------------------------------

    def set_label(self, key: str, value: str) -> None:
        """Set a label of the pod."""
        metadata = self._metadata()
        if metadata.labels is None:
            metadata.labels = {}
            self._add("/metadata/labels", {})
        if metadata.labels.get(key) != value:
            metadata.labels[key] = value
            self._add(f"/metadata/labels/{escape(key)}", value)

    def set_annotation(self, key: str, value: str) -> None:
        """Set an annotation of the pod."""
        metadata = self._metadata()
        if metadata.annotations is None:
            metadata.annotations = {}
            self._add("/metadata/annotations", {})
        if metadata.annotations.get(key) != value:
            metadata.annotations[key] = value
            self._add(f"/metadata/annotations/{escape(key)}", value)

    # --- resources ------------------------------------------------------------------------------------------------

    def set_resource(self, ref: ContainerRef, field: Literal["requests", "limits"], resource: str, text: str) -> None:
        """Set one request or limit of a container; all other keys and ``claims`` stay byte for byte."""
        container = ref.container
        resources = container.resources
        if resources is None:
            container.resources = resources = ResourceRequirements()
            self._add_in(ref, "/resources", {})
        values = resources.requests if field == "requests" else resources.limits
        if values is None:
            values = {}
            if field == "requests":
                resources.requests = values
            else:
                resources.limits = values
            self._add_in(ref, f"/resources/{field}", {})
        if values.get(resource) != text:
            values[resource] = text
            self.changes_resources = True
            self._add_in(ref, f"/resources/{field}/{escape(resource)}", text)

    # --- scheduling -----------------------------------------------------------------------------------------------

    def set_scheduler_name(self, name: str) -> None:
        """Set ``spec.schedulerName``."""
        spec = self._spec()
        if spec.scheduler_name != name:
            spec.scheduler_name = name
            self._add("/spec/schedulerName", name)

    def append_toleration(self, toleration: Toleration, document: dict[str, Any] | None = None) -> None:
        """Append a toleration unless the very same one is there; `document` is its JSON, where the caller has it."""
        spec = self._spec()
        if spec.tolerations is None:
            spec.tolerations = []
            self._add("/spec/tolerations", [])
        if toleration not in spec.tolerations:
            spec.tolerations.append(toleration)
            self._add("/spec/tolerations/-", document or toleration_json(toleration))

    def append_preferred_node_affinity(self, term: PreferredSchedulingTerm, document: dict[str, Any]) -> None:
        """Append a preferred node affinity term; `document` is its JSON. Neither is changed, so both may be shared."""
        spec = self._spec()
        if spec.affinity is None:
            spec.affinity = Affinity()
            self._add("/spec/affinity", {})
        if spec.affinity.node_affinity is None:
            spec.affinity.node_affinity = NodeAffinity()
            self._add("/spec/affinity/nodeAffinity", {})
        affinity = spec.affinity.node_affinity
        path = "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution"
        if affinity.preferred is None:
            affinity.preferred = []
            self._add(path, [])
        affinity.preferred.append(term)
        self._add(f"{path}/-", document)

    def append_topology_spread(
        self, max_skew: int, topology_key: str, when_unsatisfiable: str, label_selector: dict[str, Any]
    ) -> None:
        """Append a topology spread constraint."""
        spec = self._spec()
        if spec.topology_spread_constraints is None:
            spec.topology_spread_constraints = []
            self._add("/spec/topologySpreadConstraints", [])
        spec.topology_spread_constraints.append(
            TopologySpreadConstraint(
                max_skew=max_skew, topology_key=topology_key, when_unsatisfiable=when_unsatisfiable
            )
        )
        value = {
            "maxSkew": max_skew,
            "topologyKey": topology_key,
            "whenUnsatisfiable": when_unsatisfiable,
            "labelSelector": label_selector,
        }
        self._add("/spec/topologySpreadConstraints/-", value)

    # --- security -------------------------------------------------------------------------------------------------

    def set_pod_run_as_non_root(self) -> None:
        """Set ``spec.securityContext.runAsNonRoot: true``."""
        context = self._pod_security_context()
        if context.run_as_non_root is not True:
            context.run_as_non_root = True
            self._add("/spec/securityContext/runAsNonRoot", True)

    def set_pod_seccomp_profile(self, profile_type: str) -> None:
        """Set ``spec.securityContext.seccompProfile``."""
        context = self._pod_security_context()
        if context.seccomp_profile is None or context.seccomp_profile.type != profile_type:
            context.seccomp_profile = TypedProfile(type=profile_type)
            self._add("/spec/securityContext/seccompProfile", {"type": profile_type})

    def set_run_as_non_root(self, ref: ContainerRef) -> None:
        """Set ``securityContext.runAsNonRoot: true`` of a container."""
        context = self._security_context(ref)
        if context.run_as_non_root is not True:
            context.run_as_non_root = True
            self._add_in(ref, "/securityContext/runAsNonRoot", True)

    def set_seccomp_profile(self, ref: ContainerRef, profile_type: str) -> None:
        """Set ``securityContext.seccompProfile`` of a container."""
        context = self._security_context(ref)
        if context.seccomp_profile is None or context.seccomp_profile.type != profile_type:
            context.seccomp_profile = TypedProfile(type=profile_type)
            self._add_in(ref, "/securityContext/seccompProfile", {"type": profile_type})

    def set_allow_privilege_escalation(self, ref: ContainerRef, value: bool) -> None:
        """Set ``securityContext.allowPrivilegeEscalation`` of a container."""
        context = self._security_context(ref)
        if context.allow_privilege_escalation is not value:
            context.allow_privilege_escalation = value
            self._add_in(ref, "/securityContext/allowPrivilegeEscalation", value)

    def append_dropped_capability(self, ref: ContainerRef, capability: str) -> None:
        """Append to ``securityContext.capabilities.drop`` of a container."""
        context = self._security_context(ref)
        if context.capabilities is None:
            context.capabilities = Capabilities()
            self._add_in(ref, "/securityContext/capabilities", {})
        if context.capabilities.drop is None:
            context.capabilities.drop = []
            self._add_in(ref, "/securityContext/capabilities/drop", [])
        if capability not in context.capabilities.drop:
            context.capabilities.drop.append(capability)
            self._add_in(ref, "/securityContext/capabilities/drop/-", capability)

    # --- parents --------------------------------------------------------------------------------------------------

    def _metadata(self) -> ObjectMeta:
        if self.pod.metadata is None:
            self.pod.metadata = ObjectMeta()
            self._add("/metadata", {})
        return self.pod.metadata

    def _spec(self) -> PodSpec:
        if self.pod.spec is None:
            self.pod.spec = PodSpec()
            self._add("/spec", {})
        return self.pod.spec

    def _pod_security_context(self) -> PodSecurityContext:
        spec = self._spec()
        if spec.security_context is None:
            spec.security_context = PodSecurityContext()
            self._add("/spec/securityContext", {})
        return spec.security_context

    def _security_context(self, ref: ContainerRef) -> SecurityContext:
        if ref.container.security_context is None:
            ref.container.security_context = SecurityContext()
            self._add_in(ref, "/securityContext", {})
        return ref.container.security_context

    def _add(self, path: str, value: object) -> None:
        self.operations.append({"op": "add", "path": path, "value": value})

    def _add_in(self, ref: ContainerRef, path: str, value: object) -> None:
        base = f"/spec/{ref.list}/{ref.index}"
        # A container without a name is refused by the API server whatever is changed; testing for a name that is absent
        # would make the patch fail instead, and hide that reason.
        if base not in self._tested and ref.container.name:
            self._tested.add(base)
            self.operations.append({"op": "test", "path": f"{base}/name", "value": ref.container.name})
        self.operations.append({"op": "add", "path": base + path, "value": value})


def toleration_json(toleration: Toleration) -> dict[str, Any]:
    """Return a toleration as the JSON of the API, absent fields left out."""
    return {key: item for key, item in msgspec.to_builtins(toleration).items() if item is not None}
