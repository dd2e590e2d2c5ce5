"""`podgate exceptions`: dated, owned excuses from guardrails."""

import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import click
import msgspec

from webhook import assembly
from webhook.admission import subject as subjects
from webhook.admission.request import BadReview
from webhook.admission.ruleset import Ruleset
from webhook.admission.subject import Subject
from webhook.cli import _cluster, _terminal, review
from webhook.cli._fault import InputError
from webhook.cluster.view import View
from webhook.kube import yaml_text
from webhook.kube.manifests import Manifest, ManifestError
from webhook.kube.type_errors import explain
from webhook.policy.model.problems import PolicyErrors
from webhook.simulate import compare, exception_drafts, reviewed_objects

_LEFT = 1
_WRONG_INPUT = 2


@click.group("exceptions", short_help="Draft PolicyExceptions.")
def COMMAND() -> None:  # noqa: N802  the name by which the command line finds it
    """Draft PolicyExceptions for what fails now."""


@COMMAND.command(
    "draft",
    short_help="Write PolicyExceptions for what fails now.",
    help="Write PolicyExceptions for the objects of FILE that fail, or for what --cluster holds where no FILE is "
    "given, as YAML to standard output. Each is as narrow as it can be, and is tried before it is written.\n\n"
    "Exit status: 0 nothing fails any more, 1 something still does, 2 the input or the flags are wrong.",
)
@click.argument("file", required=False, metavar="[FILE|DIR|-]")
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
@click.option("--owner", required=True, metavar="WHO", help="Who answers for the exceptions: an address or a team.")
@click.option("--expires", metavar="DATE", help="Last day of the exceptions, as YYYY-MM-DD.")
@click.option("--days", type=click.IntRange(1, 3650), metavar="N", help="The same, in days from today.")
@click.option("--reason", default="", metavar="TEXT", help="Why they are needed; without it, what fails is said.")
@click.option(
    "--exclude-namespaces", "exclude", multiple=True, metavar="GLOB", help="Namespaces that are never judged."
)
def _draft(
    file: str | None,
    policies: Path | None,
    cluster: str | None,
    kubeconfig: Path | None,
    namespace: str,
    owner: str,
    expires: str | None,
    days: int | None,
    reason: str,
    exclude: tuple[str, ...],
) -> None:
    if file is None and cluster is None:
        raise InputError("nothing to judge; give FILE, a directory, - for standard input, or --cluster DIR|live")
    terms = exception_drafts.ExceptionTerms(owner, _end(expires, days), reason)
    try:
        exception_drafts.check_terms(terms)
    except PolicyErrors as error:
        raise InputError("\n".join(f"{each.path}: {each.message}. {each.cure}" for each in error.problems)) from None
    with _cluster.opened(cluster, kubeconfig, policies) as world:
        rules = Ruleset(world.policies, exclude)
        found = list(review.read(file) if file is not None else world.objects())
        # What the cluster itself holds is known already, and is not brought to it.
        brought = found if file is not None else []
        errors = world.problems(brought, namespace)
        candidates: list[exception_drafts.ExceptionCandidate] = []
        with world.known(brought, namespace) as view:
            for item in _terminal.progress(found, "Judging"):
                if isinstance(item, ManifestError):
                    errors += [item] if file is not None else []
                    continue
                try:
                    candidates += _candidates(item, view, namespace)
                except msgspec.ValidationError as error:
                    told = explain(error, item.document, item.origin)
                    errors.append(ManifestError(item.origin, f"cannot be judged: {told}"))
                except (BadReview, RecursionError) as error:
                    errors.append(
                        ManifestError(item.origin, f"cannot be judged: {str(error).splitlines()[0]}; mend it")
                    )
            drafted = exception_drafts.draft(candidates, world.policies, review.surround(rules, view), exclude, terms)
    text = yaml_text.dump(drafted.documents) if drafted.documents else ""
    exception_drafts.load(text)
    click.echo(text, nl=False)
    for line in (*drafted.left, *errors):
        click.echo(f"podgate: {line}", err=True)
    if errors:
        sys.exit(_WRONG_INPUT)
    sys.exit(_LEFT if drafted.left else 0)


def _end(expires: str | None, days: int | None) -> date:
    today = assembly.utc_now().date()
    if (expires is None) == (days is None):
        raise InputError("an exception has one end; give --expires YYYY-MM-DD or --days N")
    if days is not None:
        return today + timedelta(days=days)
    try:
        last = date.fromisoformat(expires or "")
    except ValueError:
        raise InputError(f"--expires {expires}: is no date; write it as YYYY-MM-DD") from None
    if last < today:
        raise InputError(f"--expires {expires}: has passed; give a day from {today.isoformat()} on")
    return last


def _candidates(item: Manifest, view: View, namespace: str) -> Iterator[exception_drafts.ExceptionCandidate]:
    """Yield the object where it is judged; a pod whose workload is known is spoken for by that."""
    what = reviewed_objects.asked(item, namespace)
    make = _maker(what, view)
    if make is None:
        return
    subject = make()
    owner = compare.owner_of(subject, view)
    if owner is not None and view.workload(owner[1], owner[0], owner[2]) is not None:
        return
    makes = [make]
    if subject.scale is not None:
        pod = _maker(reviewed_objects.asked(_pod_of(item, subject), namespace), view)
        makes += [pod] if pod is not None else []
    yield exception_drafts.ExceptionCandidate(item.origin, subject.kind, subject.namespace, subject.name, tuple(makes))


def _maker(what: reviewed_objects.ReviewRequest, view: View) -> Callable[[], Subject] | None:
    make = what.make
    if make is None or isinstance(subjects.of(make(), view), str):
        return None

    def subject() -> Subject:
        made = subjects.of(make(), view)
        assert not isinstance(made, str)  # noqa: S101  the same request was a subject before
        return made

    return subject


def _pod_of(item: Manifest, subject: Subject) -> Manifest:
    """Return a pod as the workload's controller would create it."""
    spec = item.document.get("spec") or {}
    template = ((spec.get("jobTemplate") or {}).get("spec") or spec).get("template") or {}
    owner = {"apiVersion": item.document["apiVersion"], "kind": subject.kind, "name": subject.name, "controller": True}
    metadata = {
        **(template.get("metadata") or {}),
        "generateName": f"{subject.name}-",
        "namespace": subject.namespace,
        "ownerReferences": [owner],
    }
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec") or {}}
    return Manifest(item.origin, document)
