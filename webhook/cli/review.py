"""`podgate review`: what the webhook would say about manifests, before they reach a cluster."""

import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import click

from webhook import assembly
from webhook.admission.bookings import bookings
from webhook.admission.review import Environment
from webhook.admission.ruleset import Ruleset
from webhook.cli import _cluster, _review_output, _terminal
from webhook.cli._fault import InputError
from webhook.cluster.view import View
from webhook.kube import manifests
from webhook.kube.manifests import Manifest, ManifestError
from webhook.ledger.memory import MemoryLedger
from webhook.simulate import compare, report, reviewed_objects
from webhook.simulate.formats import Comparison

_REFUSED = 1
_WRONG_INPUT = 2
_TOO_DEAR = 3

_Manifests = Sequence[Manifest | ManifestError]


@click.command(
    "review",
    short_help="Judge manifests as the webhook would.",
    help="Judge FILE: manifests, lists, AdmissionReviews, a directory of them, or - for standard input.\n\n"
    "Exit status: 0 nothing refused, 1 something refused, 2 the flags are wrong or something could not be read, 3 the "
    "monthly cost rises by more than --max-cost-increase.",
)
@click.argument("file", metavar="FILE|DIR|-")
@click.option(
    "--policies",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Policy YAML to judge by; with --cluster live, policies that are custom resources are added to it. Default: "
    "with --cluster live those alone, if there are any, else the directory policies.",
)
@_cluster.with_options
@click.option(
    "--namespace", "-n", default="default", metavar="NS", show_default=True, help="Namespace of objects that name none."
)
@click.option(
    "--mode",
    type=click.Choice(["enforce", "audit"]),
    default="enforce",
    show_default=True,
    help="Cap of every policy's mode.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(_review_output.OUTPUTS),
    default="text",
    show_default=True,
    help="text for people, json for programs, yaml for the mutated objects, patch for the JSON Patch alone, sarif for "
    "code scanning, junit for build servers, markdown for a comment on a pull request.",
)
@click.option(
    "--exclude-namespaces",
    "exclude",
    multiple=True,
    metavar="GLOB",
    help="Namespaces that are never judged; may be repeated.",
)
@click.option(
    "--baseline",
    metavar="FILE|DIR",
    help="The manifests as they were: compare the monthly cost, HPAs at minimum and maximum.",
)
@click.option(
    "--max-cost-increase",
    "limit",
    metavar="SHARE|AMOUNT",
    help="Exit with 3 where the total rises by more: 5% of the baseline, or an amount such as 50.",
)
@click.option(
    "--min-increase",
    "floor",
    metavar="AMOUNT",
    help="Allow this increase in any case, so that a first small workload does not fail a share of nothing.",
)
def COMMAND(  # noqa: N802  the name by which the command line finds it
    file: str,
    policies: Path | None,
    cluster: str | None,
    kubeconfig: Path | None,
    namespace: str,
    mode: str,
    output: str,
    exclude: tuple[str, ...],
    baseline: str | None,
    limit: str | None,
    floor: str | None,
) -> None:
    with _cluster.opened(cluster, kubeconfig, policies) as world:
        rules = Ruleset(world.policies, exclude, "audit" if mode == "audit" else "enforce")
        allowed = _allowance(baseline, limit, floor, rules.prices.currency)
        found = list(read(file))
        before = _price_baseline(baseline, rules, world, namespace) if baseline is not None else None
        with world.known(found, namespace) as view:
            around = surround(rules, view)
            results, errors = _judge(found, around, namespace)
            errors = [*world.problems(found, namespace), *errors]
            comparison: Comparison | None = None
            if before is not None:
                after, unpriced = compare.price_all(
                    (item for item in found if isinstance(item, Manifest)), around, namespace
                )
                told = {(error.origin, error.what) for error in errors}
                errors += [error for error in (*before.errors, *unpriced) if (error.origin, error.what) not in told]
                comparison = compare.compare(before.prices, after, allowed)
            made = report.of_results(
                results,
                errors,
                view,
                tool="podgate review",
                currency=rules.prices.currency,
                version=metadata.version("podgate"),
                when=assembly.utc_now(),
                comparison=comparison,
            )
            if output == "sarif":
                made = report.with_lines(made)
            _review_output.show(output, _review_output.Shown(results, made))
            for error in errors:
                click.echo(f"podgate: {error}", err=True)
            if cluster is not None:
                _tell_missing(cluster, results, view)
    if errors:
        sys.exit(_WRONG_INPUT)
    if not results:
        raise InputError(f"{file}: holds no Kubernetes object; give a manifest, a list or an AdmissionReview")
    sys.exit(_status(results, comparison))


