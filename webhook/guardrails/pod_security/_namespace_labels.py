"""From the labels of a namespace to three policies: by what its pods are enforced, audited and warned about.

The rules are those of the admission plugin that is built into the API server, its error texts included. Parsing is kept
in a bounded table by the six values, so that a namespace is parsed once and asked about for every pod.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from webhook.guardrails.pod_security._registry import CheckPlan, plan
from webhook.guardrails.pod_security._text import go_quote
from webhook.kube.caches import remembered
from webhook.policy.pod_security import LATEST, Level, minor_of

PREFIX: Final = "pod-security.kubernetes.io/"
_MODES: Final = ("enforce", "audit", "warn")
KEYS: Final = tuple(f"{PREFIX}{mode}{suffix}" for mode in _MODES for suffix in ("", "-version"))
"""Other keys under the prefix mean nothing."""

_LEVELS: Final[Mapping[str, Level]] = {
    "privileged": "privileged",
    "baseline": "baseline",
    "restricted": "restricted",
}
_RANK: Final = {level: rank for rank, level in enumerate(_LEVELS)}


class Standard(NamedTuple):
    """A level at a version, as in messages."""

    level: Level = "privileged"
    version: str = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    @property
    def checks(self) -> CheckPlan:
        """The checks to run."""
        return plan(self.level, self.version)


PRIVILEGED: Final = Standard()


class NamespaceLevels(NamedTuple):
    """What a namespace asks for, or the defaults of namespaces that ask for nothing."""

    enforce: Standard = PRIVILEGED
    audit: Standard = PRIVILEGED
    warn: Standard = PRIVILEGED
    errors: tuple[str, ...] = ()
    """Of labels whose value is none; in the order of `KEYS`."""

    @property
    def is_privileged(self) -> bool:
        """Whether no mode demands anything."""
        return self.enforce.level == self.audit.level == self.warn.level == "privileged"

    @property
    def error_text(self) -> str:
        """All errors as the API server joins them; equal ones once."""
        errors = list(dict.fromkeys(self.errors))
        return errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"


def policies_of(labels: Mapping[str, str], defaults: NamespaceLevels) -> NamespaceLevels:
    """Return what the labels of a namespace ask for.

    An invalid level of enforce means restricted (it fails closed), of audit and warn privileged; an invalid version
    means latest. Warn follows a valid enforce that is stricter, unless the namespace sets warn itself.
    """
    return _policies(tuple([labels.get(key) for key in KEYS]), defaults)


@remembered("pod_security_labels", 4096)
def _policies(values: tuple[str | None, ...], defaults: NamespaceLevels) -> NamespaceLevels:
    errors: list[str] = []
    standards: list[Standard] = []
    for index, default in enumerate((defaults.enforce, defaults.audit, defaults.warn)):
        level, version = default
        written, written_version = values[2 * index], values[2 * index + 1]
        if written is not None:
            level = _LEVELS.get(written, "restricted" if index == 0 else "privileged")
            if written not in _LEVELS:
                errors.append(_invalid(KEYS[2 * index], written, f"must be one of {', '.join(_LEVELS)}"))
        if written_version is not None:
            version = written_version if _is_version(written_version) else LATEST
            if not _is_version(written_version):
                errors.append(_invalid(KEYS[2 * index + 1], written_version, 'must be "latest" or "v1.x"'))
        standards.append(Standard(level, version))
    enforce, audit, warn = standards
    follows = values[4] is None and values[0] in _LEVELS and _RANK[enforce.level] > _RANK[warn.level]
    if follows:
        warn = Standard(enforce.level, enforce.version if values[5] is None else warn.version)
    return NamespaceLevels(enforce, audit, warn, tuple(errors))


def _is_version(text: str) -> bool:
    try:
        minor_of(text)
    except ValueError:
        return False
    return True


def _invalid(key: str, value: str, rule: str) -> str:
    return f"metadata.labels[{key}]: Invalid value: {go_quote(value)}: {rule}"
