"""Reads policy documents: a directory, a text, or custom resources; all of it valid, or every error of it at once.

A directory is one transaction. What this module does not know (whether a guardrail can be compiled from a section) is
asked of the caller through `SectionCheck`, and is reported with the line of that section like every other error.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from webhook.policy.loading import explain, yaml_documents
from webhook.policy.loading import files as policy_files
from webhook.policy.loading.explain import from_exception
from webhook.policy.model import discovery, envelope, policy_set
from webhook.policy.model.envelope import API_VERSION, Origin, PolicyDocument
from webhook.policy.model.policy_set import Clash, DocumentIdentity, PolicySet
from webhook.policy.model.problems import Path, PolicyErrors, PolicyProblem, render_path, shown
from webhook.policy.model.sections import Model, Section
from webhook.policy.schema import json_schema

SectionCheck = Callable[[str, Section], object]
"""Called with the YAML name of a section and the section itself; raises ValueError, or FieldError with a path."""


def load_directory(path: FilePath, *, check: SectionCheck | None = None, is_whole: bool = True) -> PolicySet:
    """Load all ``*.yaml`` and ``*.yml`` below a directory.

    Args:
        path: the directory.
        check: see `SectionCheck`.
        is_whole: whether nothing else brings policies. Money in a currency that no price list is in is wrong then;
            otherwise the price list may be among what else is brought.

    Raises:
        PolicyErrors: anything at all is wrong with any of them, or there is no policy in them.
    """
    listing = policy_files.read_directory(path)
    loading = _Loading(check)
    loading.problems.extend(listing.problems)
    for file in listing.files:
        loading.add_text(file.content, file.name)
    if not loading.identities and not loading.problems:
        loading.problems.append(
            PolicyProblem(
                str(path),
                0,
                0,
                "",
                "has no policies" if listing.files else "has no *.yaml or *.yml file",
                "Put a GuardrailPolicy there, or give another directory.",
            )
        )
    if is_whole:
        loading.refuse(policy_set.unpriced(loading.documents))
    return loading.result(listing.fingerprint)


def load_text(text: str, file: str, *, check: SectionCheck | None = None) -> PolicySet:
    """Load all documents of one text, which is called `file` in errors.

    Raises:
        PolicyErrors: anything is wrong with any of them.
    """
    loading = _Loading(check)
    loading.add_text(text, file)
    return loading.result(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def load_documents(documents: Iterable[tuple[str, Any]], *, check: SectionCheck | None = None) -> PolicySet:
    """Load documents that are parsed already, such as custom resources.

    Args:
        documents: pairs of where a document came from, as said in errors, and the document.
        check: see `SectionCheck`.

    Raises:
        PolicyErrors: anything is wrong with any of them. To let a malformed one affect itself alone, load it alone.
    """
    loading = _Loading(check)
    digest = hashlib.sha256()
    for source, value in documents:
        try:
            digest.update(json.dumps([source, value], sort_keys=True, default=str).encode())
        except (TypeError, ValueError, RecursionError):
            loading.problems.append(PolicyProblem(source, 0, 0, "", "is no plain document", "Give it as JSON."))
            continue
        loading.add(yaml_documents.YamlDocument(value, {(): yaml_documents.Position(0, 0)}), source)
    return loading.result(digest.hexdigest())


def load_parts(
    texts: Iterable[tuple[str, str]],
    documents: Iterable[tuple[str, yaml_documents.YamlDocument]],
    *,
    check: SectionCheck | None = None,
) -> PolicySet:
    """Load files and documents that stand in a file of another kind as one set.

    Args:
        texts: pairs of what a file is called in errors, and its text.
        documents: pairs of the file that a document stands in, and the document with its positions there.
        check: see `SectionCheck`.

    Raises:
        PolicyErrors: anything is wrong with any of them.
    """
    loading = _Loading(check)
    digest = hashlib.sha256()
    for name, text in texts:
        loading.add_text(text, name)
        digest.update(f"{name}\0{text}\0".encode("utf-8", "surrogatepass"))
    for name, document in documents:
        loading.add(document, name)
        digest.update(f"{name}\0{document.value!r}\0".encode("utf-8", "surrogatepass"))
    return loading.result(digest.hexdigest())


class _Loading:
    """One transaction: what was found so far."""

    def __init__(self, check: SectionCheck | None) -> None:
        self.check = check
        self.problems: list[PolicyProblem] = []
        self.places: set[tuple[str, int, int, str]] = set()
        self.identities: list[DocumentIdentity] = []
        self.documents: list[PolicyDocument[Model]] = []
        self.positions: dict[Origin, Mapping[Path, yaml_documents.Position]] = {}

    def add_text(self, text: str, file: str) -> None:
        parsed = yaml_documents.parse(text, file)
        self.problems.extend(parsed.problems)
        self.places.update(problem[:4] for problem in parsed.problems)
        for document in parsed.documents:
            self.add(document, file)

    def add(self, document: yaml_documents.YamlDocument, file: str) -> None:
        raw = document.value
        origin = self._origin(document, file)
        self.positions[origin] = document.positions
        if not isinstance(raw, dict):
            self._report(
                origin,
                (),
                f"the document must be a mapping, not {shown(raw)}",
                f"Begin with `apiVersion: {API_VERSION}`.",
            )
            return
        kind = self._kind(origin, raw)
        if kind is None:
            return
        identity = _identity(kind, raw, origin)
        if identity is not None:
            self.identities.append(identity)
        spec = self._validated(kind, raw, origin)
        if spec is not None and identity is not None:
            metadata = raw["metadata"]
            labels = metadata.get("labels") or {}
            valid = PolicyDocument(kind.name, identity.name, identity.namespace, spec, origin, labels)
            self._compile(valid)
            self.documents.append(valid)

    def refuse(self, clashes: Iterable[Clash]) -> None:
        for clash in clashes:
            self._report(clash.origin, clash.path, clash.message, clash.cure)

    def result(self, fingerprint: str) -> PolicySet:
        self.refuse(policy_set.duplicates(self.identities))
        self.refuse(policy_set.foreign_currencies(self.documents))
        self.refuse(policy_set.misplaced_prices(self.documents))
        if self.problems:
            raise PolicyErrors(self.problems)
        return policy_set.assemble(self.documents, fingerprint)

    def _origin(self, document: yaml_documents.YamlDocument, file: str) -> Origin:
        return Origin(file, document.positions[()].line)

    def _kind(self, origin: Origin, raw: Mapping[str, Any]) -> discovery.PolicyKind | None:
        version, name = raw.get("apiVersion"), raw.get("kind")
        kinds = discovery.kinds()
        listed = ", ".join(sorted(kinds))
        if name is None and version is None:
            self._report(
                origin, (), "the document has no apiVersion and no kind", f"Begin with `apiVersion: {API_VERSION}`."
            )
            return None
        if name is None:
            self._report(origin, ("kind",), "is required", f"Write one of {listed}.")
            return None
        if not isinstance(name, str) or name not in kinds:
            near = discovery.nearest(name, kinds) if isinstance(name, str) else None
            cure = f"Did you mean `{near}`?" if near else f"Only {listed} belong here; move it to another directory."
            self._report(origin, ("kind",), f"{shown(name)} is no kind of policy", cure)
            return None
        if version != API_VERSION:
            what = "is required" if version is None else f"must be {API_VERSION}, not {shown(version)}"
            self._report(origin, ("apiVersion",), what, f"Write `apiVersion: {API_VERSION}`.")
        return kinds[name]

    def _validated(self, kind: discovery.PolicyKind, raw: dict[str, Any], origin: Origin) -> Model | None:
        reported: set[Path] = set()

        def empty(path: Path) -> None:
            reported.add(path)
            is_mapping = json_schema.at(kind.name, path).get("type") == "object"
            cure = (
                "Give it a value; `{}` takes all defaults." if is_mapping else "Give it a value, or remove the field."
            )
            self._report(origin, path, "has no value", cure)

        kept = explain.without_nulls(raw, empty)
        # The apiVersion was judged above, with a wording of its own; here the spec is to be read in any case.
        reported_version = raw.get("apiVersion") != API_VERSION
        try:
            document = _parsed(kind, kept)
        except ValidationError as error:
            for path, message, cure in _faults(kind, kept, error):
                if path not in reported:
                    self._report(origin, path, message, cure)
            return None
        except (TypeError, ValueError, RecursionError):
            self._report(
                origin, (), "the document cannot be written as JSON", "Use plain text, numbers, lists and mappings."
            )
            return None
        spec: Model = getattr(document, "spec")  # noqa: B009  a field of a model that is made at run time
        return None if reported or reported_version else spec

    def _compile(self, document: PolicyDocument[Model]) -> None:
        if self.check is None:
            return
        sections: Mapping[str, Section] = getattr(document.spec, "sections", {})
        for name, section in sections.items():
            try:
                self.check(name, section)
            except ValueError as error:
                for path, message, cure in from_exception(("spec", name), error):
                    self._report(document.origin, path, message, cure)

    def _report(self, origin: Origin, path: Path, message: str, cure: str) -> None:
        positions = self.positions.get(origin, {})
        place = path
        while place and place not in positions:
            place = place[:-1]
        line, column = positions.get(place, yaml_documents.Position(origin.line, 0))
        problem = PolicyProblem(origin.file, line, column, render_path(path), message, cure)
        # What the YAML reader said about a value is the cause of whatever else is wrong with it.
        if problem[:4] not in self.places:
            self.problems.append(problem)


def _parsed(kind: discovery.PolicyKind, raw: Mapping[str, Any]) -> Model:
    text = json.dumps({**raw, "apiVersion": API_VERSION}, allow_nan=False).encode()
    return envelope.document_model(kind).model_validate_json(text)


def _faults(kind: discovery.PolicyKind, raw: Mapping[str, Any], error: ValidationError) -> list[explain.LoadFault]:
    """Explain everything that is wrong with a document, and what unknown fields hide."""
    found = list(explain.faults(kind.name, raw, error))
    known, meant = explain.beside_unknown(kind.name, raw, error)
    if known == raw:
        return found
    try:
        _parsed(kind, known)
    except ValidationError as hidden:
        # What is missing without a field that stands elsewhere, or is misspelt, is told with that field.
        for fault in explain.faults(kind.name, known, hidden):
            path = fault[0]
            is_consequence = any(path == each[: len(path)] or path[: len(each)] == each for each in meant)
            if fault not in found and not is_consequence:
                found.append(fault)
    return found


def _identity(kind: discovery.PolicyKind, raw: Mapping[str, Any], origin: Origin) -> DocumentIdentity | None:
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        return None
    name, namespace = metadata.get("name"), metadata.get("namespace", "")
    if not isinstance(name, str) or not isinstance(namespace, str):
        return None
    return DocumentIdentity(kind.name, namespace if kind.namespaced else "", name, origin)
