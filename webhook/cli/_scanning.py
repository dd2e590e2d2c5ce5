"""What `audit` and `report` have in common: their flags, the scan with its progress, and the written outputs."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from webhook import assembly
from webhook.cli import _cluster, _terminal
from webhook.cli._cluster import LIVE
from webhook.cli._fault import InputError
from webhook.reporting import scan as scanning
from webhook.reporting import scan_input as worlds
from webhook.reporting.judge import Grouping
from webhook.reporting.render import document
from webhook.reporting.render.html import as_html
from webhook.reporting.report import AuditReport

_MOST_FAILURES: Final = 20

_RawObject = tuple[str, dict[str, Any]]


class Flags(NamedTuple):
    """The flags of a scan."""

    policies: Path | None
    """None: custom resources alone."""
    is_default: bool
    """Whether nobody asked for that directory."""
    cluster: str
    kubeconfig: Path | None
    exclude: tuple[str, ...]
    namespace: str
    grouping: Grouping

    @classmethod
    def build(
        cls,
        *,
        policies: Path | None,
        cluster: str,
        kubeconfig: Path | None,
        exclude: tuple[str, ...],
        own_namespace: str,
        cost_label: str,
        department_label: str,
    ) -> "Flags":
        """Check the flags against each other."""
        _cluster.check(cluster)
        directory = _cluster.policy_directory(policies, cluster)
        grouping = Grouping(cost_label, department_label)
        return cls(directory, policies is None, cluster, kubeconfig, exclude, own_namespace, grouping)


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags of a scan to a command."""
    options = [
        click.option(
            "--policies",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Policy YAML to judge by; with --cluster live, policies that are custom resources are added to it. "
            "Default: with --cluster live those alone, if there are any, else the directory policies.",
        ),
        click.option(
            "--cluster",
            default=LIVE,
            show_default=True,
            metavar="DIR|live",
            help="What to judge: a directory of Kubernetes YAML or JSON, `kubectl get -o yaml` included, or live.",
        ),
        _cluster.KUBECONFIG,
        click.option(
            "--exclude-namespaces",
            "exclude",
            multiple=True,
            metavar="GLOB",
            help="Namespaces that are never judged; may be repeated.",
        ),
        click.option(
            "--own-namespace",
            default="podgate",
            show_default=True,
            metavar="NS",
            help="Podgate's own namespace: never judged.",
        ),
        click.option(
            "--cost-label",
            default=Grouping().cost_center,
            show_default=True,
            metavar="KEY",
            help="Label of pods, else of namespaces, that names the cost-center.",
        ),
        click.option(
            "--department-label",
            default=Grouping().department,
            show_default=True,
            metavar="KEY",
            help="Label of namespaces that names the department.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def scan(title: str, flags: Flags) -> AuditReport:
    """Judge everything and add it up."""
    world = _world(flags)
    try:
        return scanning.scan(
            world,
            title=title,
            source=flags.cluster if flags.cluster != LIVE else "the live cluster",
            now=assembly.utc_now,
            excluded=(flags.namespace, *flags.exclude),
            grouping=flags.grouping,
            progress=progress,
        )
    finally:
        world.close()


def write(report: AuditReport, output: str) -> None:
    """Print the report in a format for programs, or as HTML."""
    if output == "html":
        text = as_html(report)
    elif output == "json":
        text = document.as_json(report)
    else:
        text = document.as_format(report, output)
    click.echo(text, nl=False)


def print_failures(report: AuditReport) -> None:
    """Name what could not be judged, one line each, on standard error."""
    failures = report.failures
    for each in failures[:_MOST_FAILURES]:
        where = f"{each.example}: " if each.example else ""
        what = each.what if each.times == 1 else f"{each.times} x {each.what}"
        click.echo(f"podgate: not judged: {where}{what}: {each.reason}", err=True)
    if len(failures) > _MOST_FAILURES:
        click.echo(f"podgate: and {len(failures) - _MOST_FAILURES} more; -o json names all of them", err=True)


def progress(objects: Iterable[_RawObject], size: int) -> Iterator[_RawObject]:
    """Pass the objects on, with a bar on standard error where that is a terminal."""
    shown = _terminal.console(error=True)
    if not shown.is_terminal or 0 < size < 20:
        yield from objects
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True) as bar:
        yield from bar.track(objects, total=size or None, description="Judging what runs")


def _world(flags: Flags) -> worlds.ScanInput:
    policies = _cluster.load(flags.policies) if flags.policies is not None else None
    if flags.cluster == LIVE:
        return _cluster.connect(flags.kubeconfig, policies, is_default=flags.is_default)
    if policies is None:
        raise InputError("--policies: is missing; give a directory of policy YAML")
    return worlds.of_directory(Path(flags.cluster), policies, assembly.utc_now)
