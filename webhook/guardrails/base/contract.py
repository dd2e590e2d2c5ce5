"""What a guardrail is: the values it gets, the values it returns, and how the engine finds it.

A guardrail is pure. It gets a frozen rule (compiled once from its policy section) and a `Context`; it has no clock, no
client, no logger and no settings. It may ask the cluster view, which answers from memory. It changes a pod only through
the `Draft` it is handed, and it refuses by returning findings; what becomes of them is decided by modes, elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from webhook.cluster.view import ClusterPod, Controller, Namespace, Node, View
from webhook.kube.objects import ClaimTemplate, Pod, controller_of
from webhook.kube.patch import Draft
from webhook.policy.model.sections import OnFault, Section
from webhook.pricing.book import PriceBook
from webhook.pricing.pod import PodPrice

Half = Literal["security", "cost"]
ViolationSeverity = Literal["high", "medium", "low"]


class Finding(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    """One thing that is wrong, or worth saying, about a pod.

    Texts are one line and never contain the pod's own name, so that repeated events aggregate.
    """

    rule: str
    """Stable identifier from a closed list of the guardrail, safe as a metric label: ``podMonthly``."""
    message: str
    """What is wrong with which container, as said when the request is refused."""
    cure: str
    """What to change, and where."""
    would: str = ""
    """The message where nothing is refused ("would violate ..."); empty where `message` serves both."""
    notice: bool = False
    """True where it never refuses: the guardrail could not do its work and says why."""
    quiet: bool = False
    """True where only the platform team can do something about it: recorded, and not said to who applies a pod."""
    refuses_workload: bool = False
    """True where the rule is about workloads: elsewhere a workload is warned about and its pods are refused."""
    paths: tuple[str, ...] = ()
    """Field paths concerned, such as ``spec.containers[0].securityContext``."""
    annotation: str = ""
    """Name of an audit annotation that has `message` as its value. Such a finding is told there and in the log; it
    neither refuses nor warns, and is always a `notice`."""


class Exemption(NamedTuple):
    """What PolicyExceptions loosen for one guardrail on one pod.

    The guardrail as a whole exempt never reaches the guardrail; this is about parts of it.
    """

    controls: frozenset[str] | None = None
    """Names of Pod Security checks; None means all."""
    containers: frozenset[str] | None = None
    """Names of containers; None means all, and the pod level as well."""


class ExceptionUse(NamedTuple):
    """A PolicyException that speaks for one object and one guardrail."""

    guardrail: str
    name: str
    """``namespace/name``."""
    owner: str
    last_day: str
    """Last day on which it holds: ``2027-03-31``."""
    is_part: bool
    """Whether it loosens only some checks or containers."""
    ends_soon: bool


class Requester(NamedTuple):
    """Who asks: ``request.userInfo``."""

    username: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""


class WorkloadScale(NamedTuple):
    """The workload whose template is judged, and how many pods of it are paid for."""

    kind: str
    replicas: int
    """Pods at the same time: replicas, parallelism, or matching nodes of a DaemonSet."""
    source: str = ""
    """Where the number comes from, said in the verdict: ``3 replicas``."""
    hours: int | None = None
    """Expected running time in hours, rounded up: of a Job one run, of a CronJob all runs of a month; None means the
    whole month."""
    run_seconds: int = 0
    """Expected running time of one run; 0 where it is not known."""
    asked: int = 0
    """Pods that the workload itself asks for, and has at once, where an autoscaler brings it to `replicas`; else 0."""
    most: int = 0
    """Pods that an autoscaler may raise it to; 0 where there is none."""
    most_source: str = ""
    """Where that number comes from."""
    resumed: int = 0
    """Pods of a suspended Job or CronJob once it is resumed; 0 where it is not suspended."""
    is_never_retried: bool = False
    """Whether a Job fails with the first pod that it loses."""
    nodes: Sequence[Node] = ()
    """The nodes that the pods of a DaemonSet run on, as far as they are known."""

    claimed: "WorkloadScale | None" = None
    """The scale with the running time that its author claims, where nothing proves it."""

    def believed(self, trusts: bool) -> "WorkloadScale":
        """Return the scale as it counts where the author's word is trusted, or is not."""
        return self.claimed if trusts and self.claimed is not None else self

    @property
    def at_once(self) -> int:
        """Pods that there may be before an autoscaler has looked at the workload: what a ceiling is held against."""
        return max(self.replicas, self.asked)

    @property
    def is_monthly(self) -> bool:
        """Whether `hours` are hours of every month, and not of one run."""
        return self.hours is None or self.kind == "CronJob"