def read(file: str) -> Iterator[Manifest | ManifestError]:
    """Yield the objects of a file, a directory, or standard input.

    Raises:
        Fault: there is nothing of that name.
    """
    if file == "-":
        stream = manifests.read_stream(sys.stdin.buffer)
        try:
            yield from stream
        except ManifestError as error:
            yield error
        return
    path = Path(file)
    if not path.exists():
        raise InputError(f"{file}: does not exist; give a file, a directory, or - for standard input")
    yield from manifests.read_path(path)


def surround(rules: Ruleset, view: View) -> Environment:
    """Return what manifests are judged against: policies, cluster, the money that running pods have taken."""
    ledger = MemoryLedger(clock=assembly.utc_now)
    ledger.recount(bookings(view, rules, assembly.utc_now))
    return Environment(rules, view, ledger, assembly.utc_now)


def _judge(
    found: _Manifests, around: Environment, namespace: str
) -> tuple[list[reviewed_objects.ReviewedObject], list[ManifestError]]:
    results: list[reviewed_objects.ReviewedObject] = []
    errors: list[ManifestError] = []
    for item in reviewed_objects.judge_all(_terminal.progress(found, "Judging"), around, namespace):
        if isinstance(item, ManifestError):
            errors.append(item)
        else:
            results.append(item)
    return results, errors


def _tell_missing(cluster: str, results: Sequence[reviewed_objects.ReviewedObject], view: View) -> None:
    """Name the parts of the cluster that verdicts rest on and that nobody gave."""
    names = {item.namespace for item in results if item.decision is not None and item.namespace}
    for name in sorted(names):
        if view.namespace(name) is None:
            what = f"there is no Namespace {name}, so its objects were judged without its labels"
            where = "the live cluster" if cluster == _cluster.LIVE else cluster
            click.echo(f"podgate: note: {where}: {what}; add it, or name another with --namespace", err=True)


def _allowance(baseline: str | None, limit: str | None, floor: str | None, currency: str) -> compare.Allowance | None:
    if limit is None:
        if floor is not None:
            raise InputError("--min-increase says nothing without --max-cost-increase; give both")
        return None
    if baseline is None:
        raise InputError("--max-cost-increase needs something to compare with; give --baseline FILE|DIR")
    if baseline == "-":
        raise InputError("--baseline -: standard input is no baseline; give a file or a directory")
    try:
        return compare.allowance(limit, floor, currency)
    except ValueError as error:
        raise InputError(f"--max-cost-increase: {error}") from None


class _Before(NamedTuple):
    """The baseline."""

    prices: dict[compare.Key, compare.ComparedWorkload]
    errors: list[ManifestError]


def _price_baseline(file: str, rules: Ruleset, world: _cluster.ClusterSource, namespace: str) -> _Before:
    found = list(read(file))
    with world.known(found, namespace) as view:
        prices, unpriced = compare.price_all(found, surround(rules, view), namespace)
    return _Before(prices, [*world.problems(found, namespace), *unpriced])


def _status(results: Sequence[reviewed_objects.ReviewedObject], comparison: Comparison | None) -> int:
    if any(item.decision is not None and not item.decision.allowed for item in results):
        return _REFUSED
    return _TOO_DEAR if comparison is not None and comparison.exceeded else 0
