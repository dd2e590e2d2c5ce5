"""Price lists out of tables: of prices as people keep them, and of what instances cost.

Everything wrong with a table is told at once, one line for each row, because who exports a table of two hundred rows
wants to mend it once. The documents that come out are plain data, as they stand in YAML.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

PLACES: Final = 12
"""Decimal places of a price in a price list."""

MAXIMUM_ROWS: Final = 20_000
INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"

_PRICE: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,12})?", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_CLAIM: Final = "claim/"
"""Before a device class."""
_FIELDS: Final = {"cpu": "cpuCoreHour", "memory": "memoryGiBHour", "gpu": "gpuHour"}
_CAPACITIES: Final = {"": "onDemand", "on-demand": "onDemand", "ondemand": "onDemand", "spot": "spot"}
_CPU_TO_MEMORY: Final = Fraction("0.031611") / Fraction("0.004237")
_GPU_TO_MEMORY: Final = Fraction("0.95") / Fraction("0.004237")
_GIB: Final = 1 << 30


class TableError(ValueError):
    """A table that cannot be read; ``str()`` has one line for everything that is wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class PriceRow(NamedTuple):
    """One row of a table."""

    place: str
    """``file:line``."""
    cells: Mapping[str, str]
    """By column, without white space around them; absent columns are empty."""

    def cell(self, column: str) -> str:
        """Return the text of a cell."""
        return self.cells.get(column, "")


class PartPrices(NamedTuple):
    """What an hour of the parts of an instance costs, so that together they cost what the instance does."""

    cpu: Fraction
    memory: Fraction
    gpu: Fraction


class Instance(NamedTuple):
    """The nodes of one instance type."""

    type: str
    nodes: int
    milli_cpu: int
    memory: int
    """Bytes."""
    gpus: int


