"""Where a pod can only run: what its node selector and its required node affinity prove about the labels of its node.

Nothing is guessed. A toleration or a preferred affinity says where a pod may or would rather run, never where it must;
only selectors and required affinity do, and only for nodes that exist or may exist one day. So the question is one of
logic: does every node that the pod accepts have certain labels? A pod that accepts other nodes as well is bound to
nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Final, Literal, NamedTuple

from webhook.kube.objects import LabelSelector, NodeSelectorTerm, PodSpec, SelectorRequirement

_NOTHING: Final[Mapping[str, str]] = {}
_NO_NODES: Final[frozenset[str]] = frozenset()
_MOST_ALTERNATIVES: Final = 64
"""A term that leaves more combinations of values open than this is not taken apart; it is bound to nothing."""
_MOST_ASKED: Final = 512
"""Terms, requirements and values of a required affinity that are taken apart. No author writes as many, and reading
them costs more than linear time, which whoever may create pods could hold up all reviews with."""

SPOT_LABELS: Final = {
    "karpenter.sh/capacity-type": frozenset({"spot"}),
    "eks.amazonaws.com/capacityType": frozenset({"SPOT"}),
    "cloud.google.com/gke-spot": frozenset({"true"}),
    "cloud.google.com/gke-preemptible": frozenset({"true"}),
    "kubernetes.azure.com/scalesetpriority": frozenset({"spot"}),
    "node.kubernetes.io/lifecycle": frozenset({"spot"}),
    "lifecycle": frozenset({"EC2Spot"}),
}
"""Node labels by which the platforms mark spot capacity: Karpenter, EKS, GKE, AKS, and the older generic ones."""


CapacityType = Literal["any", "onDemand", "spot"]
"""What kind of capacity a pod can land on; `any` where it is for the scheduler to decide."""

SpotLabels = Mapping[str, frozenset[str]]
"""By label key, the values that mark a node as spot capacity."""


class Known(NamedTuple):
    """What is known about one label of every node that a term accepts."""

    allowed: frozenset[str] | None = None
    """The values that it can have; None where any value is possible."""
    denied: frozenset[str] = frozenset()
    """Values that it does not have."""
    may_exist: bool = True
    may_lack: bool = True
    bounds: tuple[tuple[str, int], ...] = ()
    """Comparisons with whole numbers that it meets: ``("Gt", 4)``."""

    def can_be(self, value: str) -> bool:
        """Whether the label can have a value."""
        if not self.may_exist or value in self.denied or not (self.allowed is None or value in self.allowed):
            return False
        return all(compares(value, operator, number) for operator, number in self.bounds)


Term = Mapping[str, Known]
"""By label key, what is known about every node that one alternative of a pod accepts."""


def is_spot(labels: Mapping[str, str]) -> bool:
    """Whether the labels of a node say that it is spot capacity."""
    return any(labels.get(key) in values for key, values in SPOT_LABELS.items())


def capacity_of(spec: PodSpec, spot_labels: SpotLabels = SPOT_LABELS) -> CapacityType:
    """Return what capacity a pod's node selector and required node affinity let it land on.

    ``spot`` where every alternative leaves nothing but spot nodes, ``onDemand`` where none leaves a spot node, or where
    it can run nowhere. Whoever asks for nodes that one label calls spot and another calls something else has asked for
    none that exists, and pays for on-demand. What is too long to be taken apart is on-demand too: that is the dearer
    one, and length makes no pod cheaper.

    Args:
        spec: of the pod.
        spot_labels: the labels that mark spot capacity.
    """
    selector = spec.node_selector
    if (spec.affinity is None or not _required_terms(spec)) and (
        not selector or selector.keys().isdisjoint(spot_labels)
    ):
        return "any"  # By far the most pods: nothing that they ask for is about capacity.
    if asks_too_much(spec) or _matches_no_node(spec):
        return "onDemand"
    found = {_capacity_of_term(term, spot_labels) for term in terms(spec)}
    if not found:
        return "onDemand"
    return found.pop() if len(found) == 1 else "any"


def is_open(spec: PodSpec) -> bool:
    """Whether a pod asks for no node and for no kind of node, as most do: neither selector nor required affinity."""
    return not spec.node_selector and (spec.affinity is None or not _required_terms(spec))


def _matches_no_node(spec: PodSpec) -> bool:
    """Whether all terms of the required node affinity are empty."""
    listed = _required_terms(spec)
    return bool(listed) and not any(term.match_expressions or term.match_fields for term in listed)


def _capacity_of_term(term: Term, spot_labels: SpotLabels) -> CapacityType:
    is_spot = is_kept_off = False
    for key, values in spot_labels.items():
        known = term.get(key)
        if known is None:
            continue
        if not any(known.can_be(value) for value in values):
            if not known.may_lack:
                return "onDemand"
            is_kept_off = True
        elif not known.may_lack and known.allowed is not None:
            is_spot |= all(value in values for value in known.allowed if known.can_be(value))
    if is_spot:
        return "spot"
    # A node without the label may be spot by another one, but the author has kept the pod off what he knows as spot.
    return "onDemand" if is_kept_off else "any"


def asks_too_much(spec: PodSpec) -> bool:
    """Whether the required node affinity of a pod is too long to be taken apart: whatever it asks for then is open."""
    asked = 0
    for term in _required(spec):
        asked += 1
        for item in term.match_expressions or ():
            asked += 1 + len(item.values or ())
        for item in term.match_fields or ():
            asked += 1 + len(item.values or ())
        if asked > _MOST_ASKED:
            return True
    return False


def bound_nodes(spec: PodSpec) -> frozenset[str]:
    """Return the names of the nodes that a pod's author has chosen for it, all of them: by ``metadata.name`` in its
    required affinity, as the DaemonSet controller writes it, or by the label ``kubernetes.io/hostname``. Empty where
    it may run on others as well, and where what it asks for is too long to be taken apart."""
    listed = _required_terms(spec)
    selected = (spec.node_selector or _NOTHING).get(HOSTNAME)
    if not listed or asks_too_much(spec):
        return _NO_NODES if selected is None else frozenset({selected})
    names: set[str] = set()
    for term in _required(spec):
        found = _names_of(term) if selected is None else frozenset({selected})
        if not found:
            return frozenset()
        names |= found
    return frozenset(names)


def _names_of(term: NodeSelectorTerm) -> frozenset[str]:
    for item in term.match_fields or ():
        if item.key == "metadata.name" and item.operator == "In":
            return frozenset(item.values or ())
    for item in term.match_expressions or ():
        if item.key == HOSTNAME and item.operator == "In":
            return frozenset(item.values or ())
    return frozenset()


HOSTNAME: Final = "kubernetes.io/hostname"
"""Label of a node that is, nearly everywhere, its name."""


def terms(spec: PodSpec) -> list[Term]:
    """Return the alternatives that a pod's node selector and required node affinity leave, without those that no node
    can meet. An empty list says that the pod is bound to nothing, or can run nowhere."""
    selected = _known(spec.node_selector or _NOTHING)
    found: list[Term] = []
    alternatives = list(_required(spec))
    for alternative in alternatives:
        term = dict(selected)
        for requirement in alternative.match_expressions or ():
            term[requirement.key] = _narrowed(term.get(requirement.key, Known()), requirement)
        if not any(_is_contradiction(known) for known in term.values()):
            found.append(term)
    if alternatives:
        return found
    return [selected] if selected else []


def split(term: Term, keys: Iterable[str]) -> list[Term]:
    """Take a term apart so that each label among `keys` has one value, where the term says which are possible."""
    open_keys = [key for key in keys if (known := term.get(key)) is not None and len(known.allowed or ()) > 1]
    count = 1
    for key in open_keys:
        count *= len(term[key].allowed or ())
        if count > _MOST_ALTERNATIVES:
            return [term]
    values = (sorted(term[key].allowed or ()) for key in open_keys)
    return [{**term, **_known(dict(zip(open_keys, chosen, strict=True)))} for chosen in product(*values)]


def _known(labels: Mapping[str, str]) -> dict[str, Known]:
    return {key: Known(frozenset({value}), may_lack=False) for key, value in labels.items()}


def implies(term: Term, selector: LabelSelector) -> bool:
    """Whether every node that a term accepts is selected."""
    for key, value in (selector.match_labels or _NOTHING).items():
        allowed = term.get(key, _UNKNOWN).allowed
        if allowed is None or not allowed <= {value}:
            return False
    return all(_meets(term.get(item.key, _UNKNOWN), item) for item in selector.match_expressions or ())


_UNKNOWN: Final = Known()


def _meets(known: Known, requirement: SelectorRequirement) -> bool:
    values = frozenset(requirement.values or ())
    match requirement.operator:
        case "In":
            return known.allowed is not None and known.allowed <= values
        case "NotIn":
            if not known.may_exist or values <= known.denied:
                return True
            return known.allowed is not None and not known.allowed & values
        case "Exists":
            return not known.may_lack
        case "DoesNotExist":
            return not known.may_exist
        case _:
            return False


def _narrowed(known: Known, requirement: SelectorRequirement) -> Known:
    values = frozenset(requirement.values or ())
    match requirement.operator:
        case "In":
            allowed = values if known.allowed is None else known.allowed & values
            return known._replace(allowed=allowed - known.denied, may_lack=False)
        case "NotIn":
            # A node without the label meets it as well.
            allowed_left = None if known.allowed is None else known.allowed - values
            return known._replace(allowed=allowed_left, denied=known.denied | values)
        case "Exists":
            return known._replace(may_lack=False)
        case "Gt" | "Lt":
            return known._replace(may_lack=False, bounds=(*known.bounds, *_bounds(requirement)))
        case "DoesNotExist":
            return known._replace(may_exist=False)
        case _:
            return known


def _bounds(requirement: SelectorRequirement) -> Iterator[tuple[str, int]]:
    for value in requirement.values or ():
        number = whole_number(value)
        if number is not None:
            yield requirement.operator, number


def compares(value: str, operator: str, bound: int) -> bool:
    """Whether the value of a label is a whole number that is greater (``Gt``) or less (``Lt``) than a bound."""
    number = whole_number(value)
    if number is None:
        return False
    return number > bound if operator == "Gt" else number < bound


def whole_number(text: str) -> int | None:
    """Return a text as the whole number that ``Gt`` and ``Lt`` compare, or None."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text) is not None else None


_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


def _is_contradiction(known: Known) -> bool:
    if not known.may_exist:
        return not known.may_lack
    return known.allowed is not None and not known.allowed


def _required(spec: PodSpec) -> Iterator[NodeSelectorTerm]:
    """Yield the terms of the required node affinity; one of them suffices, and an empty one matches no node."""
    for term in _required_terms(spec):
        if term.match_expressions or term.match_fields:
            yield term


def _required_terms(spec: PodSpec) -> Sequence[NodeSelectorTerm]:
    affinity = spec.affinity
    node_affinity = affinity.node_affinity if affinity is not None else None
    required = node_affinity.required if node_affinity is not None else None
    return (required.node_selector_terms or ()) if required is not None else ()
