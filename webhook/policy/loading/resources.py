"""Policies as custom resources: the same kinds, the same checks, one object at a time.

A directory has one author and is one transaction. Custom resources have many authors, and a malformed object of one
team must not hold up the others. So each object is judged alone: its valid sections hold, and what is malformed stays
as it last was (see `webhook.policy.loading.versions`); so does an object that breaks a rule between objects (see
`webhook.policy.loading.clashes`). What is wrong is told by name.

What came of the newest version of each object is told in its condition ``Accepted``:

==================  ===================================================================================================
``Accepted``        it is in force
``Invalid``         something in it is malformed; the message says what, and what is in force
``ShadowedByFile``  the policy directory holds an object of the same kind and name
``CurrencyClash``   its currency differs from that of the price list or of the budgets
``PriceListClash``  it says something that only the price list ``default`` may say, or may not say, or it would take
                    other objects out of force
``NoPrices``        its currency is not that of the built-in prices, and there is no price list ``default``
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
from webhook.policy.loading import clashes, loader, versions
from webhook.policy.loading.clashes import ObjectKey, ValidVersion
from webhook.policy.loading.versions import JudgedVersion, Version
from webhook.policy.model import discovery, policy_set
from webhook.policy.model.envelope import API_VERSION, PolicyDocument
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyProblem
from webhook.policy.model.sections import Model
from webhook.policy.schema import crds

_ANY = msgspec.json.Decoder(dict[str, Any])


CONDITION: Final = "Accepted"
"""Type of the condition."""

_ACCEPTED: Final = conditions.Condition(CONDITION, holds=True, reason="Accepted", message="In force.")
_LONGEST: Final = 1_000
"""Characters of all problems together in a message."""

_TOO_LONG: Final = (
    f"It is longer than {versions.MAX_TEXT // 1024} KiB, so replicas that start after a malformed edit will not know "
    "it. Split it."
)
_NONE: Final[Mapping[str, str]] = {}


class Combined(NamedTuple):
    """What holds, and what is wrong with the rest."""

    set: PolicySet
    problems: tuple[PolicyProblem, ...]
    refused: Mapping[ObjectKey, conditions.Condition]
    """The condition of every custom resource whose newest version is not in force, by kind, namespace and name."""
    versions: Mapping[ObjectKey, Version]
    """What every custom resource that is in force was taken from."""
    changes: int
    """`ResourcePolicies.changes` before anything was read."""


class Standing(NamedTuple):
    """What a custom resource says of itself, and what it should say."""

    kind: str
    held: conditions.Held
    condition: conditions.Condition
    is_in_force: bool = True
    """Whether some version of it is, be it the newest or not."""
    status: Mapping[str, Any] = _NONE
    """What else should be in its status."""

    @property
    def is_told(self) -> bool:
        """Whether the object says all of it already."""
        is_kept = all(self.held.status.get(name) == value for name, value in self.status.items())
        return is_kept and conditions.says(self.held, self.condition)


class StoredPolicy(NamedTuple):
    """One object: as it is, and what came of it by itself."""

    held: conditions.Held
    raw: Mapping[str, Any]
    judged: JudgedVersion

    @property
    def told(self) -> Version | None:
        """What the leader wrote down as in force."""
        return versions.written(self.held.status)

    def differs(self, other: "StoredPolicy | None") -> bool:
        """Whether anything has changed that verdicts depend on; a write of what is in force changes nothing."""
        if other is None or self.judged != other.judged:
            return True
        return self.told != other.told and self.told != self.judged.version


class KindSource(Store[StoredPolicy]):
    """The custom resources of one kind; a store that a reflector keeps in step."""

    def __init__(self, kind: str, check: loader.SectionCheck | None) -> None:
        super().__init__()
        self.kind = kind
        self.resource = Resource(
            crds.plural(kind),
            f"/apis/{API_VERSION}/{crds.plural(kind)}",
            may_be_absent=True,
        )
        self._check = check

    def decode(self, raw: msgspec.Raw, meta: Meta) -> StoredPolicy:
        """Judge one object alone; what is wrong with it as a policy is part of what is returned.

        Raises:
            Malformed: it is no object.
        """
        try:
            document = _ANY.decode(raw)
        except msgspec.DecodeError as error:
            raise Malformed(f"does not decode: {error}") from None
        name = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        held = conditions.read_conditions(self._path(meta), document)
        # What else is in the metadata is the API server's business.
        own = {"name": meta.name, **({"namespace": meta.namespace} if meta.namespace else {})}
        labels = (document.get("metadata") or {}).get("labels")
        content = {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "metadata": {**own, "labels": labels} if labels else own,
            **({"spec": document["spec"]} if "spec" in document else {}),
        }
        lasts = self._lasts(f"{meta.namespace}/{meta.name}", held)
        return StoredPolicy(
            held, content, versions.judge(f"{self.kind} {name}", content, held.generation, lasts, self._check)
        )

    def put(self, key: str, value: StoredPolicy) -> None:
        """Add or change one object; one that says what it said before, such as after a write of its condition, is no
        change."""
        if value.differs(self.items.get(key)):
            super().put(key, value)
        else:
            self.items[key] = value

    def faults(self) -> dict[str, tuple[PolicyProblem, ...]]:
        """Return what is wrong with the newest versions, by key."""
        # The copy is one step; going through the live dictionary would meet the reflector's changes.
        return {key: kept.judged.problems for key, kept in dict(self.items).items() if kept.judged.problems}

    def _lasts(self, key: str, held: conditions.Held) -> tuple[Version | None, ...]:
        """Return what was in force before, the most believed first: what the leader wrote of this very version, so that
        all replicas answer alike; before it did, the newest that is known."""
        before = self.items.get(key)
        seen = before.judged.version if before is not None and before.held.uid == held.uid else None
        told = versions.written(held.status)
        return (told, seen) if is_believed(held, told, seen) else (seen, told)

    def _path(self, meta: Meta) -> str:
        head, _, plural = self.resource.path.rpartition("/")
        place = f"{head}/namespaces/{meta.namespace}/{plural}" if meta.namespace else self.resource.path
        return f"{place}/{meta.name}"


def is_believed(held: conditions.Held, told: Version | None, seen: Version | None) -> bool:
    """Whether what is written down comes before what this process remembers."""
    if told is None or seen is None:
        return told is not None
    return conditions.is_judged(held, CONDITION) or told.generation >= seen.generation


class ResourcePolicies:
    """The custom resources of all policy kinds."""

    def __init__(self, check: loader.SectionCheck | None = None) -> None:
        """Args:
        check: see `webhook.policy.loading.loader.SectionCheck`.
        """
        self.sources = tuple(KindSource(kind, check) for kind in discovery.kinds())
        self._check = check
        self._last: dict[ObjectKey, tuple[str, Version]] = {}
        """What was in force at last, with the UID of the object."""

    @property
    def changes(self) -> int:
        """A number that grows with every change."""
        return sum(source.changes for source in self.sources)

    def __len__(self) -> int:
        """Return how many objects have a version that is valid by itself."""
        return sum(kept.judged.document is not None for source in self.sources for kept in source.values())

    def combine(self, base: PolicySet | None = None) -> Combined:
        """Return all that holds together: the directory's set, and of every object what breaks no rule with it."""
        changes = self.changes
        objects = self._objects()
        files = list(base.documents) if base is not None else []
        settled = clashes.settle(files, {key: self._candidates(key, kept) for key, kept in objects.items()})
        self._last = {key: (objects[key].held.uid, version) for key, version in settled.versions.items()}
        problems: list[PolicyProblem] = []
        refused: dict[ObjectKey, conditions.Condition] = {}
        for key, kept in objects.items():
            judged = kept.judged._replace(version=settled.versions.get(key))
            if judged.problems:
                standing = judged.standing()
                refused[key] = _refusal("Invalid", judged.problems, standing)
                *others, last = judged.problems
                problems += [*others, last._replace(cure=f"{last.cure} {standing}".strip())]
            elif key in settled.refusals:
                reason, problem = settled.refusals[key]
                problems.append(problem)
                is_other = key in settled.versions
                refused[key] = _refusal(reason, (problem,), judged.standing() if is_other else "")
        held = settled.documents
        # Files may bring budgets in the currency of a price list that is a custom resource, and is not there.
        for stranded in list(policy_set.unpriced(held)):
            document = next(each for each in held if each.origin == stranded.origin)
            held.remove(document)
            path = ".".join(stranded.path)
            problems.append(PolicyProblem(*document.origin, 0, path, stranded.message, stranded.cure))
        assembled = policy_set.assemble(held, _fingerprint(held))
        return Combined(assembled, tuple(problems), refused, settled.versions, changes)

    def standings(self, combined: Combined, remarks: Mapping[str, str] = _NONE) -> list[Standing] | None:
        """Return what every object should say of itself; None where objects have changed since `combined` was made.

        May be called from any thread.

        Args:
            combined: what holds.
            remarks: what GuardrailPolicies that are in force should say beside that, by name.
        """
        objects = self._objects()
        if self.changes != combined.changes:
            return None
        return [_standing(key, kept, combined, remarks) for key, kept in objects.items()]

    def _objects(self) -> dict[ObjectKey, StoredPolicy]:
        found = ((source, key, kept) for source in self.sources for key, kept in dict(source.items).items())
        return {(source.kind, *_names(key)): kept for source, key, kept in sorted(found, key=lambda each: each[1])}

    def _candidates(self, key: ObjectKey, kept: StoredPolicy) -> list[ValidVersion]:
        """Return the versions of an object that may hold, the newest first."""
        judged = kept.judged
        found = [ValidVersion(judged.document, judged.version)] if judged.document is not None else []
        uid, last = self._last.get(key, ("", None))
        seen, told = last if uid == kept.held.uid else None, kept.told
        other = told if is_believed(kept.held, told, seen) else seen
        if other is not None and (judged.version is None or other.spec != judged.version.spec):
            source = f"{key[0]} {key[1]}/{key[2]}" if key[1] else f"{key[0]} {key[2]}"
            document, _ = versions.load(source, {**kept.raw, "spec": other.spec}, self._check)
            found += [ValidVersion(document, other)] if document is not None else []
        return found


