"""The wording primitives of Pod Security messages, byte for byte those of the API server.

Quoting differs by place: names and values in lists stand between plain double quotes with nothing escaped, annotation
values are quoted like a Go string literal.

A list of more than `MOST_CONTAINERS` is told by its first few and a count: the one place where words are other than the
API server's, whose message would be megabytes.
"""

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final, TypeVar

from webhook.guardrails.pod_security._visitor import ContainerView
from webhook.kube.containers import MOST_CONTAINERS

FEW: Final = 5
"""Of a list that is too long, those that are told."""

T = TypeVar("T")

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quote_list(items: Collection[str]) -> str:
    """Return the items in double quotes, joined by commas; nothing is escaped, no items give no text."""
    if not items:
        return ""
    return '"' + '", "'.join(_few(items)) + f'"{_more(items)}'


def listed(items: Collection[str]) -> str:
    """Return the items as they are, joined by commas."""
    return f"{', '.join(_few(items))}{_more(items)}"


def few(items: Sequence[T]) -> Sequence[T]:
    """Return the items, or the first few of too many."""
    return items if len(items) <= MOST_CONTAINERS else items[:FEW]


def _few(items: Collection[str]) -> Collection[str]:
    return items if len(items) <= MOST_CONTAINERS else list(islice(items, FEW))


def _more(items: Collection[str]) -> str:
    return "" if len(items) <= MOST_CONTAINERS else f" and {len(items) - FEW:,} more"


def go_quote(text: str) -> str:
    """Quote like the verb %q of Go: escapes for control and other characters that do not print."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    escape = _ESCAPES.get(character)
    if escape is not None:
        return escape
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plural(singular: str, plural_form: str, count: int) -> str:
    """Return the singular for exactly one."""
    return singular if count == 1 else plural_form


def names(seats: Sequence[ContainerView]) -> tuple[str, ...]:
    """Return the names of the containers, in the order of the pod, duplicates kept."""
    return tuple([seat.container.name for seat in seats])


def containers(container_names: Collection[str]) -> str:
    """Return ``container "a"`` or ``containers "a", "b"``."""
    return f"{plural('container', 'containers', len(container_names))} {quote_list(container_names)}"


def volumes(volume_names: Collection[str]) -> str:
    """Return ``volume "a"`` or ``volumes "a", "b"``."""
    return f"{plural('volume', 'volumes', len(volume_names))} {quote_list(volume_names)}"


def setters(is_pod: bool, container_names: Collection[str], annotations: int = 0) -> str:
    """Return who sets something: ``pod and containers "a", "b" and annotation``."""
    parts = []
    if is_pod:
        parts.append("pod")
    if container_names:
        parts.append(containers(container_names))
    if annotations:
        parts.append(plural("annotation", "annotations", annotations))
    return " and ".join(parts)


def paths(seats: Sequence[ContainerView], field: str, pod_path: str = "") -> tuple[str, ...]:
    """Return `field` of each container as a path, after the pod's own path where one is given."""
    found = [f"spec.{seat.list}[{seat.index}].{field}" for seat in few(seats)]
    return (pod_path, *found) if pod_path else tuple(found)
