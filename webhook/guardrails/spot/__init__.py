"""spot: pods of interruption-tolerant namespaces may, and would rather, run on spot capacity; others must not.

Rule
    Every toleration of ``spot.tolerations`` that the pod does not have yet is appended, and a *preferred* node
    affinity for ``spot.nodeAffinity`` is added. It is never required: where no spot node is free, on-demand serves.

    With ``forbid: true`` nothing is added. A pod that asks for spot capacity is refused: by a node selector or an
    affinity that names spot nodes, or by a toleration of their taint or of every taint. A pod that a known label keeps
    off spot nodes may tolerate what it likes, and so may a DaemonSet, whose pods run on each node.

Left alone
    Each time a notice says which rule keeps the pod off, why, and how to change it:

    * ``stateful``, with ``skipStateful``: StatefulSet pods and pods with persistent volume claims (generic ephemeral
      ones too);
    * ``evictionForbidden`` and ``disruptionBudget``, with ``skipUninterruptible``: pods that must not be evicted.
      Their author said so by the annotation ``karpenter.sh/do-not-disrupt`` (``true``, or a duration) or
      ``cluster-autoscaler.kubernetes.io/safe-to-evict: "false"``, or a PodDisruptionBudget that selects them lets no
      pod go even while all are healthy: ``maxUnavailable`` 0 or 0%, ``minAvailable`` 100%, or as many as the workload
      has replicas (where an HPA scales it, as many as that may make). Spot capacity goes away all the same, and the
      promise would be broken;
    * ``singleReplica``, with ``skipSingleReplica``: the only replica of a Deployment and its like, unless an HPA keeps
      2 or more;
    * ``hostPath``, with ``skipHostPath``: pods with a hostPath volume, which stays behind. What is in an emptyDir is
      lost as well: pods that may run on spot keep nothing there that they cannot do without;
    * ``noRetry``, with ``skipNoRetry``: pods of Jobs with ``backoffLimit: 0``, unless their ``podFailurePolicy``
      ignores ``DisruptionTarget``, and with ``restartPolicy: Never`` those that no controller owns;
    * ``gracePeriod``: pods whose ``terminationGracePeriodSeconds`` is longer than ``noticeSeconds``;
    * ``onDemandOnly``: pods whose author decided. A node selector or required affinity on a label that marks capacity
      leaves them no spot node. The labels are the key of ``spot.nodeAffinity`` and those of the platforms:
      ``karpenter.sh/capacity-type``, ``eks.amazonaws.com/capacityType``, ``cloud.google.com/gke-spot``,
      ``cloud.google.com/gke-preemptible``, ``kubernetes.azure.com/scalesetpriority``,
      ``node.kubernetes.io/lifecycle``, ``lifecycle``. A preference of the author on the key of ``spot.nodeAffinity``
      is not contradicted either, and needs no notice;
    * ``placed``: pods with a node name, static and mirror pods, and pods of ``system-*`` priority;
    * ``skipAnnotation``, with ``allowSkip``: pods annotated ``podgate.dev/skip: spot``.

    Pods of DaemonSets get the tolerations, so that they run on spot nodes too, but no preference. They belong to their
    node, so only ``stateful``, ``onDemandOnly``, ``placed`` and ``skipAnnotation`` concern them.

Violations
    With ``forbid`` rule ``forbidden``; else none, the guardrail only adds. Of updates, only one that changes node
    selector, affinity or tolerations is judged.

Price
    ``priceAs: spot`` prices a pod that has the tolerations as spot capacity although it may land on-demand, and never
    one that stays off. DaemonSets cost what their nodes do, whatever they tolerate: each pod is spot or on-demand by
    the labels of its node, and on-demand where no Nodes are known.

Autoscalers
    A preference decides where a pod goes among nodes that exist; whether spot nodes are made is for the autoscaler.
    cluster-autoscaler does not look at preferences when it chooses the node group to grow, so give it the ``priority``
    expander with the spot groups first. Karpenter treats a preference as a requirement at first and drops it where it
    finds no such capacity; it makes spot nodes where the NodePool allows them. Choose a key that the nodes will have:
    ``karpenter.sh/capacity-type`` with Karpenter, the platform's own label elsewhere. A preference on a label that an
    autoscaler does not know of its nodes to be, such as ``kubernetes.io/hostname``, may hold up its decision, and none
    makes a node that the taint of the toleration is on.

Source
    A toleration permits and an affinity attracts (Kubernetes scheduling documentation); platforms taint spot nodes
    differently, so key and value are configuration.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from webhook.guardrails.base.contract import Context, Finding, Guardrail, is_creation, moves
from webhook.guardrails.base.skip import is_daemon
from webhook.guardrails.spot.requests import SpotField, asks_for_spot
from webhook.guardrails.spot.suitability import Suitability, why_off
from webhook.kube.objects import (
    NodeSelectorTerm,
    PodSpec,
    PreferredSchedulingTerm,
    SelectorRequirement,
    Toleration,
)
from webhook.kube.patch import Draft, toleration_json
from webhook.policy.spot import NodeAffinityModel, SpotSection
from webhook.pricing.placement import SPOT_LABELS, SpotLabels


class PreferredNodes(NamedTuple):
    """The preferred affinity: ``key In values`` with a weight of 1 to 100."""

    key: str
    values: tuple[str, ...]
    term: PreferredSchedulingTerm
    document: dict[str, Any]
    """The term as JSON; made once, since it is the same for every pod."""


class SpotRule(NamedTuple):
    """The compiled section."""

    tolerations: tuple[tuple[Toleration, dict[str, Any]], ...]
    """Each with its JSON."""
    affinity: PreferredNodes | None
    suits: Suitability
    price_as_spot: bool
    forbid: bool


def compile_rule(section: SpotSection) -> SpotRule:
    """Compile the section."""
    tolerations = [
        Toleration(key=item.key or None, operator=item.operator, value=item.value or None, effect=item.effect)
        for item in section.tolerations
    ]
    affinity = _preferred(section.node_affinity) if section.node_affinity is not None else None
    return SpotRule(
        tolerations=tuple((toleration, toleration_json(toleration)) for toleration in tolerations),
        affinity=affinity,
        suits=Suitability(
            labels=_labels(affinity, with_known=section.forbid),
            stateful=section.skip_stateful,
            uninterruptible=section.skip_uninterruptible,
            single_replica=section.skip_single_replica,
            host_path=section.skip_host_path,
            no_retry=section.skip_no_retry,
            notice_seconds=section.notice_seconds,
            allow_skip=section.allow_skip,
        ),
        price_as_spot=section.price_as == "spot",
        forbid=section.forbid,
    )


def _labels(affinity: PreferredNodes | None, *, with_known: bool) -> SpotLabels:
    """Return the labels that mark spot capacity: those that platforms write, and the policy's own, which says by itself
    what its values mean. Where spot is forbidden, what platforms write counts beside it."""
    if affinity is None:
        return SPOT_LABELS
    known = SPOT_LABELS.get(affinity.key, frozenset()) if with_known else frozenset()
    return {**SPOT_LABELS, affinity.key: known | frozenset(affinity.values)}


def _preferred(model: NodeAffinityModel) -> PreferredNodes:
    values = list(model.values)
    requirement = SelectorRequirement(key=model.key, operator="In", values=values)
    expression = {"key": model.key, "operator": "In", "values": values}
    return PreferredNodes(
        key=model.key,
        values=tuple(values),
        term=PreferredSchedulingTerm(weight=model.weight, preference=NodeSelectorTerm(match_expressions=[requirement])),
        document={"weight": model.weight, "preference": {"matchExpressions": [expression]}},
    )


def propose(rule: SpotRule, context: Context, draft: Draft) -> Sequence[Finding]:
    """Append the missing tolerations and the preference, or say why the pod stays off spot capacity."""
    spec = context.pod.spec
    if not is_creation(context) or rule.forbid or spec is None:
        return ()
    reason = why_off(rule.suits, context)
    if reason is not None:
        return (reason.as_notice(),)
    for toleration, document in rule.tolerations:
        if not _is_tolerated(spec, toleration):
            draft.append_toleration(toleration, document)
    affinity = rule.affinity
    if affinity is not None and not is_daemon(context) and not _author_prefers(spec, affinity.key):
        draft.append_preferred_node_affinity(affinity.term, affinity.document)
    return ()


def judges(context: Context) -> bool:
    """Whether this operation may send a pod to spot nodes: a new pod, a workload, or an update that moves a pod."""
    return is_creation(context) or moves(context)


def inspect(rule: SpotRule, context: Context) -> Sequence[Finding]:
    """Refuse a pod that asks for spot capacity where it must not run on it."""
    if not rule.forbid:
        return ()
    asked = _asked(rule, context, context.pod.spec)
    if asked is None:
        return ()
    if moves(context) and context.old_pod is not None and _asked(rule, context, context.old_pod.spec) is not None:
        return ()  # It asked for spot before, and this update does not make it worse.
    return (
        Finding(
            rule="forbidden",
            message=f"asks for spot capacity, which is forbidden here ({asked.path}: {asked.what})",
            would=f"would be refused as it asks for spot capacity ({asked.path}: {asked.what})",
            cure=asked.cure,
            paths=(asked.path,),
        ),
    )


def _asked(rule: SpotRule, context: Context, spec: PodSpec | None) -> SpotField | None:
    if spec is None:
        return None
    return asks_for_spot(spec, context, rule.suits.labels, [toleration for toleration, _ in rule.tolerations])


def prices_as_spot(rule: SpotRule, context: Context) -> bool:
    """Whether ``priceAs: spot`` applies: the rule covers the pod, the pod tolerates the spot taints, and it is of no
    DaemonSet, whose nodes are known. The pods of a template will get the tolerations when they are made."""
    spec = context.pod.spec
    if not rule.price_as_spot or spec is None or is_daemon(context):
        return False
    if context.scale is None and not all(_is_tolerated(spec, toleration) for toleration, _ in rule.tolerations):
        return False
    return why_off(rule.suits, context) is None


def _is_tolerated(spec: PodSpec, wanted: Toleration) -> bool:
    """Whether an existing toleration covers all that `wanted` tolerates."""
    for present in spec.tolerations or ():
        if present.effect and present.effect != wanted.effect:
            continue
        if present.operator == "Exists":
            if not present.key or present.key == wanted.key:
                return True
        elif (
            present.key == wanted.key
            and wanted.operator != "Exists"
            and (present.operator or "Equal") == "Equal"
            and (present.value or "") == (wanted.value or "")
        ):
            return True
    return False


def _author_prefers(spec: PodSpec, key: str) -> bool:
    node_affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    if node_affinity is None or not node_affinity.preferred:
        return False
    return any(
        requirement.key == key
        for term in node_affinity.preferred
        if term.preference is not None
        for requirement in term.preference.match_expressions or ()
    )


GUARDRAIL = Guardrail(
    name="spot",
    order=30,
    compile=compile_rule,
    inspect=inspect,
    severity="low",
    propose=propose,
    judges=judges,
    prices_as_spot=prices_as_spot,
    refuses=False,
)