def _standing(key: ObjectKey, kept: StoredPolicy, combined: Combined, remarks: Mapping[str, str]) -> Standing:
    kind, _, name = key
    version = combined.versions.get(key)
    condition = combined.refused.get(key) or _accepted(kind, name, remarks)
    # What a file shadows now may hold one day, and should be known to all replicas then.
    lasting = version or (kept.judged.version if condition.reason == "ShadowedByFile" else None)
    status = lasting.status() if lasting is not None else None
    if lasting is not None and status is None:
        condition = condition._replace(message=f"{condition.message} {_TOO_LONG}")
    return Standing(kind, kept.held, condition, version is not None, {versions.FIELD: status} if status else _NONE)


def _names(key: str) -> tuple[str, str]:
    namespace, _, name = key.partition("/")
    return namespace, name


def _accepted(kind: str, name: str, remarks: Mapping[str, str]) -> conditions.Condition:
    remark = remarks.get(name) if kind == "GuardrailPolicy" else None
    return _ACCEPTED._replace(message=f"{_ACCEPTED.message} {remark}") if remark else _ACCEPTED


def _refusal(reason: str, problems: Iterable[PolicyProblem], standing: str) -> conditions.Condition:
    # The object need not be told its own name.
    text = " ".join(str(problem._replace(file="")) for problem in problems)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… (see the log for the rest.)"
    return conditions.Condition(CONDITION, holds=False, reason=reason, message=f"{text} {standing}".strip())


def _fingerprint(documents: Iterable[PolicyDocument[Model]]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.kind}\0{document.namespace}\0{document.name}\0".encode())
        digest.update(document.spec.model_dump_json().encode())
    return digest.hexdigest()
