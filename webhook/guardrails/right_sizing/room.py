"""What the largest nodes have for pods: whether any node could hold a pod at all, were it empty.

A pod that asks for more than every node has stays Pending for ever. Kept are only the nodes that no other exceeds in
both resources, which are few however many nodes there are. They are worked out once per change of the nodes, and an
equal result is the same object, so that what is remembered by its identity stays good.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from webhook.cluster.view import Node
from webhook.kube import quantity
from webhook.kube.caches import BoundedCache


class Room(NamedTuple):
    """What one node has for pods."""

    cpu: int
    """In millicores."""
    memory: int
    """In bytes."""
    node: str


_NONE: Final[tuple[Room, ...]] = ()
_known: Final[BoundedCache[int, tuple[Sequence[Node], tuple[Room, ...]]]] = BoundedCache("node_sizes", 8)
"""By identity of the nodes, which are held so that no others take it."""


def of(nodes: Sequence[Node]) -> tuple[Room, ...]:
    """Return the largest nodes; empty where there are none, or where one does not say what it has."""
    if not nodes:
        return _NONE
    known = _known.get(id(nodes))
    if known is not None:
        return known[1]
    found = _largest(nodes)
    found = next((each for _, each in _known.values() if each == found), found)
    _known.remember(id(nodes), (nodes, found))
    return found


def fits(rooms: tuple[Room, ...], asked: tuple[int, int]) -> bool:
    """Whether one node has this much CPU and memory."""
    return any(room.cpu >= asked[0] and room.memory >= asked[1] for room in rooms)


def nearest(rooms: tuple[Room, ...], asked: tuple[int, int]) -> Room:
    """Return the node that comes nearest to having this much."""
    return max(
        rooms, key=lambda room: min(Fraction(room.cpu, max(asked[0], 1)), Fraction(room.memory, max(asked[1], 1)))
    )


def _largest(nodes: Sequence[Node]) -> tuple[Room, ...]:
    rooms: list[Room] = []
    for node in nodes:
        cpu, memory = node.allocatable.get("cpu"), node.allocatable.get("memory")
        if cpu is None or memory is None:
            return _NONE
        try:
            rooms.append(Room(quantity.cpu_milli(cpu), quantity.memory_bytes(memory), node.name))
        except quantity.QuantityError:
            return _NONE
    rooms.sort(key=lambda room: (-room.cpu, -room.memory, room.node))
    found: list[Room] = []
    for room in rooms:
        if not found or room.memory > found[-1].memory:
            found.append(room)
    return tuple(found)
