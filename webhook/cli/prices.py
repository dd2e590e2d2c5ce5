"""`podgate prices`: price lists out of tables, and out of what a cluster's nodes cost."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from webhook.cli import _terminal
from webhook.cli._fault import InputError
from webhook.cluster.snapshot import Snapshot, SnapshotError
from webhook.cluster.view import Node
from webhook.kube import client, yaml_text
from webhook.kube.quantity import QuantityError, cpu_milli, memory_bytes
from webhook.policy.loading import loader
from webhook.policy.model.problems import PolicyErrors
from webhook.pricing import importing

_PAGE = "500"
_ALIASES = {
    "instancetype": "instance_type",
    "instance type": "instance_type",
    "marketpricehourly": "price",
    "hourly": "price",
}
"""Column names of other tables of instances, OpenCost's among them."""

_TABLE = click.option(
    "--csv", "table", required=True, metavar="FILE|-", help="Comma-separated table; its columns are described above."
)
_CURRENCY = click.option(
    "--currency", default="USD", metavar="CODE", show_default=True, help="Currency of all prices, an ISO 4217 code."
)


@click.group("prices", short_help="Make price lists out of tables and nodes.")
def COMMAND() -> None:  # noqa: N802  the name by which the command line finds it
    """Make PriceList YAML, on standard output, out of tables of prices and out of what a cluster's nodes cost."""


@COMMAND.command("import")
@_TABLE
@_CURRENCY
@click.option(
    "--hours-per-month",
    type=click.IntRange(1, 744),
    default=730,
    show_default=True,
    help="Hours of a month, where the table has prices for a month.",
)
def _import(table: str, currency: str, hours_per_month: int) -> None:
    """Turn a table of prices, one a row, into PriceLists.

    Columns: resource (cpu, memory, gpu, storage, storage/CLASS, or the name of another resource) and price. Optional:
    list (default: `default`), capacity (on-demand or spot), per (hour or month; storage: month), and node_label
    (key=value) for lists of node pools.
    """
    _write(
        table,
        ("resource", "price"),
        lambda rows: importing.price_lists(rows, currency, hours_per_month),
    )


@COMMAND.command("nodes")
@_TABLE
@click.option(
    "--cluster", required=True, metavar="DIR|live", help="Kubernetes YAML with Nodes, or `live` for a running cluster."
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With `--cluster live`: kubeconfig to use instead of the usual one.",
)
@_CURRENCY
def _nodes(table: str, cluster: str, kubeconfig: Path | None, currency: str) -> None:
    """Split the prices of a cluster's instance types into those of cpu, memory and GPUs.

    Columns: instance_type and price (of an hour). Optional: spot_price, and gpu_price where the price of one GPU is
    known. A price is split as OpenCost does: in the ratio of its default prices, by the capacity of the node, so that
    the parts together cost what the node costs. Written are a list for each instance type, and the list `default` with
    the mean of all nodes for pods that may run on any.
    """
    instances = _instances(_known_nodes(cluster, kubeconfig))
    _write(
        table,
        ("instance_type", "price"),
        lambda rows: importing.lists_of_instances(importing.priced(instances, rows), currency),
    )


def _write(
    table: str, columns: tuple[str, ...], make: Callable[[list[importing.PriceRow]], list[dict[str, Any]]]
) -> None:
    try:
        documents = make(importing.read_table(_text_of(table), table, columns, _ALIASES))
    except importing.TableError as error:
        raise InputError(str(error)) from None
    text = yaml_text.dump(documents)
    try:
        # What is written here must load; what does not, such as an unknown currency, is told with its field.
        loader.load_text(text, "the price lists of this table")
    except PolicyErrors as errors:
        raise InputError("\n".join(str(problem) for problem in errors.problems)) from None
    click.echo(text, nl=False)
    if sys.stdout.isatty():
        out = _terminal.console(error=True)
        out.print(f"{len(documents)} price list{'' if len(documents) == 1 else 's'}", style="green")


def _text_of(table: str) -> str:
    try:
        content = sys.stdin.buffer.read() if table == "-" else Path(table).read_bytes()
    except OSError as error:
        raise InputError(f"{table}: cannot be read: {error.strerror}; give a file, or - for standard input") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{table}: is not UTF-8 text; save the table as CSV in UTF-8") from None


def _known_nodes(cluster: str, kubeconfig: Path | None) -> list[Node]:
    try:
        view = Snapshot.from_documents(_live_nodes(kubeconfig)) if cluster == "live" else _directory(Path(cluster))
    except (SnapshotError, client.ApiError, client.ConfigError) as error:
        raise InputError(str(error)) from None
    nodes = list(view.nodes())
    if not nodes:
        raise InputError(f"{cluster}: has no Nodes; give a directory with `kubectl get nodes -o yaml`, or live")
    return nodes


def _directory(path: Path) -> Snapshot:
    if not path.is_dir():
        raise InputError(f"{path}: is no directory; give one with Kubernetes YAML, or `live`")
    return Snapshot.from_directory(path)


class _ListMeta(msgspec.Struct, rename="camel"):
    continue_: str | None = msgspec.field(name="continue", default=None)


class _NodeList(msgspec.Struct):
    items: list[dict[str, Any]]
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


def _live_nodes(kubeconfig: Path | None) -> list[dict[str, Any]]:
    api = client.connect(kubeconfig)
    found: list[dict[str, Any]] = []
    token: str | None = ""
    while token is not None:
        page = msgspec.json.decode(
            api.get("/api/v1/nodes", {"limit": _PAGE, **({"continue": token} if token else {})}), type=_NodeList
        )
        found.extend({**item, "apiVersion": "v1", "kind": "Node"} for item in page.items)
        token = page.metadata.continue_ or None
    return found


def _instances(nodes: list[Node]) -> list[importing.Instance]:
    """Count the nodes of each instance type. Of nodes of one type, the smallest memory counts: it differs a little from
    boot to boot, and a price must not be too low."""
    found: dict[str, importing.Instance] = {}
    problems: list[str] = []
    for node in nodes:
        kind = node.labels.get(importing.INSTANCE_TYPE, "")
        if not kind:
            problems.append(f"node {node.name} has no label {importing.INSTANCE_TYPE}; label it")
            continue
        try:
            cpu, memory = cpu_milli(node.capacity.get("cpu")), memory_bytes(node.capacity.get("memory"))
            gpus = sum(memory_bytes(raw) for name, raw in node.capacity.items() if name.endswith("/gpu"))
        except QuantityError as error:
            problems.append(f"node {node.name}, capacity: {error}")
            continue
        known = found.get(kind, importing.Instance(kind, 0, cpu, memory, gpus))
        found[kind] = known._replace(nodes=known.nodes + 1, memory=min(known.memory, memory))
    if problems:
        raise InputError("\n".join(problems))
    return list(found.values())
