"""Where a pod runs, as far as that decides its price: its node, those that its author chose, or any."""

from collections.abc import Sequence

from webhook.cluster.view import Node
from webhook.guardrails._contract import Context
from webhook.kube.objects import PodSpec
from webhook.pricing.placement import bound_nodes, capacity_of, is_open, is_spot


def is_priced_as_spot(spec: PodSpec, node: Node | None, *, as_spot: bool) -> bool:
    """Whether spot prices count: by the node, unless the policy prices the pod as spot and its author chose no node:
    then it stays what it was admitted as, wherever the scheduler has put it."""
    if node is None and is_open(spec):
        return as_spot
    if node is not None and not (as_spot and not bound_nodes(spec)):
        return is_spot(node.labels)
    capacity = capacity_of(spec)
    return as_spot if capacity == "any" else capacity == "spot"


def nodes_of(context: Context, spec: PodSpec) -> Sequence[Node]:
    """Return the node that the pod runs on, or else those that its author chose for it; empty where one of them is not
    known, or where the scheduler may choose any."""
    name = spec.node_name or (context.running.node if context.running is not None else "")
    if not name and is_open(spec):
        return ()
    names = (name,) if name else bound_nodes(spec)
    if not names:
        return ()
    found = [context.view.node(each) for each in sorted(names)]
    known = [node for node in found if node is not None]
    return known if len(known) == len(found) else ()
