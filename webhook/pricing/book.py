"""What a core, a GiB, a GPU and other resources cost per hour, as frozen plain numbers.

A book is compiled once per policy load from a price list; pricing a pod then is a few integer multiplications. The
default book carries those of named node pools with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from webhook.kube.objects import LabelSelector, PodSpec, Toleration
from webhook.kube.selectors import LabelPredicate, compile_selector
from webhook.pricing import placement

REQUEST, LIMIT, DEFAULT, ASSUMED, SPOT = 1, 2, 4, 8, 16
"""Where a priced quantity comes from, and the capacity type, as bits of one number."""


PICO: Final = 10**12
"""Pico-units in one unit of currency: the finest price that a price list may state."""


class Rates(NamedTuple):
    """Prices of one capacity type, in whole pico-units of the currency."""

    cpu: int
    """Per core and hour."""
    memory: int
    """Per GiB (2^30 bytes) and hour."""
    gpu: int
    """Per GPU and hour, of every vendor that `resources` does not name."""
    resources: Mapping[str, int] = {}
    """Per hour and unit of other resources; per GiB for those that are measured in bytes."""
    claims: Mapping[str, int] = {}
    """Per hour and device, by device class."""

    def price_of(self, resource: str) -> int | None:
        """Return the price of a resource beside cpu and memory; None where the list has none.

        What the list does not name costs what it is a part of: a GPU of any vendor, or memory as huge pages are.
        """
        price = self.resources.get(resource)
        if price is not None:
            return price
        if resource.endswith("/gpu"):
            return self.gpu
        return self.memory if resource.startswith("hugepages-") else None


class Storage(NamedTuple):
    """Prices of volumes, in whole pico-units of the currency per GiB and month."""

    volume: int
    """Of a storage class that `classes` does not name, and of the cluster's default class."""
    classes: Mapping[str, int]

    def price_of(self, storage_class: str) -> int:
        """Return the price of a GiB and month of a storage class."""
        return self.classes.get(storage_class, self.volume)


class NodePool(NamedTuple):
    """The nodes that a price list is for."""

    selectors: Sequence[LabelSelector]
    """A node that one of them selects is a node of the pool."""
    selects: Sequence[LabelPredicate]
    keys: frozenset[str]
    """Labels that the selectors look at."""
    taints: Sequence[tuple[str, str, str]]
    """(key, value, effect) of all its nodes."""


class PriceBook(msgspec.Struct, frozen=True):
    """A compiled price list."""

    currency: str
    """ISO 4217 code: ``USD``."""
    hours_per_month: int
    """Hours that a monthly figure stands for; 730 by convention."""
    on_demand: Rates
    spot: Rates
    assumed_cpu: int
    """Millicores that a container with neither cpu request nor limit is priced with."""
    assumed_memory: int
    """Bytes that a container with neither memory request nor limit is priced with."""
    name: str = "default"
    """Of the price list."""
    capacity: placement.CapacityType = "any"
    """What the nodes of the list are; `any` where a pod's own placement decides."""
    storage: Storage | None = None
    """None where volumes are not priced. The same in all books: a volume is on no node."""
    pool: NodePool | None = None
    """None in the default book."""
    pools: tuple["PriceBook", ...] = ()
    """Books of named node pools, by name; only in the default book."""
    pool_keys: tuple[str, ...] = ()
    """Labels that tell the pools apart; found when the book is made."""
    sources: tuple[str, ...] = ()
    """What a verdict says of each set of the bits above; made when the book is."""

    def __post_init__(self) -> None:
        """Do once what every pod needs, so that pricing a pod does not."""
        texts = tuple(_source_text(mask, self.name) for mask in range(2 * SPOT))
        msgspec.structs.force_setattr(self, "sources", texts)
        keys = {key for each in self.pools if each.pool is not None for key in each.pool.keys}
        msgspec.structs.force_setattr(self, "pool_keys", tuple(sorted(keys)))


def _source_text(mask: int, price_list: str) -> str:
    bits = ((REQUEST, "requests"), (LIMIT, "limits"), (DEFAULT, "LimitRange default"), (ASSUMED, "assumed request"))
    names = [text for bit, text in bits if mask & bit] or ["no containers"]
    joined = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{joined}, {'spot' if mask & SPOT else 'on-demand'}, price list {price_list}"


