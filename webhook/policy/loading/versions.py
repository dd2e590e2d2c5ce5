"""What of a custom resource is in force where its newest version is malformed, and how that is written down.

The sections of a GuardrailPolicy do not depend on each other, so those that are valid hold, and a malformed one stays
as it last was. What is said of the policy as a whole (``mode``, ``match``, ``exceptions``, ``priority``) says whom each
section is for: where that is malformed, the whole last version stays. A field that nobody knows may be a misspelt one,
so what is missing beside it counts as malformed rather than as removed. Other kinds are one piece.

What is in force is written into the object's own status by the leader (``status.lastAccepted``), where every replica
reads it by the watch that it has already, however late it starts. So a version that was in force outlives the processes
that saw it. Whoever may write the status of policies may say what malformed sections fall back to, so that right is for
Podgate alone.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from webhook.policy.guardrail_policy import KIND as GUARDRAIL_POLICY
from webhook.policy.loading import loader
from webhook.policy.model import discovery
from webhook.policy.model.envelope import PolicyDocument
from webhook.policy.model.problems import PolicyErrors, PolicyProblem
from webhook.policy.model.sections import Model
from webhook.policy.schema import json_schema

FIELD: Final = "lastAccepted"
"""Of the status."""
MAX_TEXT: Final = 512 * 1024
"""Longest spec that is written down, in characters; with the spec itself it fits into one object of etcd."""

_FIELD_OF_SPEC: Final = re.compile(r"spec\.([A-Za-z_][A-Za-z0-9_-]*)")
_UNNAMED: Final = 'spec["'
"""Begins the path of a field whose name no field can have."""
_AS_A_WHOLE: Final = ""


class Version(NamedTuple):
    """A spec that is in force, and the generations of the object that it was taken from."""

    spec: Mapping[str, Any]
    generation: int
    """Of all but the sections that are named below."""
    older: Mapping[str, int]
    """Generations of the sections that are older."""

    def of(self, section: str) -> int:
        """Return the generation of a section."""
        return self.older.get(section, self.generation)

    def status(self) -> dict[str, Any] | None:
        """Return what is written down; None where it is too long."""
        text = json.dumps(self.spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if len(text) > MAX_TEXT:
            return None
        older = [{"name": name, "generation": generation} for name, generation in sorted(self.older.items())]
        return {"generation": self.generation, "olderSections": older, "spec": text}


class JudgedVersion(NamedTuple):
    """What came of the newest version of an object."""

    document: PolicyDocument[Model] | None
    """What is in force; None where nothing is."""
    version: Version | None
    """Where that came from."""
    problems: tuple[PolicyProblem, ...]
    """All that is wrong with the newest version."""
    idle: tuple[str, ...] = ()
    """Sections that do nothing, because they never had a valid version."""

    def standing(self) -> str:
        """Say what is in force, for whoever made the newest version; a sentence or two."""
        if self.version is None:
            return "Nothing of it is in force, for no valid version is known."
        kept = ", ".join(f"{name} of generation {made}" for name, made in sorted(self.version.older.items()))
        said = f"In force: generation {self.version.generation}{f', with {kept}' if kept else ''}."
        if self.idle:
            said += f" {', '.join(self.idle)} {'does' if len(self.idle) == 1 else 'do'} nothing until mended."
        return said


def written(status: Mapping[str, Any]) -> Version | None:
    """Read what was written down; None where there is nothing, or nonsense."""
    found = status.get(FIELD)
    if not isinstance(found, dict):
        return None
    text, generation, older = (found.get(name) for name in ("spec", "generation", "olderSections"))
    if not isinstance(text, str) or len(text) > MAX_TEXT or not isinstance(generation, int):
        return None
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(spec, dict):
        return None
    named = [each for each in older if isinstance(each, dict)] if isinstance(older, list) else []
    sections = {each.get("name"): each.get("generation") for each in named}
    return Version(spec, generation, {k: v for k, v in sections.items() if isinstance(k, str) and isinstance(v, int)})


def judge(
    source: str,
    raw: Mapping[str, Any],
    generation: int,
    lasts: Iterable[Version | None],
    check: loader.SectionCheck | None,
) -> JudgedVersion:
    """Judge the newest version of one object alone.

    Args:
        source: what the object is called in errors.
        raw: the object, with its kind.
        generation: of its spec.
        lasts: versions that were in force before, the most believed first.
        check: see `webhook.policy.loading.loader.SectionCheck`.
    """
    document, problems = load(source, raw, check)
    spec = raw.get("spec")
    if document is not None and isinstance(spec, dict):
        return JudgedVersion(document, Version(spec, generation, {}), ())
    kind = str(raw["kind"])
    known = [sound for sound in (_sound(source, raw, last, check) for last in lasts) if sound is not None]
    mixed = _mixed(kind, spec, generation, problems, known) if isinstance(spec, dict) else None
    for version in ([mixed] if mixed is not None else []) + known:
        document, _ = load(source, {**raw, "spec": version.spec}, check)
        if document is not None:
            named = {field for field in _fields(problems) if field in _sections(kind)}
            idle = sorted(named - set(version.spec)) if version is mixed else []
            return JudgedVersion(document, version, problems, tuple(idle))
    return JudgedVersion(None, None, problems)


def load(
    source: str, raw: Mapping[str, Any], check: loader.SectionCheck | None
) -> tuple[PolicyDocument[Model] | None, tuple[PolicyProblem, ...]]:
    """Load one object alone; return its document, or what is wrong with it."""
    try:
        return loader.load_documents([(source, raw)], check=check).documents[0], ()
    except PolicyErrors as errors:
        return None, errors.problems


def _mixed(
    kind: str,
    spec: Mapping[str, Any],
    generation: int,
    problems: Iterable[PolicyProblem],
    lasts: list[Version],
) -> Version | None:
    """Return the valid sections of a version with the last good ones in place of the others; None where what is said of
    the policy as a whole is in doubt."""
    sections = _sections(kind)
    names = set(json_schema.at(kind, ("spec",)).get("properties", {}))
    unknown = set(spec) - names
    wrong = {field for field in _fields(problems) if field not in unknown}
    if not sections or not wrong <= sections:
        return None
    missing = names - set(spec) if unknown else set()
    if missing - sections and any(missing - sections & set(last.spec) for last in lasts[:1]):
        return None
    if "match" in missing and not lasts:
        # Nobody can say whom it is for.
        return None
    made = {name: each for name, each in spec.items() if name in names and name not in wrong}
    older: dict[str, int] = {}
    for name in sorted((wrong | missing) & sections):
        last = next((each for each in lasts if name in each.spec), None)
        if last is not None:
            made[name] = last.spec[name]
            older[name] = last.of(name)
    return Version(made, generation, {name: made_in for name, made_in in older.items() if made_in != generation})


def _sound(
    source: str, raw: Mapping[str, Any], last: Version | None, check: loader.SectionCheck | None
) -> Version | None:
    """Return an earlier version without the sections that this release finds malformed; None where that is all."""
    if last is None:
        return None
    document, problems = load(source, {**raw, "spec": last.spec}, check)
    if document is not None:
        return last
    wrong = _fields(problems)
    if not wrong <= _sections(str(raw["kind"])):
        return None
    kept = last._replace(
        spec={name: each for name, each in last.spec.items() if name not in wrong},
        older={name: each for name, each in last.older.items() if name not in wrong},
    )
    return kept if load(source, {**raw, "spec": kept.spec}, check)[0] is not None else None


def _sections(kind: str) -> frozenset[str]:
    return frozenset(discovery.sections()) if kind == GUARDRAIL_POLICY else frozenset()


def _fields(problems: Iterable[PolicyProblem]) -> set[str]:
    """Return the fields of the spec that problems are about; the empty text stands for all of it."""
    found = {problem.path: _FIELD_OF_SPEC.match(problem.path) for problem in problems}
    return {match[1] if match else _AS_A_WHOLE for path, match in found.items() if not path.startswith(_UNNAMED)}
