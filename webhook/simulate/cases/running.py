"""Judges the objects of case files by the very same review as the webhook."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import jsonpatch
import msgspec

from webhook.admission.bookings import bookings
from webhook.admission.request import API_VERSION
from webhook.admission.review import Environment
from webhook.admission.ruleset import Ruleset, check_section
from webhook.cluster.snapshot import Snapshot, SnapshotError
from webhook.kube import manifests
from webhook.kube.manifests import Manifest, ManifestError
from webhook.ledger.memory import MemoryLedger
from webhook.policy.loading import loader, yaml_documents
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyErrors, PolicyProblem
from webhook.simulate import reviewed_objects
from webhook.simulate.cases.expected import Got, differences, verdict_word
from webhook.simulate.cases.model import OneCaseModel
from webhook.simulate.cases.reading import CaseFile


class CaseError(Exception):
    """A case file that cannot be run; one line for each thing that is wrong."""


class Result(NamedTuple):
    """What came of one case."""

    file: CaseFile
    name: str
    line: int
    verdict: str
    differences: tuple[str, ...]
    """Empty where all is as expected."""
    outcomes: tuple[tuple[str, str, str, str], ...]
    """(policy, guardrail, mode, outcome) of everything that looked at the object."""


class CaseInput(NamedTuple):
    """What the cases of one file are judged by."""

    policies: PolicySet
    view: Snapshot


class Runner:
    """Runs case files; policies and clusters that several of them name are read once."""

    def __init__(self) -> None:
        self._policies: dict[bytes, PolicySet] = {}
        self._documents: dict[Path, list[dict[str, Any]]] = {}

    def world(self, file: CaseFile) -> CaseInput:
        """Return the policies and the cluster of a file.

        Raises:
            CaseError: they cannot be read.
        """
        return CaseInput(self._load_policies(file), self._view(file))

    def run(self, file: CaseFile, world: CaseInput) -> Iterator[Result]:
        """Judge all cases of a file, in their order."""
        spec = file.spec

        def now() -> datetime:
            return spec.now

        for index, case in enumerate(spec.cases):
            rules = Ruleset(world.policies, (), case.mode)
            ledger = MemoryLedger(clock=now)
            ledger.recount(bookings(world.view, rules, now))
            around = Environment(rules, world.view, ledger, now)
            line = file.line_of("spec", "cases", index)
            yield _result(file, case, line, around)

    def _load_policies(self, file: CaseFile) -> PolicySet:
        texts: list[tuple[str, str]] = []
        inline: list[tuple[str, yaml_documents.YamlDocument]] = []
        for index, source in enumerate(file.spec.policies):
            place = ("spec", "policies", index)
            if isinstance(source, str):
                texts += [(str(path), _text(path)) for path in _paths(file, place, source)]
            else:
                inline.append((str(file.path), _part(file.document, place)))
        key = msgspec.json.encode([texts, [document.value for _, document in inline]])
        known = self._policies.get(key)
        if known is None:
            try:
                known = loader.load_parts(texts, inline, check=check_section)
            except PolicyErrors as error:
                raise CaseError("\n".join(str(problem) for problem in error.problems)) from None
            self._policies[key] = known
        return known

    def _view(self, file: CaseFile) -> Snapshot:
        documents: list[dict[str, Any]] = []
        for index, source in enumerate(file.spec.cluster):
            place = ("spec", "cluster", index)
            if isinstance(source, dict):
                documents.append(source)
                continue
            for path in _paths(file, place, source):
                documents += self._read(path)
        try:
            return Snapshot.from_documents(documents)
        except SnapshotError as error:
            what = error.errors[0].partition(": ")[2] or error.errors[0]
            line = file.line_of("spec", "cluster")
            raise CaseError(str(PolicyProblem(str(file.path), line, 0, "spec.cluster", what, "Mend it."))) from None

    def _read(self, path: Path) -> list[dict[str, Any]]:
        known = self._documents.get(path)
        if known is None:
            known = []
            for item in manifests.read_path(path):
                if isinstance(item, ManifestError):
                    raise CaseError(str(item))
                known.append(item.document)
            self._documents[path] = known
        return known


def merged(target: Any, change: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return `target` with a JSON merge patch (RFC 7386) applied; neither is changed."""
    if not isinstance(change, dict):
        return deepcopy(change)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _result(file: CaseFile, case: OneCaseModel, line: int, around: Environment) -> Result:
    given = case.object if case.object is not None else merged(file.spec.object, case.change or {})
    origin = f"{file.path}:{line}"
    try:
        (item,) = reviewed_objects.judge_all(
            [_manifest(given, case, file.spec.namespace, origin)], around, file.spec.namespace
        )
    except (KeyError, TypeError, ValueError) as error:
        item = ManifestError(origin, f"the object cannot be judged: {error}")
    if isinstance(item, ManifestError):
        return Result(file, case.name, line, "unreadable", (item.what,), ())
    decision = None if item.skipped else item.decision
    got = Got(decision, item.skipped, _pod(item))
    outcomes = tuple(
        (each.policy, each.guardrail, each.mode, each.outcome)
        for each in (item.decision.outcomes if item.decision is not None else ())
    )
    return Result(file, case.name, line, verdict_word(got), tuple(differences(case.expect, got)), outcomes)