def pool(selectors: Sequence[LabelSelector], taints: Sequence[tuple[str, str, str]] = ()) -> NodePool:
    """Compile the nodes of a price list.

    Raises:
        SelectorError: a selector that Kubernetes would refuse.
    """
    keys = {key for each in selectors for key in each.match_labels or ()}
    keys |= {item.key for each in selectors for item in each.match_expressions or ()}
    return NodePool(tuple(selectors), tuple(map(compile_selector, selectors)), frozenset(keys), tuple(taints))


def books_of_node(book: PriceBook, labels: Mapping[str, str]) -> Sequence[PriceBook]:
    """Return the books for a node with these labels: of the pools that it belongs to, else the default one."""
    found = [each for each in book.pools if each.pool is not None and any(has(labels) for has in each.pool.selects)]
    return found or (book,)


def books_of_pod(book: PriceBook, spec: PodSpec) -> Sequence[PriceBook]:
    """Return the books of all pools that a pod may land on, where it can only land on pools; else the default book.
    Where what it asks for is too long to tell, it may land anywhere, so that length makes no pod cheaper."""
    if not book.pools or not (spec.node_selector or spec.affinity is not None):
        return (book,)
    if placement.asks_too_much(spec):
        return (book, *book.pools)
    found: dict[str, PriceBook] = {}
    beyond: dict[str, PriceBook] = {}
    terms = [part for term in placement.terms(spec) for part in placement.split(term, book.pool_keys)]
    for term in terms:
        fitting = list(_containing(book.pools, term))
        if not fitting:
            return (book,)
        tolerated = [each for each in fitting if _is_tolerated(each, spec.tolerations or ())]
        found.update((each.name, each) for each in tolerated)
        if not tolerated:
            beyond.update((each.name, each) for each in fitting)
    # What tolerates no pool that it asks for stays pending; should a toleration be added, this is what it costs.
    return tuple((found or beyond).values()) or (book,)


def _containing(books: Sequence[PriceBook], term: placement.Term) -> Iterator[PriceBook]:
    for each in books:
        if each.pool is not None and any(placement.implies(term, selector) for selector in each.pool.selectors):
            yield each


def _is_tolerated(book: PriceBook, tolerations: Sequence[Toleration]) -> bool:
    taints = book.pool.taints if book.pool is not None else ()
    return all(any(_tolerates(each, taint) for each in tolerations) for taint in taints)


def _tolerates(toleration: Toleration, taint: tuple[str, str, str]) -> bool:
    key, value, effect = taint
    if toleration.effect and toleration.effect != effect:
        return False
    if toleration.operator == "Exists":
        return not toleration.key or toleration.key == key
    return toleration.key == key and (toleration.value or "") == value


def is_measured_in_bytes(resource: str) -> bool:
    """Whether a resource is priced per GiB: memory, ephemeral storage and huge pages."""
    return resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-")


def rates(
    cpu_core_hour: Decimal,
    memory_gib_hour: Decimal,
    gpu_hour: Decimal,
    resources: Mapping[str, Decimal] | None = None,
    claims: Mapping[str, Decimal] | None = None,
) -> Rates:
    """Turn decimal prices into whole pico-units.

    Raises:
        ValueError: a price is negative, or finer than 12 decimal places.
    """
    others = {name: pico(price) for name, price in (resources or {}).items()}
    devices = {name: pico(price) for name, price in (claims or {}).items()}
    return Rates(pico(cpu_core_hour), pico(memory_gib_hour), pico(gpu_hour), others, devices)


def pico(price: Decimal) -> int:
    """Turn a decimal price into whole pico-units.

    Raises:
        ValueError: the price is negative, or finer than 12 decimal places.
    """
    numerator, denominator = price.as_integer_ratio()
    whole, rest = divmod(numerator * PICO, denominator)
    if rest or whole < 0:
        raise ValueError(f"price {price} cannot be used; give a price that is not negative, with at most 12 decimals")
    return whole
