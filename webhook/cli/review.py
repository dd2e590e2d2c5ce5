"""`podgate review`: what the webhook would say about manifests, before they reach a cluster."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from webhook import assembly
from webhook.admission import recorder
from webhook.admission.bookings import bookings
from webhook.admission.decision import OutcomeName, line, said, summary
from webhook.admission.review import Surroundings
from webhook.admission.ruleset import Ruleset
from webhook.cli import _terminal
from webhook.cli._fault import Fault
from webhook.cluster.snapshot import Snapshot, SnapshotError
from webhook.kube import manifests, yaml_text
from webhook.kube.manifests import Manifest, ManifestError
from webhook.ledger.memory import MemoryLedger
from webhook.offline import judged, surroundings
from webhook.policy._problems import PolicyErrors

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)

_Results = list[judged.Judged]
_ORDER: tuple[OutcomeName, ...] = ("refused", "fault_denied", "would_refuse", "warned", "changed", "would_change")
_MARKS = {"refused": "✗", "fault_denied": "✗", "would_refuse": "✗", "warned": "!", "changed": "✎", "would_change": "✎"}


@click.command(
    "review",
    short_help="Judge manifests as the webhook would.",
    help="Judge FILE: manifests, lists, AdmissionReviews, a directory of them, or - for standard input.\n\n"
    "Exit status: 0 nothing refused, 1 something refused, 2 the input or the flags are wrong.",
)
@click.argument("file", metavar="FILE|DIR|-")
@click.option(
    "--policies", type=_DIRECTORY, default="policies", metavar="DIR", show_default=True, help="Policy YAML to judge by."
)
@click.option(
    "--cluster",
    type=_DIRECTORY,
    metavar="DIR",
    help="Kubernetes YAML of the cluster: namespaces, VPAs, HPAs, LimitRanges, running pods.",
)
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
    type=click.Choice(["text", "json", "yaml", "patch"]),
    default="text",
    show_default=True,
    help="text for people, json for programs, yaml for the mutated objects, patch for the JSON Patch alone.",
)
@click.option(
    "--exclude-namespaces",
    "exclude",
    multiple=True,
    metavar="GLOB",
    help="Namespaces that are never judged; may be repeated.",
)
def COMMAND(  # noqa: N802  the name by which the command line finds it
    file: str, policies: Path, cluster: Path | None, namespace: str, mode: str, output: str, exclude: tuple[str, ...]
) -> None:
    try:
        rules = Ruleset(assembly.load_policies(policies), exclude, "audit" if mode == "audit" else "enforce")
    except PolicyErrors as error:
        raise Fault("\n".join(str(problem) for problem in error.problems)) from None
    found = list(_read(file))
    try:
        view, errors = surroundings.view_of(found, cluster, namespace)
    except SnapshotError as error:
        raise Fault(str(error)) from None
    around = _surroundings(rules, view)
    results: _Results = []
    for item in judged.judge_all(_terminal.progress(found, "Judging"), around, namespace):
        if isinstance(item, ManifestError):
            errors.append(item)
        else:
            results.append(item)
    _OUTPUTS[output](results, rules.prices.currency)
    for broken in errors:
        click.echo(f"podgate: {broken}", err=True)
    if errors:
        sys.exit(2)
    if not results:
        raise Fault(f"{file}: holds no Kubernetes object; give a manifest, a list or an AdmissionReview")
    sys.exit(1 if any(item.decision is not None and not item.decision.allowed for item in results) else 0)


def _read(file: str) -> Iterator[Manifest | ManifestError]:
    if file == "-":
        try:
            yield from manifests.read_stream(sys.stdin.buffer)
        except ManifestError as error:
            yield error
        return
    path = Path(file)
    if not path.exists():
        raise Fault(f"{file}: does not exist; give a file, a directory, or - for standard input")
    yield from manifests.read_path(path)


def _surroundings(rules: Ruleset, view: Snapshot) -> Surroundings:
    ledger = MemoryLedger(clock=assembly.utc_now)
    ledger.recount(bookings(view, rules))
    return Surroundings(rules, view, ledger, assembly.utc_now)


# --- outputs --------------------------------------------------------------------------------------------------------


def _text(results: _Results, currency: str) -> None:
    if not results:
        return
    out = _terminal.console()
    counts: dict[str, int] = {}
    for item in results:
        word = _verdict(item)
        counts[word] = counts.get(word, 0) + 1
        if item.decision is None or item.skipped:
            continue
        style = _terminal.STYLES.get(word, "")
        cost = _terminal.cost_words(item.decision.cost, currency)
        money = f"  {cost} a month" if cost else ""
        out.print(f"[{style or 'bold'}]{word:<12}[/] ", end="", markup=True)
        out.print(f"{item.kind} {item.namespace}/{item.name or '(generated name)'}  {item.origin}{money}", markup=False)
        for row in _rows(item):
            out.print(f"    {row}", markup=False, soft_wrap=True)
    words = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    out.print(f"{len(results)} object{'' if len(results) == 1 else 's'}: {words}", markup=False)


def _verdict(item: judged.Judged) -> str:
    if item.decision is None or item.skipped:
        return "not judged"
    outcomes = {outcome.outcome for outcome in item.decision.outcomes}
    for name in _ORDER:
        if name in outcomes:
            return "refused" if name == "fault_denied" else name.replace("_", " ")
    return "passed"


def _rows(item: judged.Judged) -> Iterator[str]:
    assert item.decision is not None  # noqa: S101  the caller has looked
    decision = item.decision
    if decision.operations:
        yield f"✎ sets {summary(decision.operations)}"
    if decision.would_operations:
        whose = "its pods get" if item.kind != "Pod" else "would set"
        yield f"✎ {whose} {summary(decision.would_operations)}"
    for outcome in decision.outcomes:
        for finding in outcome.findings:
            text = said(outcome, finding)
            mark = "·" if finding.notice else _MARKS.get(outcome.outcome, "·")
            yield f"{mark} {line(outcome, finding, text)}"
        if outcome.note:
            yield f"· policy {outcome.policy}, {outcome.guardrail}: {outcome.outcome.replace('_', ' ')}, {outcome.note}"


def _json(results: _Results, currency: str) -> None:
    entries = []
    for item in results:
        if item.subject is None or item.decision is None:
            entries.append(
                {
                    "origin": item.origin,
                    "kind": item.kind,
                    "namespace": item.namespace,
                    "name": item.name,
                    "verdict": "not judged",
                    "reason": item.skipped,
                }
            )
            continue
        entry = recorder.describe("offline", "", item.subject, item.decision, currency)
        fields = json.loads(msgspec.json.encode(entry))
        del fields["decision"], fields["path"]
        entries.append({"origin": item.origin, **fields})
    click.echo(json.dumps(entries, indent=2, ensure_ascii=False, default=list))


def _yaml(results: _Results, _currency: str) -> None:
    click.echo(yaml_text.dump(item.patched() for item in results if item.document), nl=False)


def _patch(results: _Results, _currency: str) -> None:
    """One object: the bare patch, for ``kubectl patch --type json``. Several: one line each, with the object named."""
    judged_only = [item for item in results if item.decision is not None and not item.skipped]
    if len(judged_only) == 1:
        item = judged_only[0]
        click.echo(json.dumps(list(item.decision.operations) if item.decision else [], indent=2, ensure_ascii=False))
        return
    for item in judged_only:
        operations = list(item.decision.operations) if item.decision else []
        named = {"kind": item.kind, "namespace": item.namespace, "name": item.name, "patch": operations}
        click.echo(json.dumps(named, ensure_ascii=False))


_OUTPUTS = {"text": _text, "json": _json, "yaml": _yaml, "patch": _patch}
