"""Policies as custom resources: the same kinds, the same checks, one object at a time.

A directory has one author and is one transaction. Custom resources have many authors, and a malformed object of one
team must not hold up the others. So each object is judged alone: where its newest version is malformed its last good
version stays, and where there is none the object is as if it were not there. What is wrong is told by name.

Rules that hold between objects are kept by setting aside the object that breaks them, never the ones that were there
first: what the policy directory says comes before custom resources, and price lists before budgets.

What came of each object is told in its condition ``Accepted``:

==================  ===================================================================================================
``Accepted``        it is in force
``Invalid``         its newest version is malformed; replicas that saw a good version go on with that
``ShadowedByFile``  the policy directory holds an object of the same kind and name
``CurrencyClash``   its currency differs from that of the price list or of the budgets
==================  ===================================================================================================

Verdicts are for objects as they were when all was put together. Which versions these are is written down only after
the stores and the list of problems have them, and is read before; so a verdict is never given to a version that it
was not made for: at worst it is given to one that is no longer the newest, and the API server refuses to write that.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from webhook.kube import conditions
from webhook.kube.reflector import Resource
from webhook.kube.stores import Store
from webhook.kube.watch_wire import Malformed, Meta
from webhook.policy import _crds, _discovery, _loader, _policy_set
from webhook.policy._base import Model
from webhook.policy._envelope import API_VERSION, Document, Origin
from webhook.policy._policy_set import PolicySet
from webhook.policy._problems import PolicyErrors, PolicyProblem
from webhook.policy.price_list import PriceListSpec

_ANY = msgspec.json.Decoder(dict[str, Any])


CONDITION: Final = "Accepted"
"""Type of the condition."""

_ACCEPTED: Final = conditions.Condition(CONDITION, holds=True, reason="Accepted", message="In force.")
_KEPT: Final = "Replicas that saw its last good version go on with that one."
_LONGEST: Final = 1_000
"""Characters of all problems together in a message."""

_NONE: Final[Mapping[str, str]] = {}

_Identity = tuple[str, str, str]


class Combined(NamedTuple):
    """What holds, and what is wrong with the rest."""

    set: PolicySet
    problems: tuple[PolicyProblem, ...]
    refused: Mapping[_Identity, conditions.Condition]
    """The condition of every custom resource whose newest version is not in force, by kind, namespace and name."""
    changes: int
    """`ResourcePolicies.changes` before anything was read."""


class Standing(NamedTuple):
    """What a custom resource says of itself, and what it should say."""

    kind: str
    held: conditions.Held
    condition: conditions.Condition


class KindSource(Store[Document[Model]]):
    """The custom resources of one kind; a store that a reflector keeps in step."""

    def __init__(self, kind: str, check: _loader.Check | None) -> None:
        super().__init__()
        self.kind = kind
        self.resource = Resource(
            _crds.plural(kind),
            f"/apis/{API_VERSION}/{_crds.plural(kind)}",
            may_be_absent=True,
        )
        self._check = check
        self._problems: dict[str, tuple[PolicyProblem, ...]] = {}
        self._versions: dict[str, conditions.Held] = {}
        self._coming: dict[str, conditions.Held] = {}
        """Versions that are decoded and not in the store yet."""

    def decode(self, raw: msgspec.Raw, meta: Meta) -> Document[Model]:
        """Judge one object alone.

        Raises:
            Malformed: with all that is wrong with it.
        """
        name = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        try:
            document = {**_ANY.decode(raw), "apiVersion": API_VERSION, "kind": self.kind}
        except msgspec.DecodeError as error:
            raise Malformed(f"does not decode: {error}") from None
        key, held = _key(meta), conditions.held(self._path(meta), document)
        try:
            loaded = _loader.load_documents([(f"{self.kind} {name}", document)], check=self._check)
        except PolicyErrors as errors:
            if self._problems.get(key) != errors.problems:
                self._problems[key] = errors.problems
                self.changes += 1
            self._coming.pop(key, None)
            self._versions[key] = held
            raise Malformed(" ".join(str(problem) for problem in errors.problems)) from None
        self._coming[key] = held
        if self._problems.pop(key, None) is not None:
            self.changes += 1
        return loaded.documents[0]

    def replace(self, items: Mapping[str, Document[Model]], kept: frozenset[str] = frozenset()) -> None:
        """Be exactly `items`, and of what is there the keys in `kept`."""
        self._problems = {key: found for key, found in self._problems.items() if key in kept}
        super().replace(items, kept)
        versions = {**self._versions, **self._coming}
        self._coming = {}
        self._versions = {key: held for key, held in versions.items() if key in items or key in kept}

    def put(self, key: str, value: Document[Model]) -> None:
        """Add or change one object; one that says what it said before, such as after a write of its condition, is no
        change."""
        if self.items.get(key) != value:
            super().put(key, value)
        held = self._coming.pop(key, None)
        if held is not None:
            self._versions[key] = held

    def drop(self, key: str) -> None:
        """Forget one object, and what was wrong with it."""
        self._versions.pop(key, None)
        super().drop(key)
        if self._problems.pop(key, None) is not None:
            self.changes += 1

    def faults(self) -> dict[str, tuple[PolicyProblem, ...]]:
        """Return what is wrong with the newest versions, by key."""
        # The copy is one step; going through the live dictionary would meet the reflector's changes.
        return dict(self._problems)

    def versions(self) -> dict[str, conditions.Held]:
        """Return the newest versions, by key."""
        return dict(self._versions)

    def _path(self, meta: Meta) -> str:
        head, _, plural = self.resource.path.rpartition("/")
        place = f"{head}/namespaces/{meta.namespace}/{plural}" if meta.namespace else self.resource.path
        return f"{place}/{meta.name}"


class ResourcePolicies:
    """The custom resources of all policy kinds."""

    def __init__(self, check: _loader.Check | None = None) -> None:
        """Args:
        check: see `webhook.policy._loader.Check`.
        """
        self.sources = tuple(KindSource(kind, check) for kind in _discovery.kinds())

    @property
    def changes(self) -> int:
        """A number that grows with every change."""
        return sum(source.changes for source in self.sources)

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def combine(self, base: PolicySet | None = None) -> Combined:
        """Return all that holds together: the directory's set, and every object that breaks no rule with it."""
        changes = self.changes
        faults = {
            (source.kind, *_names(key)): found
            for source in self.sources
            for key, found in sorted(source.faults().items())
        }
        problems = [problem for found in faults.values() for problem in found]
        refused = {identity: _invalid(found) for identity, found in faults.items()}
        held = list(base.documents) if base is not None else []
        origins = {_identity(document): document.origin for document in held}
        found = sorted((document for source in self.sources for document in source.values()), key=_order)
        for document in found:
            clash = _clash(document, origins.get(_identity(document)), held)
            if clash is not None:
                reason, problem = clash
                problems.append(problem)
                refused.setdefault(_identity(document), _refusal(reason, (problem,)))
                continue
            held.append(document)
            origins[_identity(document)] = document.origin
        return Combined(_policy_set.assemble(held, _fingerprint(held)), tuple(problems), refused, changes)

    def standings(self, combined: Combined, remarks: Mapping[str, str] = _NONE) -> list[Standing] | None:
        """Return what every object should say of itself; None where objects have changed since `combined` was made.

        May be called from any thread.

        Args:
            combined: what holds.
            remarks: what GuardrailPolicies that are in force should say beside that, by name.
        """
        versions = [(source.kind, key, held) for source in self.sources for key, held in source.versions().items()]
        if self.changes != combined.changes:
            return None
        return [
            Standing(kind, held, combined.refused.get((kind, *_names(key))) or _accepted(kind, _names(key)[1], remarks))
            for kind, key, held in versions
        ]


