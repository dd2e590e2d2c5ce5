"""Where a pod runs, as far as that decides its price: its node, those that its author chose, or any."""

from collections.abc import Sequence

from webhook.cluster.view import Node
from webhook.guardrails.base.contract import Context
from webhook.kube.objects import PodSpec
from webhook.pricing.placement import bound_nodes, capacity_of, is_open, is_spot


def place_of(context: Context, spec: PodSpec, *, as_spot: bool) -> tuple[Sequence[Node], bool]:
    """Return `nodes_of` a pod, and whether spot prices count there; where there are several, each node says by itself.

    Args:
        context: the review.
        spec: of the pod, as it is or as it was.
        as_spot: whether the policy prices it as spot capacity.
    """
    if is_open(spec) and not spec.node_name and context.running is None:
        return (), as_spot  # By far the most pods: the scheduler chooses.
    nodes = nodes_of(context, spec)
    return nodes, _is_priced_as_spot(spec, nodes[0] if nodes else None, as_spot=as_spot)


def _is_priced_as_spot(spec: PodSpec, node: Node | None, *, as_spot: bool) -> bool:
    """Whether spot prices count: by the node, unless the policy prices the pod as spot and its author chose no node:
    then it stays what it was admitted as, wherever the scheduler has put it."""
    if node is not None and not (as_spot and not bound_nodes(spec)):
        return is_spot(node.labels)
    capacity = capacity_of(spec)
    return as_spot if capacity == "any" else capacity == "spot"


def nodes_of(context: Context, spec: PodSpec) -> Sequence[Node]:
    """Return the node that the pod runs on, or else those that its author chose for it; empty where one of them is not
    known, or where the scheduler may choose any."""
    name = spec.node_name or (context.running.node if context.running is not None else "")
    names = (name,) if name else bound_nodes(spec)
    if not names:
        return ()
    found = [context.view.node(each) for each in sorted(names)]
    known = [node for node in found if node is not None]
    return known if len(known) == len(found) else ()
