"""Policies as custom resources: the same kinds, the same checks, one object at a time.

A directory has one author and is one transaction. Custom resources have many authors, and a malformed object of one
team must not hold up the others. So each object is judged alone: where its newest version is malformed its last good
version stays, and where there is none the object is as if it were not there. What is wrong is told by name.

Rules that hold between objects are kept by setting aside the object that breaks them, never the ones that were there
first: what the policy directory says comes before custom resources, and price lists before budgets.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

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


class Combined(NamedTuple):
    """What holds, and what is wrong with the rest."""

    set: PolicySet
    problems: tuple[PolicyProblem, ...]


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

    def decode(self, raw: msgspec.Raw, meta: Meta) -> Document[Model]:
        """Judge one object alone.

        Raises:
            Malformed: with all that is wrong with it.
        """
        name = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        try:
            document = {**_ANY.decode(raw), "apiVersion": API_VERSION, "kind": self.kind}
            loaded = _loader.load_documents([(f"{self.kind} {name}", document)], check=self._check)
        except PolicyErrors as errors:
            self._problems[_key(meta)] = errors.problems
            self.changes += 1
            raise Malformed(" ".join(str(problem) for problem in errors.problems)) from None
        except msgspec.DecodeError as error:
            raise Malformed(f"does not decode: {error}") from None
        if self._problems.pop(_key(meta), None) is not None:
            self.changes += 1
        return loaded.documents[0]

    def replace(self, items: Mapping[str, Document[Model]], kept: frozenset[str] = frozenset()) -> None:
        """Be exactly `items`, and of what is there the keys in `kept`."""
        super().replace(items, kept)
        self._problems = {key: found for key, found in self._problems.items() if key in kept}

    def drop(self, key: str) -> None:
        """Forget one object, and what was wrong with it."""
        super().drop(key)
        if self._problems.pop(key, None) is not None:
            self.changes += 1

    def problems(self) -> list[PolicyProblem]:
        """Return what is wrong with the newest versions."""
        # The copy is one step; sorting the live dictionary would meet the reflector's changes.
        current = dict(self._problems)
        return [problem for key in sorted(current) for problem in current[key]]


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
        problems = [problem for source in self.sources for problem in source.problems()]
        held = list(base.documents) if base is not None else []
        origins = {_identity(document): document.origin for document in held}
        found = sorted((document for source in self.sources for document in source.values()), key=_order)
        for document in found:
            clash = _clash(document, origins.get(_identity(document)), held)
            if clash is not None:
                problems.append(clash)
                continue
            held.append(document)
            origins[_identity(document)] = document.origin
        return Combined(_policy_set.assemble(held, _fingerprint(held)), tuple(problems))


def _key(meta: Meta) -> str:
    return f"{meta.namespace}/{meta.name}"


def _identity(document: Document[Model]) -> tuple[str, str, str]:
    return document.kind, document.namespace, document.name


def _order(document: Document[Model]) -> tuple[Any, ...]:
    return not isinstance(document.spec, PriceListSpec), document.kind, document.namespace, document.name


def _clash(document: Document[Model], twin: Origin | None, held: Iterable[Document[Model]]) -> PolicyProblem | None:
    """Say which rule between objects this one breaks, of this one, whichever of the two the rule names."""
    here = document.origin.file
    if twin is not None:
        return PolicyProblem(
            here, 0, 0, "metadata.name", f"is defined in {twin} as well", "Rename or remove one of them."
        )
    for clash in _policy_set.foreign_currencies([*held, document]):
        path = ".".join(clash.path)
        if clash.origin == document.origin:
            return PolicyProblem(here, 0, 0, path, clash.message, clash.cure)
        return PolicyProblem(here, 0, 0, path, f"differs from that of {clash.origin}", "Use one currency for all.")
    return None


def _fingerprint(documents: Iterable[Document[Model]]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.kind}\0{document.namespace}\0{document.name}\0".encode())
        digest.update(document.spec.model_dump_json().encode())
    return digest.hexdigest()