def read_table(
    text: str, file: str, required: Iterable[str], aliases: Mapping[str, str] | None = None
) -> list[PriceRow]:
    """Read comma-separated values with a line of column names.

    Args:
        text: the table.
        file: its name in errors.
        required: columns that must be there.
        aliases: other names of columns, in lower case.

    Raises:
        TableError: no columns, a column is missing or there twice, or a row has more cells than there are columns.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True, skipinitialspace=True)
    rows: list[PriceRow] = []
    problems: list[str] = []
    columns: list[str] = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if not any(stripped) or stripped[0].startswith("#"):
                continue
            place = f"{file}:{reader.line_num}"
            if not columns:
                columns = [(aliases or {}).get(name.lower(), name.lower()) for name in stripped]
                problems.extend(_wrong_columns(place, columns, required))
            elif len(stripped) > len(columns):
                problems.append(
                    f"{place}: has {len(stripped)} cells for {len(columns)} columns; remove what is too much"
                )
            else:
                rows.append(PriceRow(place, dict(zip(columns, stripped, strict=False))))
            if len(rows) > MAXIMUM_ROWS:
                raise TableError([f"{file}: has more than {MAXIMUM_ROWS} rows; split it"])
    except csv.Error as error:
        raise TableError(
            [f"{file}:{reader.line_num}: is no comma-separated table: {error}; check the quotes"]
        ) from None
    if not columns:
        problems.append(f"{file}: is empty; begin with a line of columns: {', '.join(required)}")
    if problems:
        raise TableError(problems)
    return rows


def _wrong_columns(place: str, columns: list[str], required: Iterable[str]) -> Iterator[str]:
    for name in required:
        if name not in columns:
            yield f"{place}: has no column {name}; the first line must name the columns"
    for name in sorted({each for each in columns if columns.count(each) > 1}):
        yield f"{place}: has the column {name or '(without a name)'} twice; remove one"


def price_lists(rows: Iterable[PriceRow], currency: str, hours_per_month: int) -> list[dict[str, Any]]:
    """Return price lists of a table of prices: one row a price.

    Columns: ``resource`` (cpu, memory, gpu, the name of another resource, claim/ and a device class, storage, or
    storage/ and a storage class)
    and ``price``; optional ``list`` (default), ``capacity`` (on-demand or spot), ``per`` (hour or month), and
    ``node_label`` (key=value) for lists of node pools.

    Raises:
        TableError: with a line for each row that is wrong, and for each list that lacks a price.
    """
    problems: list[str] = []
    specs: dict[str, dict[str, Any]] = {}
    seen: dict[tuple[str, ...], str] = {}
    for row in rows:
        found = _checked(row)
        if isinstance(found, str):
            problems.append(f"{row.place}: {found}")
            continue
        name, key, price = found
        first = seen.setdefault((name, *key), row.place)
        if first != row.place:
            problems.append(
                f"{row.place}: prices {row.cell('resource')} of list {name} again, first at {first}; keep one"
            )
            continue
        spec = specs.setdefault(name, {"currency": currency})
        _put(spec, row, key, _per(row, key, price, hours_per_month))
    for name, spec in specs.items():
        problems.extend(_lacks(name, spec))
    if problems:
        raise TableError(problems)
    if not specs:
        raise TableError(["the table has no prices; give one row for each"])
    for name, spec in specs.items():
        if name == "default":
            spec["hoursPerMonth"] = hours_per_month
    return [
        _document(name, spec) for name, spec in sorted(specs.items(), key=lambda item: (item[0] != "default", item))
    ]


def _checked(row: PriceRow) -> tuple[str, tuple[str, str], Fraction] | str:
    """Return the list, the (section, field) and the price of a row; or what is wrong with it."""
    name = row.cell("list") or "default"
    resource, capacity, per = row.cell("resource"), row.cell("capacity").lower(), row.cell("per").lower()
    if not _NAME.fullmatch(name):
        return f"list {name!r} is no name of an object; use lower case letters, digits, - and ."
    if not resource:
        return "has no resource; write cpu, memory, gpu, storage or the name of another resource"
    if capacity not in _CAPACITIES:
        return f"capacity {row.cell('capacity')!r} is unknown; write on-demand or spot"
    if per not in ("", "hour", "month"):
        return f"per {row.cell('per')!r} is unknown; write hour or month"
    label = row.cell("node_label")
    if label and not all(label.partition("=")):
        return f"node_label {label!r} is no label; write key=value"
    if label and name == "default":
        return "the list default is for all other nodes; remove node_label, or name another list"
    if not _PRICE.fullmatch(row.cell("price")):
        return f"price {row.cell('price')!r} is no price; write digits with at most 12 decimals, such as 0.031611"
    if resource == "storage" or resource.startswith("storage/"):
        if name != "default" or capacity == "spot":
            return "storage has one price on all nodes; put it into the list default, without a capacity"
        return name, ("storage", resource.removeprefix("storage").removeprefix("/")), Fraction(row.cell("price"))
    if resource == _CLAIM:
        return "names no device class; write for example claim/gpu.nvidia.com"
    return name, (_CAPACITIES[capacity], resource), Fraction(row.cell("price"))


def _per(row: PriceRow, key: tuple[str, str], price: Fraction, hours: int) -> Fraction:
    """Return the price for an hour, of storage for a month; storage is priced by the month where the row is silent."""
    per = row.cell("per").lower()
    if key[0] == "storage":
        return price * hours if per == "hour" else price
    return price / hours if per == "month" else price


def _put(spec: dict[str, Any], row: PriceRow, key: tuple[str, str], price: Fraction) -> None:
    section, resource = key
    text = price_text(price)
    if section == "storage":
        storage = spec.setdefault("storage", {})
        if resource:
            storage.setdefault("classes", {})[resource] = text
        else:
            storage["volumeGiBMonth"] = text
    elif resource in _FIELDS:
        spec.setdefault(section, {})[_FIELDS[resource]] = text
    elif resource.startswith(_CLAIM):
        spec.setdefault(section, {}).setdefault("claims", {})[resource.removeprefix(_CLAIM)] = text
    else:
        spec.setdefault(section, {}).setdefault("resources", {})[resource] = text
    if row.cell("node_label"):
        label, _, value = row.cell("node_label").partition("=")
        selectors = spec.setdefault("nodes", {"selectors": []})["selectors"]
        if {"matchLabels": {label: value}} not in selectors:
            selectors.append({"matchLabels": {label: value}})


def _lacks(name: str, spec: dict[str, Any]) -> Iterator[str]:
    words = {"onDemand": "on-demand", "spot": "spot"}
    for section in ("onDemand", *(["spot"] if "spot" in spec else [])):
        for resource, field in _FIELDS.items():
            if field not in spec.get(section, {}):
                yield f"list {name} has no {words[section]} price of {resource}; add a row for it"
    if "storage" in spec and "volumeGiBMonth" not in spec["storage"]:
        yield f"list {name} prices storage classes, but not storage itself; add a row of resource storage"


def split(price: Fraction, cores: Fraction, gib: Fraction, gpus: int, gpu_price: Fraction | None = None) -> PartPrices:
    """Split the price of an instance into those of its parts, in the ratio of OpenCost's default prices.

    Args:
        price: of the instance.
        cores: all of it, what the system keeps included.
        gib: memory.
        gpus: number of GPUs.
        gpu_price: of one GPU where it is known; the rest is split between cpu and memory then.

    Raises:
        ValueError: nothing is left for cpu and memory, or the instance has neither.
    """
    known = gpus * gpu_price if gpu_price is not None else Fraction(0)
    weight = cores * _CPU_TO_MEMORY + gib + (gpus * _GPU_TO_MEMORY if gpu_price is None else 0)
    if weight <= 0:
        raise ValueError("has no cpu and no memory to split the price between")
    if known > price:
        raise ValueError("costs less than its GPUs alone; check the price of the GPU")
    memory = (price - known) / weight
    return PartPrices(memory * _CPU_TO_MEMORY, memory, gpu_price if gpu_price is not None else memory * _GPU_TO_MEMORY)


class PricedInstance(NamedTuple):
    """An instance type with what it costs."""

    instance: Instance
    on_demand: PartPrices
    spot: PartPrices | None


def priced(instances: Iterable[Instance], rows: Iterable[PriceRow]) -> list[PricedInstance]:
    """Find what the instance types of a cluster cost in a table.

    Columns: ``instance_type`` and ``price`` for an hour; optional ``spot_price`` and ``gpu_price``.

    Raises:
        TableError: with a line for each row that is wrong, and for each instance type that has no price.
    """
    problems: list[str] = []
    table: dict[str, PriceRow] = {}
    for row in rows:
        first = table.setdefault(row.cell("instance_type"), row)
        if first is not row and first.cells != row.cells:
            problems.append(f"{row.place}: prices {row.cell('instance_type')} again, first at {first.place}; keep one")
        for column in ("price", "spot_price", "gpu_price"):
            text = row.cell(column)
            if (text or column == "price") and not _PRICE.fullmatch(text):
                problems.append(f"{row.place}: {column} {text!r} is no price; write digits such as 0.192")
    if problems:
        raise TableError(problems)
    found: list[PricedInstance] = []
    for instance in instances:
        row_of = table.get(instance.type)
        if row_of is None:
            nodes = "1 node is" if instance.nodes == 1 else f"{instance.nodes} nodes are"
            problems.append(f"the table has no price of {instance.type}, which {nodes}; add a row")
            continue
        try:
            found.append(_split_row(instance, row_of))
        except ValueError as error:
            problems.append(f"{row_of.place}: {instance.type} {error}")
    if problems:
        raise TableError(problems)
    return found


def _split_row(instance: Instance, row: PriceRow) -> PricedInstance:
    cores, gib = Fraction(instance.milli_cpu, 1000), Fraction(instance.memory, _GIB)
    gpu_price = Fraction(row.cell("gpu_price")) if row.cell("gpu_price") else None
    on_demand = split(Fraction(row.cell("price")), cores, gib, instance.gpus, gpu_price)
    if not row.cell("spot_price"):
        return PricedInstance(instance, on_demand, None)
    # The price of a GPU is that of on-demand capacity, so it says nothing about spot.
    return PricedInstance(instance, on_demand, split(Fraction(row.cell("spot_price")), cores, gib, instance.gpus))


def lists_of_instances(found: Iterable[PricedInstance], currency: str) -> list[dict[str, Any]]:
    """Return the list ``default`` with the prices of a mean node, and a list for each instance type.

    The mean weighs each type by what its nodes have, so that the default prices times all there is of the cluster are
    what the cluster costs.
    """
    known = sorted(found, key=lambda each: each.instance.type)
    documents = [_document("default", {"currency": currency, **_both([_Weighed(each) for each in known])})]
    for each in known:
        selector = {"matchLabels": {INSTANCE_TYPE: each.instance.type}}
        spec = {"currency": currency, "nodes": {"selectors": [selector]}, **_both([_Weighed(each)])}
        documents.append(_document(_list_name(each.instance.type), spec))
    return documents


class _Weighed(NamedTuple):
    priced: PricedInstance

    def weights(self) -> tuple[Fraction, Fraction, Fraction]:
        one = self.priced.instance
        return (
            Fraction(one.milli_cpu * one.nodes, 1000),
            Fraction(one.memory * one.nodes, _GIB),
            Fraction(one.gpus * one.nodes),
        )


def _both(weighed: list[_Weighed]) -> dict[str, Any]:
    spec = {"onDemand": _mean((each, each.priced.on_demand) for each in weighed)}
    if any(each.priced.spot is not None for each in weighed):
        spec["spot"] = _mean((each, each.priced.spot or each.priced.on_demand) for each in weighed)
    return spec


def _mean(parts: Iterable[tuple[_Weighed, PartPrices]]) -> dict[str, str]:
    listed = list(parts)
    texts: dict[str, str] = {}
    for index, field in enumerate(_FIELDS.values()):
        weight = sum((each.weights()[index] for each, _ in listed), Fraction(0))
        cost = sum((each.weights()[index] * prices[index] for each, prices in listed), Fraction(0))
        # A cluster without GPUs today has a price of them all the same: in the ratio to its memory.
        texts[field] = price_text(cost / weight if weight else Fraction(texts["memoryGiBHour"]) * _GPU_TO_MEMORY)
    return texts


def _list_name(instance_type: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", instance_type.lower()).strip("-.") or "unnamed"


def price_text(price: Fraction) -> str:
    """Return a price as a price list has it: at most 12 decimals, rounded up, so that nothing is sold too cheap."""
    unit: int = 10**PLACES
    scaled = -(-price.numerator * unit // price.denominator)
    text = f"{Decimal(scaled).scaleb(-PLACES):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _document(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    order = ("currency", "nodes", "hoursPerMonth", "onDemand", "spot", "storage")
    return {
        "apiVersion": "podgate.dev/v1alpha1",
        "kind": "PriceList",
        "metadata": {"name": name},
        "spec": {key: spec[key] for key in order if key in spec},
    }