def _key(meta: Meta) -> str:
    return f"{meta.namespace}/{meta.name}"


def _names(key: str) -> tuple[str, str]:
    namespace, _, name = key.partition("/")
    return namespace, name


def _accepted(kind: str, name: str, remarks: Mapping[str, str]) -> conditions.Condition:
    remark = remarks.get(name) if kind == "GuardrailPolicy" else None
    return _ACCEPTED._replace(message=f"{_ACCEPTED.message} {remark}") if remark else _ACCEPTED


def _invalid(problems: Iterable[PolicyProblem]) -> conditions.Condition:
    refusal = _refusal("Invalid", problems)
    return refusal._replace(message=f"{refusal.message} {_KEPT}")


def _refusal(reason: str, problems: Iterable[PolicyProblem]) -> conditions.Condition:
    # The object need not be told its own name.
    text = " ".join(str(problem._replace(file="")) for problem in problems)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… (see the log for the rest.)"
    return conditions.Condition(CONDITION, holds=False, reason=reason, message=text)


def _identity(document: Document[Model]) -> _Identity:
    return document.kind, document.namespace, document.name


def _order(document: Document[Model]) -> tuple[Any, ...]:
    return not isinstance(document.spec, PriceListSpec), document.kind, document.namespace, document.name


def _clash(
    document: Document[Model], twin: Origin | None, held: Iterable[Document[Model]]
) -> tuple[str, PolicyProblem] | None:
    """Say which rule between objects this one breaks, of this one, whichever of the two the rule names.

    Returns:
        The reason of its condition and the problem, or None.
    """
    here = document.origin.file
    if twin is not None:
        message, cure = f"is defined in {twin} as well", "Rename or remove one of them."
        return "ShadowedByFile", PolicyProblem(here, 0, 0, "metadata.name", message, cure)
    for clash in _policy_set.foreign_currencies([*held, document]):
        path = ".".join(clash.path)
        if clash.origin == document.origin:
            return "CurrencyClash", PolicyProblem(here, 0, 0, path, clash.message, clash.cure)
        message = f"differs from that of {clash.origin}"
        return "CurrencyClash", PolicyProblem(here, 0, 0, path, message, "Use one currency for all.")
    return None


def _fingerprint(documents: Iterable[Document[Model]]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.kind}\0{document.namespace}\0{document.name}\0".encode())
        digest.update(document.spec.model_dump_json().encode())
    return digest.hexdigest()
