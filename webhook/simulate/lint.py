"""What is valid and yet not meant: policies that never match, that hide each other, that would stop a cluster, and
exceptions that excuse nothing.

Every remark is certain: it follows from the policies alone, or from the namespaces and objects of a cluster directory.
What only might be wrong is not said.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from webhook.admission.policy_binding import CompiledMatch
from webhook.admission.ruleset import ALWAYS_EXCLUDED, ENDS_SOON, Ruleset, end_of
from webhook.cluster.view import View
from webhook.policy.budget import BudgetExceptions, BudgetSpec
from webhook.policy.cost_labels import CostLabelsSection
from webhook.policy.guardrail_policy import ExceptionsModel, GuardrailPolicySpec
from webhook.policy.model.envelope import Origin, PolicyDocument
from webhook.policy.model.match import MatchModel, SelectorModel
from webhook.policy.model.names import compile_globs
from webhook.policy.model.policy_set import DEFAULT_PRICE_LIST, PolicySet
from webhook.policy.policy_exception import BUDGET, PolicyExceptionSpec
from webhook.policy.spot import SpotSection
from webhook.pricing.unpriced import where
from webhook.simulate.lint_autoscalers import ONE_OF_THEM, contested

LintWeight = Literal["error", "warning"]
_Policy = PolicyDocument[GuardrailPolicySpec]
_Exception = PolicyDocument[PolicyExceptionSpec]
_POD_SECURITY: Final = "podSecurity"


class Remark(NamedTuple):
    """One thing that was noticed, as one line with its place and its cure."""

    origin: Origin
    rule: str
    """Stable name of the rule: ``neverMatches``."""
    weight: LintWeight
    """``error`` where something has no effect or stops a cluster, ``warning`` where it is likely not meant."""
    what: str
    """The document, as people name it."""
    text: str
    cure: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.weight}: {self.what} {self.text}; to fix: {self.cure} ({self.rule})"


class LintCluster(NamedTuple):
    """What is known of a cluster."""

    view: View
    namespaces: Sequence[str]
    is_used: Callable[[_Exception], bool]
    """Whether any object of the cluster passes because of the exception."""
    unpriced: Mapping[str, str] = {}
    """Resources that objects of the cluster ask for and no price list has a price of, each with such an object."""


def lint(policies: PolicySet, now: datetime, cluster: LintCluster | None = None) -> list[Remark]:
    """Return all remarks, in the order of the files."""
    found = [
        *(remark for policy in policies.policies for remark in _policy(policy)),
        *_shadowed(policies.policies),
        *_overlaps(policies.policies, cluster),
        *_prices(policies),
        *_free_values(policies),
        *(remark for item in policies.exceptions for remark in _exception(item, policies, now)),
    ]
    if cluster is not None:
        found += [
            *(remark for policy in policies.policies for remark in _in_cluster(policy, cluster)),
            *_unused(policies, found, cluster),
            *_unpriced(policies, cluster),
            *(
                Remark(policy.origin, "severalVpas", "warning", f"GuardrailPolicy {policy.name}", text, ONE_OF_THEM)
                for policy, text in contested(policies, cluster.view)
            ),
        ]
    return sorted(found, key=lambda remark: (remark.origin, remark.rule, remark.text))


# --- one policy -------------------------------------------------------------------------------------------------------


def _policy(policy: _Policy) -> Iterator[Remark]:
    what = f"GuardrailPolicy {policy.name}"
    match = policy.spec.match
    active = [name for name in policy.spec.sections if policy.spec.mode_of(name) != "off"]
    if not policy.spec.sections:
        cure = "add a section such as podSecurity, or remove the policy"
        yield Remark(policy.origin, "noGuardrail", "warning", what, "configures no guardrail", cure)
    reason = never(match)
    if reason:
        yield Remark(policy.origin, "neverMatches", "error", what, f"can never match: {reason}", "mend spec.match")
    excluded = [glob for glob in match.namespaces if glob in ALWAYS_EXCLUDED]
    if excluded and not reason:
        text = f"names {', '.join(excluded)}, which Podgate never judges"
        cure = "remove the name from spec.match.namespaces; a cluster needs these namespaces to start"
        yield Remark(policy.origin, "systemNamespace", "warning", what, text, cure)
    if _is_everything(match):
        yield from _locks(policy, what, active)
    yield from _preference(policy, what)


def _preference(policy: _Policy, what: str) -> Iterator[Remark]:
    section = policy.spec.sections.get("spot")
    affinity = section.node_affinity if isinstance(section, SpotSection) else None
    if affinity is not None and affinity.key in _NO_CAPACITY:
        text = f"prefers spot nodes by {affinity.key}, which says nothing of a node's capacity"
        cure = "name in spot.nodeAffinity.key the label of spot nodes, such as karpenter.sh/capacity-type"
        yield Remark(policy.origin, "spotPreference", "warning", what, text, cure)


_NO_CAPACITY: Final = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
    }
)
"""Labels that every node has, whatever its capacity. Autoscalers handle a preference for some of them badly, too."""


def _locks(policy: _Policy, what: str, active: Sequence[str]) -> Iterator[Remark]:
    """A policy for all namespaces that would keep pods out which the cluster itself needs."""
    enforced = [name for name in active if policy.spec.mode_of(name) == "enforce"]
    denying = [name for name in enforced if name != _POD_SECURITY and policy.spec.sections[name].on_fault == "deny"]
    if denying:
        text = f"refuses every pod of every namespace while {', '.join(denying)} has a fault (onFault: deny)"
        cure = "narrow spec.match, or leave onFault at allow"
        yield Remark(policy.origin, "lockOut", "error", what, text, cure)
    if _POD_SECURITY in enforced and policy.spec.violation_mode_of(_POD_SECURITY) == "enforce":
        text = "enforces podSecurity in every namespace, those of network, storage and node agents as well"
        cure = "narrow spec.match, or exclude their namespaces with spec.match.excludeNamespaces"
        yield Remark(policy.origin, "lockOut", "warning", what, text, cure)


def never(match: MatchModel) -> str:
    """Return why nothing can match, or an empty text."""
    if "*" in match.exclude_namespaces:
        return "excludeNamespaces holds *"
    if match.namespaces:
        is_left_out = compile_globs((*match.exclude_namespaces, *ALWAYS_EXCLUDED))
        # A glob without wildcards is one namespace; one with them is left out where the same glob is excluded.
        if all(
            is_left_out(glob) if _is_literal(glob) else glob in match.exclude_namespaces for glob in match.namespaces
        ):
            return "all of its namespaces are excluded"
    for name, selector in (("namespaceSelector", match.namespace_selector), ("podSelector", match.pod_selector)):
        key = _contradiction(selector) if selector is not None else ""
        if key:
            return f"{name} contradicts itself about {key}"
    return ""


def _contradiction(selector: SelectorModel) -> str:
    """Return a label key that no value satisfies, or an empty text."""
    possible: dict[str, set[str]] = {key: {value} for key, value in selector.match_labels.items()}
    absent: set[str] = set()
    present = set(possible)
    for item in selector.match_expressions:
        if item.operator == "In":
            present.add(item.key)
            possible[item.key] = possible.get(item.key, set(item.values)) & set(item.values)
        elif item.operator == "Exists":
            present.add(item.key)
        elif item.operator == "DoesNotExist":
            absent.add(item.key)
    for item in selector.match_expressions:
        if item.operator == "NotIn" and item.key in possible:
            possible[item.key] -= set(item.values)
    empty = [key for key, values in possible.items() if not values]
    return min([*empty, *(absent & present)], default="")


def _is_literal(glob: str) -> bool:
    return not set(glob) & set("*?")


def _is_everything(match: MatchModel) -> bool:
    return match == MatchModel() or match == MatchModel(namespaces=("*",))


# --- several policies -------------------------------------------------------------------------------------------------


def _shadowed(policies: Sequence[_Policy]) -> Iterator[Remark]:
    """Guardrails that never decide, because a policy of a higher rank always does."""
    for index, policy in enumerate(policies):
        for name in policy.spec.sections:
            winner = next(
                (
                    each
                    for each in policies[:index]
                    if name in each.spec.sections and _contains(each.spec.match, policy.spec.match)
                ),
                None,
            )
            if winner is not None:
                whose = f"{winner.name} ({winner.origin})"
                text = f"never decides about {name}: {whose} matches all of its pods and ranks higher"
                cure = f"raise its spec.priority above {winner.spec.priority}, or remove the section"
                yield Remark(policy.origin, "shadowed", "error", f"GuardrailPolicy {policy.name}", text, cure)


def _contains(outer: MatchModel, inner: MatchModel) -> bool:
    """Whether everything that `inner` matches is matched by `outer`, as far as that is certain."""
    return outer == inner or _is_everything(outer)


def _overlaps(policies: Sequence[_Policy], cluster: LintCluster | None) -> Iterator[Remark]:
    """Guardrails that two policies of equal priority configure for the same pods: the smaller name wins, by chance."""
    for index, first in enumerate(policies):
        for second in policies[index + 1 :]:
            shared = sorted(set(first.spec.sections) & set(second.spec.sections))
            if first.spec.priority != second.spec.priority or not shared:
                continue
            where = _both(first.spec.match, second.spec.match, cluster)
            if where:
                text = (
                    f"and {second.name} ({second.origin}) have the same priority and both configure "
                    f"{', '.join(shared)} for {where}; {first.name} wins by its name alone"
                )
                cure = "give one of them a higher spec.priority"
                yield Remark(first.origin, "overlap", "warning", f"GuardrailPolicy {first.name}", text, cure)


def _both(first: MatchModel, second: MatchModel, cluster: LintCluster | None) -> str:
    """Return pods that both match, in words; empty where that is not certain."""
    if first.pod_selector is not None and second.pod_selector is not None and first.pod_selector != second.pod_selector:
        return ""
    if first == second:
        return "the same pods"
    one, other = CompiledMatch(first), CompiledMatch(second)
    if cluster is not None:
        for name in cluster.namespaces:
            info = cluster.view.namespace(name)
            if one.covers_namespace(name, info) and other.covers_namespace(name, info):
                return f"namespace {name}"
        return ""
    if first.namespace_selector is not None or second.namespace_selector is not None:
        return ""
    for glob in (*first.namespaces, *second.namespaces):
        # One name that the glob stands for is enough.
        name = glob.replace("*", "a").replace("?", "a")
        if one.covers_namespace(name, None) and other.covers_namespace(name, None):
            return f"namespaces such as {name}" if not _is_literal(glob) else f"namespace {name}"
    return ""


def _prices(policies: PolicySet) -> Iterator[Remark]:
    if any(item.name == DEFAULT_PRICE_LIST for item in policies.price_lists):
        return
    text = f"is judged by built-in list prices: there is no PriceList {DEFAULT_PRICE_LIST}"
    cure = f"add a PriceList named {DEFAULT_PRICE_LIST} with the prices that are paid"
    for budget in policies.budgets:
        yield Remark(budget.origin, "noPrices", "warning", f"Budget {budget.name}", text, cure)
    for policy in policies.policies:
        if "costCeiling" in policy.spec.sections:
            yield Remark(policy.origin, "noPrices", "warning", f"GuardrailPolicy {policy.name}", text, cure)


def _free_values(policies: PolicySet) -> Iterator[Remark]:
    """Name labels by which budgets go, and whose other values no budget pays for although authors may write them."""
    required = [
        label
        for policy in policies.policies
        if isinstance(section := policy.spec.sections.get("costLabels"), CostLabelsSection)
        for label in section.required
    ]
    first: dict[str, PolicyDocument[BudgetSpec]] = {}
    values: dict[str, set[str]] = {}
    rest: set[str] = set()
    for item in policies.budgets:
        label = item.spec.scope.label
        if label is not None:
            first.setdefault(label.key, item)
            values.setdefault(label.key, set()).update([label.value] if label.value is not None else ())
            rest.update([label.key] if label.unlabelled else ())
    for key, item in first.items():
        bound = [each for each in required if each.key == key]
        is_bound = any(
            each.source == "namespace" or (each.allowed is not None and values[key].issuperset(each.allowed))
            for each in bound
        )
        if key not in rest and not is_bound:
            text = f"goes by label {key}, and a pod with another value of it, or with none, is charged to no budget"
            cure = f"add a Budget with scope.label {{key: {key}, unlabelled: true}}, or let costLabels say the values"
            yield Remark(item.origin, "freeValues", "warning", f"Budget {item.name}", text, cure)


def _unpriced(policies: PolicySet, cluster: LintCluster) -> Iterator[Remark]:
    """Resources that are used and have no price: they pass ceilings and budgets for nothing."""
    lists = [item for item in policies.price_lists if item.name == DEFAULT_PRICE_LIST]
    ceilings = [item for item in policies.policies if "costCeiling" in item.spec.sections]
    judging: Sequence[PolicyDocument[Any]] = lists or policies.budgets or ceilings
    if not judging:
        return
    first = judging[0]
    what = f"{first.kind} {first.name}"
    for resource, user in sorted(cluster.unpriced.items()):
        text = f"has no price of {resource}, which {user} asks for"
        if not lists:
            text = f"is judged by built-in list prices, which have no price of {resource}, which {user} asks for"
        name, field = where(resource)
        cure = f'add {name} to {field} of the PriceList {DEFAULT_PRICE_LIST}; "0" where it is free'
        yield Remark(first.origin, "unpriced", "warning", what, text, cure)


# --- exceptions -------------------------------------------------------------------------------------------------------


def _exception(item: _Exception, policies: PolicySet, now: datetime) -> Iterator[Remark]:
    what = f"PolicyException {item.namespace}/{item.name}"
    end = end_of(item.spec.expires)
    if now >= end:
        text = f"of {item.spec.owner} expired on {item.spec.expires}"
        cure = "remove it, or ask its owner whether it is needed and give a new date"
        yield Remark(item.origin, "expired", "error", what, text, cure)
        return
    if end - now <= ENDS_SOON:
        text = f"of {item.spec.owner} ends on {item.spec.expires}"
        cure = "mend what it excuses, or give a new date"
        yield Remark(item.origin, "endsSoon", "warning", what, text, cure)
    for guardrail in item.spec.guardrails:
        reason = _useless(item, guardrail, policies, now)
        if reason:
            text = f"has no effect on {guardrail}: {reason[0]}"
            yield Remark(item.origin, "noEffect", "error", what, text, reason[1])


def _useless(item: _Exception, guardrail: str, policies: PolicySet, now: datetime) -> tuple[str, str] | None:
    """Return why an exception can have no effect and the cure; None where it can."""
    what = "budget" if guardrail == BUDGET else "policy"
    terms: list[ExceptionsModel | BudgetExceptions]
    if guardrail == BUDGET:
        if not policies.budgets:
            return "there is no Budget", "remove budget from spec.guardrails"
        bounds = [budget.spec.lets_off for budget in policies.budgets]
        terms = [each for each in bounds if each is not None]
        if len(terms) < len(bounds):
            return None
    else:
        configuring = [policy for policy in policies.policies if guardrail in policy.spec.sections]
        if not configuring:
            return "no policy configures it", f"remove {guardrail} from spec.guardrails"
        terms = [policy.spec.exceptions for policy in configuring]
    allowing = [each for each in terms if each.allowed and compile_globs(each.namespaces)(item.namespace)]
    if not allowing:
        return f"no {what} allows exceptions from it in {item.namespace}", "ask the platform team to allow it"
    days = (end_of(item.spec.expires) - now).days
    longest = max(each.max_days for each in allowing)
    if days > longest + 1:
        return (
            f"it ends later than in {longest} days, which is all that a {what} allows",
            "give an earlier spec.expires",
        )
    return None


def _unused(policies: PolicySet, found: Iterable[Remark], cluster: LintCluster) -> Iterator[Remark]:
    useless = {remark.origin for remark in found if remark.rule in ("expired", "noEffect")}
    for item in policies.exceptions:
        if item.origin not in useless and not cluster.is_used(item):
            text = f"of {item.spec.owner} excuses nothing that is in the cluster"
            what = f"PolicyException {item.namespace}/{item.name}"
            yield Remark(item.origin, "unused", "warning", what, text, "remove it")


# --- with a cluster ---------------------------------------------------------------------------------------------------


def _in_cluster(policy: _Policy, cluster: LintCluster) -> Iterator[Remark]:
    match = policy.spec.match
    compiled = CompiledMatch(match)
    is_excluded = compile_globs(ALWAYS_EXCLUDED)
    names = [name for name in cluster.namespaces if not is_excluded(name)]
    covered = [name for name in names if compiled.covers_namespace(name, cluster.view.namespace(name))]
    if names and not covered and not never(match):
        text = f"matches none of the {len(names)} namespaces of the cluster"
        cure = "mend spec.match, or label the namespaces that are meant"
        yield Remark(policy.origin, "matchesNothing", "warning", f"GuardrailPolicy {policy.name}", text, cure)


def rules_without(policies: PolicySet, item: _Exception) -> Ruleset:
    """Return the policies, compiled, as they are without one exception."""
    kept = tuple(document for document in policies.documents if document is not item)
    return Ruleset(PolicySet(kept, f"{policies.fingerprint} without {item.origin}"))