def _manifest(given: dict[str, Any], case: OneCaseModel, namespace: str, origin: str) -> Manifest:
    """Return the object as a manifest, or inside the AdmissionReview that the case asks for."""
    if not isinstance(given.get("kind"), str) or not isinstance(given.get("apiVersion"), str):
        raise ValueError("it has no apiVersion and kind")  # noqa: TRY004  it is the value of a field
    fields = case.model_fields_set
    if not fields & {"operation", "old_object", "subresource", "user", "groups"} or given["kind"] == "AdmissionReview":
        return Manifest(origin, deepcopy(given))
    kind = given["kind"]
    metadata = given.get("metadata") or {}
    group_version = str(given["apiVersion"]).rpartition("/")
    named = {"group": group_version[0], "version": group_version[2], "kind": kind}
    request = {
        "uid": "case",
        "kind": named,
        "resource": {**named, "resource": f"{kind.lower()}s"},
        "subResource": case.subresource,
        "name": metadata.get("name") or "",
        "namespace": metadata.get("namespace") or namespace,
        "operation": case.operation,
        "userInfo": {"username": case.user, "groups": list(case.groups)},
        "object": deepcopy(given),
        "oldObject": deepcopy(case.old_object),
    }
    return Manifest(origin, {"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request})


def _pod(item: reviewed_objects.ReviewedObject) -> dict[str, Any]:
    """Return the pod as it will be or would be; of a workload, the pod of its template."""
    if item.decision is None:
        return {}
    document = item.document
    if item.kind != "Pod":
        spec = document.get("spec") or {}
        template = ((spec.get("jobTemplate") or {}).get("spec") or spec).get("template") or {}
        document = {"metadata": template.get("metadata") or {}, "spec": template.get("spec") or {}}
    operations = [*item.decision.operations, *item.decision.withheld_operations]
    patch = jsonpatch.JsonPatch.from_string(msgspec.json.encode(operations).decode())
    result = patch.apply(document)
    assert isinstance(result, dict)  # noqa: S101  a patch of a pod's fields leaves a pod
    return result


def _paths(file: CaseFile, place: tuple[str | int, ...], source: str) -> Sequence[Path]:
    """Return the files that a source names, relative to the case file."""
    path = file.path.parent / source
    if path.is_dir():
        found = sorted(item for item in path.rglob("*") if item.suffix in (".yaml", ".yml") and item.is_file())
        if found:
            return found
    elif path.is_file():
        return [path]
    message = "holds no *.yaml or *.yml file" if path.is_dir() else "does not exist"
    problem = PolicyProblem(
        str(file.path), file.line_of(*place), 0, "", f"{source} {message}", f"Paths begin at {file.path.parent}."
    )
    raise CaseError(str(problem))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: cannot be read: {error}") from None


def _part(document: yaml_documents.YamlDocument, place: tuple[str | int, ...]) -> yaml_documents.YamlDocument:
    """Return a document that stands inside another one, with its positions."""
    value: Any = document.value
    for step in place:
        value = value[step]
    size = len(place)
    positions = {path[size:]: at for path, at in document.positions.items() if path[:size] == place}
    return yaml_documents.YamlDocument(value, positions)


__all__ = ["CaseError", "CaseInput", "Result", "Runner", "merged"]
