"""`podgate lint`: what is valid in policies and yet not meant."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from webhook import assembly
from webhook.admission.decision import Decision
from webhook.admission.ruleset import Ruleset
from webhook.cli import _terminal, review
from webhook.cli._fault import Fault
from webhook.cluster.snapshot import Snapshot, SnapshotError
from webhook.kube import manifests
from webhook.kube.manifests import Manifest
from webhook.offline import judged, lint
from webhook.offline.formats import Item, Report, Told, sarif
from webhook.policy._envelope import Document
from webhook.policy._policy_set import PolicySet
from webhook.policy._problems import PolicyErrors
from webhook.policy.policy_exception import PolicyExceptionSpec

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_FOUND = 1

_STYLES = {"error": "bold red", "warning": "yellow"}


@click.command(
    "lint",
    short_help="Find policies that are valid and yet not meant.",
    help="Find policies that never match, hide each other or would stop a cluster, exceptions that have no effect, and "
    "budgets without prices. With --cluster also what matches or excuses nothing that is there.\n\n"
    "Exit status: 0 no errors, 1 errors (with --strict also warnings), 2 the policies cannot be loaded.",
)
@click.argument("policies", type=_DIRECTORY, default="policies", metavar="[DIR]")
@click.option("--cluster", type=_DIRECTORY, metavar="DIR", help="Kubernetes YAML of the cluster.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="text for people, json for programs, sarif for code scanning.",
)
def COMMAND(policies: Path, cluster: Path | None, strict: bool, output: str) -> None:  # noqa: N802
    try:
        loaded = assembly.load_policies(policies)
        known = _cluster(loaded, cluster) if cluster is not None else None
    except PolicyErrors as error:
        raise Fault("\n".join(str(problem) for problem in error.problems)) from None
    except SnapshotError as error:
        raise Fault(str(error)) from None
    found = lint.lint(loaded, assembly.utc_now(), known)
    _OUTPUTS[output](found)
    sys.exit(_FOUND if any(strict or remark.weight == "error" for remark in found) else 0)


def _cluster(policies: PolicySet, directory: Path) -> lint.Cluster:
    view = Snapshot.from_directory(directory)
    found = [item for item in manifests.read_path(directory) if isinstance(item, Manifest)]
    names = {str(item.document["metadata"]["name"]) for item in found if item.document["kind"] == "Namespace"}
    rules = Ruleset(policies)
    kept: dict[str, list[Manifest]] = {}
    for item in found:
        kept.setdefault(str((item.document.get("metadata") or {}).get("namespace") or "default"), []).append(item)

    def is_used(item: Document[PolicyExceptionSpec]) -> bool:
        """Compare the verdicts with and without it."""
        objects = kept.get(item.namespace, [])
        without = lint.rules_without(policies, item)
        return _outcomes(objects, view, rules) != _outcomes(objects, view, without)

    return lint.Cluster(view, sorted(names), is_used)


def _outcomes(objects: Sequence[Manifest], view: Snapshot, rules: Ruleset) -> list[object]:
    results = judged.judge_all(objects, review.surround(rules, view), "default")
    return [_told(item.decision) for item in results if isinstance(item, judged.Judged)]


def _told(decision: Decision | None) -> object:
    """Return what was said of an object, without the exceptions that spoke for it."""
    if decision is None:
        return None
    return [
        (item.policy, item.guardrail, "passed" if item.outcome == "exempt" else item.outcome, item.findings)
        for item in decision.outcomes
    ]


def _text(found: Sequence[lint.Remark]) -> None:
    out = _terminal.console()
    for remark in found:
        style = _STYLES[remark.weight]
        out.print(f"{remark.origin}: ", end="", markup=False, soft_wrap=True)
        out.print(f"[{style}]{remark.weight}[/]: ", end="")
        text = f"{remark.what} {remark.text}; to fix: {remark.cure} ({remark.rule})"
        out.print(text, markup=False, soft_wrap=True)
    errors = sum(1 for remark in found if remark.weight == "error")
    warnings = len(found) - errors
    out.print(
        f"{errors} error{'' if errors == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}", markup=False
    )


def _json(found: Sequence[lint.Remark]) -> None:
    entries = [
        {
            "file": remark.origin.file,
            "line": remark.origin.line,
            "rule": remark.rule,
            "level": remark.weight,
            "document": remark.what,
            "message": remark.text,
            "cure": remark.cure,
        }
        for remark in found
    ]
    click.echo(json.dumps(entries, indent=2, ensure_ascii=False))


def _sarif(found: Sequence[lint.Remark]) -> None:
    items = []
    for remark in found:
        kind, _, name = remark.what.partition(" ")
        told = Told(name, "lint", remark.rule, remark.weight, remark.text, remark.cure)
        items.append(
            Item(kind, "", name, "warned", (told,), file=remark.origin.file, line=remark.origin.line, counted=False)
        )
    click.echo(sarif(Report("podgate lint", "", items)), nl=False)


_OUTPUTS: dict[str, Callable[[Sequence[lint.Remark]], None]] = {"text": _text, "json": _json, "sarif": _sarif}
