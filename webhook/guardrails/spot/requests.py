"""Whether a pod asks for spot capacity, and by which of its fields: for namespaces that must not run on it.

A pod that a known label keeps off spot nodes asks for none, whatever else it tolerates. Of the others, a selector or an
affinity asks that names spot capacity or a node which is spot, and a toleration that lets the pod onto nodes whose
taint marks them as spot. A toleration of every taint does so too; DaemonSets run on each node that there is, so theirs
ask for nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from webhook.guardrails.base.contract import Context
from webhook.guardrails.base.placed import nodes_of
from webhook.guardrails.base.skip import is_daemon
from webhook.kube.objects import NodeSelectorTerm, PodSpec, Toleration
from webhook.pricing.placement import SpotLabels, asks_too_much, capacity_of

SPOT_TAINTS: Final = frozenset(
    {
        "kubernetes.io/spot",
        "cloud.google.com/gke-spot",
        "cloud.google.com/gke-preemptible",
        "kubernetes.azure.com/scalesetpriority",
        "spotInstance",
    }
)
"""Keys of taints, and of labels, that are on spot nodes alone, whatever their value."""

_SHOWN: Final = 80
"""Characters of a key or a value that a text shows."""


class SpotField(NamedTuple):
    """A field that asks for spot capacity."""

    path: str
    what: str
    cure: str


def asks_for_spot(
    spec: PodSpec, context: Context, labels: SpotLabels, taints: Sequence[Toleration] = ()
) -> SpotField | None:
    """Return the first field by which a pod asks for spot capacity.

    Args:
        spec: of the pod, as it is or as it was.
        context: the review.
        labels: node labels that mark spot capacity.
        taints: tolerations of what else marks it in this cluster.
    """
    if not is_daemon(context):
        for node in nodes_of(context, spec):
            if any(node.labels.get(key) in values for key, values in labels.items()):
                return SpotField("spec", f"it is bound to node {_cut(node.name)}, which is spot", "choose no spot node")
    # What is too long to be taken apart may leave spot nodes as well, so it excuses nothing.
    if not asks_too_much(spec) and capacity_of(spec, labels) == "onDemand":
        return None
    return next(_asked(spec, context, labels, taints), None)


def _asked(spec: PodSpec, context: Context, labels: SpotLabels, taints: Sequence[Toleration]) -> Iterator[SpotField]:
    for key, value in (spec.node_selector or _NOTHING).items():
        if value in labels.get(key, ()):
            yield SpotField(f"spec.nodeSelector[{_cut(key)}]", f"{_cut(key)}={_cut(value)}", _REMOVE)
    node_affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    if node_affinity is not None:
        path = "spec.affinity.nodeAffinity"
        required = node_affinity.required
        for term in (required.node_selector_terms or ()) if required is not None else ():
            yield from _named(term, f"{path}.requiredDuringSchedulingIgnoredDuringExecution", labels)
        for each in node_affinity.preferred or ():
            if each.preference is not None:
                yield from _named(each.preference, f"{path}.preferredDuringSchedulingIgnoredDuringExecution", labels)
    if not is_daemon(context):
        for index, toleration in enumerate(spec.tolerations or ()):
            yield from _tolerated(toleration, f"spec.tolerations[{index}]", labels, taints)


def _named(term: NodeSelectorTerm, path: str, labels: SpotLabels) -> Iterator[SpotField]:
    for item in term.match_expressions or ():
        marks = labels.get(item.key, frozenset())
        if item.operator == "In" and any(value in marks for value in item.values or ()):
            value = next(value for value in item.values or () if value in marks)
            yield SpotField(path, f"{_cut(item.key)} In {_cut(value)}", _REMOVE)
        elif item.operator == "Exists" and item.key in SPOT_TAINTS:
            yield SpotField(path, f"{_cut(item.key)} Exists", _REMOVE)


def _tolerated(
    toleration: Toleration, path: str, labels: SpotLabels, taints: Sequence[Toleration]
) -> Iterator[SpotField]:
    key, value = toleration.key or "", toleration.value or ""
    is_any = toleration.operator == "Exists"
    if not key:
        if is_any:
            cure = f"name the taints that the pod has to tolerate, or {_KEEP_OFF}"
            yield SpotField(path, "it tolerates every taint", cure)
        return
    marks = labels.get(key)
    is_spot = (key in SPOT_TAINTS and value != "false") or (marks is not None and (is_any or value in marks))
    is_spot |= any(
        (not each.key or each.key == key) and (is_any or each.operator == "Exists" or (each.value or "") == value)
        for each in taints
    )
    if is_spot:
        shown = _cut(key) if is_any else f"{_cut(key)}={_cut(value)}"
        yield SpotField(path, f"it tolerates {shown}", f"remove the toleration, or {_KEEP_OFF}")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_NOTHING: Final[Mapping[str, str]] = {}
_KEEP_OFF: Final = "require karpenter.sh/capacity-type NotIn [spot], or the like, by node affinity"
_REMOVE: Final = "remove it, so that the pod runs on on-demand capacity"