class ChargedBy(Protocol):
    """By which labels pods are charged, those included that policies write to them."""

    def own(self, context: "Context") -> Mapping[str, str]:
        """Return those of the pod that the context is about."""
        ...

    def stored(self, context: "Context", labels: Mapping[str, str]) -> Mapping[str, str]:
        """Return those of a stored pod of the same namespace that has these labels."""
        ...


class Context:
    """Everything a guardrail may know about one review. One object serves all guardrails of the review."""

    __slots__ = (
        "_controller",
        "_controller_known",
        "budget_scopes",
        "charged_by",
        "claim_templates",
        "exception_uses",
        "exemptions",
        "labels_before",
        "namespace",
        "namespace_info",
        "old_pod",
        "old_priced_as_spot",
        "old_scale",
        "operation",
        "pod",
        "price",
        "priced_as_spot",
        "prices",
        "received_price",
        "requester",
        "running",
        "scale",
        "subresource",
        "view",
    )

    def __init__(
        self,
        *,
        pod: Pod,
        namespace: str,
        view: View,
        prices: PriceBook,
        namespace_info: Namespace | None = None,
        operation: str = "CREATE",
        subresource: str = "",
        old_pod: Pod | None = None,
        scale: WorkloadScale | None = None,
        old_scale: WorkloadScale | None = None,
        requester: Requester = Requester(),  # noqa: B008  an immutable tuple
        controller: Controller | None = None,
        claim_templates: Sequence[ClaimTemplate] = (),
        running: ClusterPod | None = None,
    ) -> None:
        self.pod = pod
        """The pod as changed by the proposals made so far; for a workload, the pod of its template."""
        self.namespace = namespace
        """Of the request, never of the object."""
        self.namespace_info = namespace_info
        """None where the namespace is not known."""
        self.operation = operation
        self.subresource = subresource
        """Empty, ``ephemeralcontainers`` or ``resize``."""
        self.old_pod = old_pod
        """The stored pod of an UPDATE."""
        self.scale = scale
        """Set where a workload is judged through its template."""
        self.old_scale = old_scale
        """Of the stored workload, on UPDATE and scale."""
        self.labels_before: Mapping[str, str] | None = None
        """Labels that the stored object was charged by, those that policies write included; None where nobody told."""
        self.priced_as_spot = False
        """Whether the policy prices this pod as spot capacity although it may land elsewhere."""
        self.old_priced_as_spot = False
        """Whether it priced the stored pod of an UPDATE so."""
        self.received_price: PodPrice | None = None
        """What the pod cost as received, before any proposal; None where nobody priced it. Whether a change makes a
        workload dearer is judged by it, so that proposals never make an innocent update look dearer."""
        self.claim_templates = claim_templates
        """Claims that the workload, a StatefulSet, makes with each of its pods."""
        self.running = running
        """What the cluster knows of a pod that exists already, where no request is about it."""
        self.requester = requester
        self.view = view
        self.prices = prices
        self.budget_scopes: Sequence[Callable[[str, Mapping[str, str], Mapping[str, str]], bool]] = ()
        """Whether each budget in force pays for a pod: (namespace, labels of the namespace, labels that the pod is
        charged by)."""
        self.charged_by: ChargedBy | None = None
        """By which labels pods of the namespace are charged; None where nobody said: then by those that they have."""
        self.exemptions: Mapping[str, Sequence[Exemption]] = _NONE
        """Partial exemptions by guardrail name; empty for nearly every pod."""
        self.exception_uses: Sequence[ExceptionUse] = ()
        """All exceptions that speak for the object, whole and partial ones; for those who tell of them afterwards."""
        self._controller = controller
        self._controller_known = controller is not None
        self.price: PodPrice | None = None
        """Price of the pod as it is now, once somebody computed it (see `webhook.guardrails.base.pod_cost`). Several
        guardrails ask; whoever changes the pod sets it to None."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the pod, never None."""
        metadata = self.pod.metadata
        return (metadata.labels or _NONE) if metadata is not None else _NONE

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of the pod, never None."""
        metadata = self.pod.metadata
        return (metadata.annotations or _NONE) if metadata is not None else _NONE

    @property
    def controller(self) -> Controller | None:
        """The top-most known controller of the pod, looked up once; for a workload, the workload itself."""
        if not self._controller_known:
            self._controller_known = True
            owner = controller_of(self.pod.metadata)
            self._controller = self.view.top_controller(self.namespace, owner, self.labels)
        return self._controller

    @property
    def known_controller(self) -> Controller | None:
        """The same where somebody has asked for it, else None."""
        return self._controller


_NONE: Mapping[str, Any] = {}

S = TypeVar("S", bound=Section)
R = TypeVar("R")


class Guardrail(NamedTuple, Generic[S, R]):
    """What a guardrail module offers as ``GUARDRAIL``."""

    name: str
    """Name of the policy section: ``rightSizing``."""
    order: int
    """Place in the sequence; earlier proposals are seen by later guardrails."""
    compile: Callable[[S], R]
    """Turn a valid section into a frozen rule, once per policy load. Raises ValueError with a cure."""
    inspect: Callable[[R, Context], Sequence[Finding]]
    """Judge the pod as it is now."""
    severity: ViolationSeverity
    """How grave a violation is to who reads a PolicyReport."""
    propose: Callable[[R, Context, Draft], Sequence[Finding]] | None = None
    """Change the pod through the draft; returns notices only. None where the guardrail never changes anything."""
    default_on_fault: OnFault = "allow"
    judges: Callable[[Context], bool] | None = None
    """Whether it looks at this operation at all; None means pod CREATE and workload templates."""
    scope: Literal["container", "pod"] = "pod"
    """`container` where PolicyExceptions may name containers."""
    half: Half = "cost"
    """Which half of ``/validate`` it belongs to, so that each half can have its own failure policy."""
    labels: Callable[[R, Context, Mapping[str, str]], Mapping[str, str]] | None = None
    """Returns the labels that it writes to a pod which has these ones. Money is charged by them, also where the
    mutating call did not come through."""
    prices_as_spot: Callable[[R, Context], bool] | None = None
    """Whether a pod under this rule is to be priced as spot capacity."""
    trusts_runtime: Callable[[R], bool] | None = None
    """Whether a rule believes the running time that a Job is annotated with; what the Job costs is told accordingly."""
    refuses: bool = True
    """False where its work is to change pods, and violations are none or an option of its policy."""


def is_creation(context: Context) -> bool:
    """Whether a pod, or a workload's template, is judged as a new pod."""
    return (context.operation == "CREATE" and not context.subresource) or context.scale is not None


def moves(context: Context) -> bool:
    """Whether an update of a pod that has no node yet changes which nodes it may run on. The API server lets node
    selector and affinity be changed only while the pod has a scheduling gate."""
    old = context.old_pod
    if context.operation != "UPDATE" or context.subresource or context.scale is not None or old is None:
        return False
    before, after = old.spec, context.pod.spec
    if before is None or after is None or before.node_name:
        return False
    return (
        (before.node_selector or {}) != (after.node_selector or {})
        or before.affinity != after.affinity
        or (before.tolerations or []) != (after.tolerations or [])
    )
