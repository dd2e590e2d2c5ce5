"""`podgate lint`: what is valid in policies and yet not meant."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from webhook import assembly
from webhook.admission.decision import Decision
from webhook.admission.ruleset import Ruleset
from webhook.cli import _cluster, _terminal, review
from webhook.cluster.view import View
from webhook.kube.manifests import Manifest
from webhook.policy.model.envelope import PolicyDocument
from webhook.policy.policy_exception import PolicyExceptionSpec
from webhook.pricing.unpriced import kind_of
from webhook.simulate import lint, reviewed_objects
from webhook.simulate.formats import ResultFinding, ResultItem, RunReport, sarif

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_FOUND = 1
_UNREAD = 2

_STYLES = {"error": "bold red", "warning": "yellow"}


@click.command(
    "lint",
    short_help="Find policies that are valid and yet not meant.",
    help="Find policies that never match, hide each other or would stop a cluster, exceptions that have no effect, and "
    "budgets without prices. With --cluster also what matches or excuses nothing that is there.\n\n"
    "Exit status: 0 no errors, 1 errors (with --strict also warnings), 2 the policies cannot be loaded, or something "
    "of the cluster cannot be read.",
)
@click.argument("policies", type=_DIRECTORY, default="policies", metavar="[DIR]")
@_cluster.with_options
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="text for people, json for programs, sarif for code scanning.",
)
def COMMAND(  # noqa: N802  the name by which the command line finds it
    policies: Path, cluster: str | None, kubeconfig: Path | None, strict: bool, output: str
) -> None:
    with _cluster.opened(cluster, kubeconfig, policies) as world, world.known((), "default") as view:
        known = _known(world, view) if cluster is not None else None
        found = lint.lint(world.policies, assembly.utc_now(), known)
        problems = world.problems((), "default")
    _OUTPUTS[output](found)
    for problem in problems:
        click.echo(f"podgate: {problem}", err=True)
    if problems:
        sys.exit(_UNREAD)
    sys.exit(_FOUND if any(strict or remark.weight == "error" for remark in found) else 0)


def _known(world: _cluster.ClusterSource, view: View) -> lint.LintCluster:
    policies = world.policies
    rules = Ruleset(policies)
    kept: dict[str, list[Manifest]] = {}
    for item in world.objects():
        if isinstance(item, Manifest):
            kept.setdefault(str((item.document.get("metadata") or {}).get("namespace") or "default"), []).append(item)

    def is_used(item: PolicyDocument[PolicyExceptionSpec]) -> bool:
        """Compare the verdicts with and without it."""
        objects = kept.get(item.namespace, [])
        without = lint.rules_without(policies, item)
        return _outcomes(objects, view, rules) != _outcomes(objects, view, without)

    return lint.LintCluster(view, world.namespaces(), is_used, _unpriced(kept.values(), view, rules))


def _unpriced(kept: Iterable[Sequence[Manifest]], view: View, rules: Ruleset) -> dict[str, str]:
    """Return the resources without a price, each with an object that asks for it."""
    found: dict[str, str] = {}
    for objects in kept:
        for item in reviewed_objects.judge_all(objects, review.surround(rules, view), "default"):
            decision = item.decision if isinstance(item, reviewed_objects.ReviewedObject) else None
            if isinstance(item, reviewed_objects.ReviewedObject) and decision is not None and decision.cost is not None:
                for kind in filter(None, map(kind_of, decision.cost.unpriced)):
                    found.setdefault(kind, f"{item.kind} {item.namespace}/{item.name}")
    return found


def _outcomes(objects: Sequence[Manifest], view: View, rules: Ruleset) -> list[object]:
    results = reviewed_objects.judge_all(objects, review.surround(rules, view), "default")
    return [_told(item.decision) for item in results if isinstance(item, reviewed_objects.ReviewedObject)]


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
        told = ResultFinding(name, "lint", remark.rule, remark.weight, remark.text, remark.cure)
        items.append(
            ResultItem(
                kind, "", name, "warned", (told,), file=remark.origin.file, line=remark.origin.line, counted=False
            )
        )
    click.echo(sarif(RunReport("podgate lint", "", items)), nl=False)


_OUTPUTS: dict[str, Callable[[Sequence[lint.Remark]], None]] = {"text": _text, "json": _json, "sarif": _sarif}
