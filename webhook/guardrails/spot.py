"""spot: pods of interruption-tolerant namespaces may, and would rather, run on spot capacity.

Rule
    Every toleration of ``spot.tolerations`` that the pod does not have yet is appended, and a *preferred* node
    affinity for ``spot.nodeAffinity`` is added. It is never required: where no spot node is free, on-demand serves.

Left alone
    * with ``skipStateful``: StatefulSet pods and pods with persistent volume claims (generic ephemeral ones too);
    * with ``skipUninterruptible``: pods that must not be evicted. Their author said so by the annotation
      ``karpenter.sh/do-not-disrupt`` (``true``, or a duration) or ``cluster-autoscaler.kubernetes.io/safe-to-evict:
      "false"``, or a PodDisruptionBudget that selects them lets no pod go even while all are healthy:
      ``maxUnavailable`` 0 or 0%, ``minAvailable`` 100%, or as many as the workload has replicas (where an HPA scales
      it, as many as that may make). Spot capacity goes away all the same, and the promise would be broken. About the
      budget a notice is given, since it holds up every drain of a node as well; DaemonSets are not concerned;
    * pods of DaemonSets get the tolerations, so that they run on spot nodes too, but no preference;
    * pods whose author decided about that node label: a node selector or required affinity on the key that does not
      allow the spot values keeps the pod off spot, a preference on the key is not contradicted;
    * pods with a node name, static and mirror pods, and pods of ``system-*`` priority;
    * with ``allowSkip``: pods annotated ``podgate.dev/skip: spot``.

Violations
    None. The guardrail only adds.

Price
    ``priceAs: spot`` prices a pod that has the tolerations as spot capacity although it may land on-demand.

Source
    A toleration permits and an affinity attracts (Kubernetes scheduling documentation); platforms taint spot nodes
    differently, so key and value are configuration.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from webhook.cluster.view import PodDisruptionBudget
from webhook.guardrails._contract import Context, Finding, Guardrail, is_creation
from webhook.guardrails._interruption import blocking_budget, forbids_eviction
from webhook.guardrails._skip import is_daemon, is_placed_already, is_skipped, is_stateful
from webhook.kube.objects import (
    NodeSelectorTerm,
    PodSpec,
    PreferredSchedulingTerm,
    SelectorRequirement,
    Toleration,
)
from webhook.kube.patch import Draft, toleration_json
from webhook.policy.spot import NodeAffinityModel, SpotSection


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
    skip_stateful: bool
    skip_uninterruptible: bool
    price_as_spot: bool
    allow_skip: bool


def compile_rule(section: SpotSection) -> SpotRule:
    """Compile the section."""
    tolerations = [
        Toleration(key=item.key or None, operator=item.operator, value=item.value or None, effect=item.effect)
        for item in section.tolerations
    ]
    return SpotRule(
        tolerations=tuple((toleration, toleration_json(toleration)) for toleration in tolerations),
        affinity=_preferred(section.node_affinity) if section.node_affinity is not None else None,
        skip_stateful=section.skip_stateful,
        skip_uninterruptible=section.skip_uninterruptible,
        price_as_spot=section.price_as == "spot",
        allow_skip=section.allow_skip,
    )


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
    """Append the missing tolerations and the preference."""
    if not is_creation(context) or not _is_eligible(rule, context):
        return ()
    blocking = _blocking_budget(rule, context)
    if blocking is not None:
        return (_kept_off(blocking.name),)
    spec = context.pod.spec
    assert spec is not None  # noqa: S101  _is_eligible has looked
    for toleration, document in rule.tolerations:
        if not _is_tolerated(spec, toleration):
            draft.append_toleration(toleration, document)
    affinity = rule.affinity
    if affinity is not None and not is_daemon(context) and not _author_prefers(spec, affinity.key):
        draft.append_preferred_node_affinity(affinity.term, affinity.document)
    return ()


def inspect(_rule: SpotRule, _context: Context) -> Sequence[Finding]:
    """Nothing about spot is ever refused."""
    return ()


def prices_as_spot(rule: SpotRule, context: Context) -> bool:
    """Whether ``priceAs: spot`` applies: the rule covers the pod and the pod tolerates the spot taints."""
    if not rule.price_as_spot or not _is_eligible(rule, context) or _blocking_budget(rule, context) is not None:
        return False
    spec = context.pod.spec
    return spec is not None and all(_is_tolerated(spec, toleration) for toleration, _ in rule.tolerations)


def _is_eligible(rule: SpotRule, context: Context) -> bool:
    if is_placed_already(context):
        return False
    if rule.skip_stateful and is_stateful(context):
        return False
    if rule.skip_uninterruptible and forbids_eviction(context.annotations) and not is_daemon(context):
        return False
    if rule.allow_skip and is_skipped(context, "spot"):
        return False
    spec = context.pod.spec
    return spec is not None and (rule.affinity is None or not _author_forbids(spec, rule.affinity))


def _blocking_budget(rule: SpotRule, context: Context) -> PodDisruptionBudget | None:
    """Return the disruption budget that keeps the pod off spot capacity, or None."""
    if not rule.skip_uninterruptible:
        return None
    found = blocking_budget(context)
    return found if found is not None and not is_daemon(context) else None


def _kept_off(budget: str) -> Finding:
    return Finding(
        rule="disruptionBudget",
        message=f'PodDisruptionBudget "{budget}" never lets a pod go, so the pod is not sent to spot nodes',
        cure=f'set maxUnavailable: 1 in "{budget}", or run more replicas than it keeps available',
        notice=True,
    )


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


def _author_forbids(spec: PodSpec, affinity: PreferredNodes) -> bool:
    selected = (spec.node_selector or {}).get(affinity.key)
    if selected is not None and selected not in affinity.values:
        return True
    node_affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = node_affinity.required if node_affinity is not None else None
    terms = (required.node_selector_terms or []) if required is not None else []
    return bool(terms) and all(_term_excludes(term, affinity) for term in terms)


def _term_excludes(term: NodeSelectorTerm, affinity: PreferredNodes) -> bool:
    wanted = set(affinity.values)
    for requirement in term.match_expressions or ():
        if requirement.key != affinity.key:
            continue
        values = set(requirement.values or ())
        if requirement.operator == "DoesNotExist":
            return True
        if requirement.operator == "In" and not wanted & values:
            return True
        if requirement.operator == "NotIn" and wanted <= values:
            return True
    return False


def _author_prefers(spec: PodSpec, key: str) -> bool:
    node_affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    preferred = (node_affinity.preferred or ()) if node_affinity is not None else ()
    return any(
        requirement.key == key
        for term in preferred
        if term.preference is not None
        for requirement in term.preference.match_expressions or ()
    )


GUARDRAIL = Guardrail(
    name="spot", order=30, compile=compile_rule, inspect=inspect, propose=propose, prices_as_spot=prices_as_spot
)
