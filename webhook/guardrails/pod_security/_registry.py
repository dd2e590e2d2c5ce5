"""Which checks run for a level and a version: found by listing this package, validated once, then only looked up.

At level restricted, baseline checks run as well, except those that a restricted check overrides while it is in force.
Checks speak in a fixed order: baseline ones by identifier, then restricted ones by identifier, compared by byte.
"""

import importlib
import itertools
import pkgutil
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from webhook.guardrails.pod_security._check import Check, CheckFunction
from webhook.kube.caches import remembered
from webhook.policy import pod_security as policy
from webhook.policy.pod_security import Level


class RegistryError(ValueError):
    """The checks contradict each other; one line that names the check and the cure."""


class CheckPlan(NamedTuple):
    """The checks of one level at one version, in the order in which they speak."""

    ids: tuple[str, ...]
    functions: tuple[CheckFunction, ...]


_NOTHING = CheckPlan((), ())


class Registry(NamedTuple):
    """An immutable table from level and minor version to the checks that run."""

    checks: Mapping[str, Check]
    """By identifier, in the order of evaluation."""
    latest_minor: int
    """The newest minor version that changed any check; everything newer is judged like it."""
    table: Mapping[tuple[str, int], CheckPlan]

    def plan(self, level: Level, version: str) -> CheckPlan:
        """Return the checks of a level at ``latest`` or ``v1.N``.

        Raises:
            ValueError: the version is neither; one line with the cure.
        """
        minor = policy.minor_of(version)
        if level == "privileged":
            return _NOTHING
        minor = self.latest_minor if minor is None else min(minor, self.latest_minor)
        return self.table[level, minor]


def build(checks: Iterable[Check]) -> Registry:
    """Validate the checks and lay out the table.

    Raises:
        RegistryError: see `_validate`.
    """
    ordered = sorted(checks, key=lambda check: (check.level != "baseline", check.id))
    _validate(ordered)
    latest = max((check.revisions[-1].since_minor for check in ordered), default=0)
    table = {}
    for minor in range(latest + 1):
        table["baseline", minor] = _plan([check for check in ordered if check.level == "baseline"], minor)
        in_force = [check for check in ordered if check.revisions[0].since_minor <= minor]
        overridden = {name for check in in_force for name in check.overrides}
        table["restricted", minor] = _plan([check for check in in_force if check.id not in overridden], minor)
    return Registry(MappingProxyType({check.id: check for check in ordered}), latest, MappingProxyType(table))


def _plan(checks: Iterable[Check], minor: int) -> CheckPlan:
    active = [(check, function) for check in checks if (function := _revision_at(check, minor)) is not None]
    return CheckPlan(tuple(check.id for check, _ in active), tuple(function for _, function in active))


def _revision_at(check: Check, minor: int) -> CheckFunction | None:
    """Return the newest revision that is not newer than `minor`; None before the first."""
    for revision in reversed(check.revisions):
        if revision.since_minor <= minor:
            return revision.evaluate
    return None


def _validate(checks: list[Check]) -> None:
    """Refuse duplicate identifiers, missing or unordered revisions, and overrides of anything but baseline checks."""
    levels: dict[str, str] = {}
    for check in checks:
        if check.id in levels:
            raise RegistryError(f"check {check.id}: the identifier is taken; give each check its own")
        levels[check.id] = check.level
        since = [revision.since_minor for revision in check.revisions]
        if not since:
            raise RegistryError(f"check {check.id}: no revision; add the version since which it exists")
        if since[0] < 0 or any(later <= earlier for earlier, later in itertools.pairwise(since)):
            raise RegistryError(f"check {check.id}: versions must be strictly increasing from 0; sort the revisions")
    for check in checks:
        if check.overrides and check.level != "restricted":
            raise RegistryError(f"check {check.id}: only restricted checks override; remove its overrides")
        for name in check.overrides:
            if levels.get(name) != "baseline":
                raise RegistryError(f"check {check.id}: overrides {name}, which is no baseline check; name one")


def discover() -> list[Check]:
    """Return the ``CHECK`` of every module of this package that has no leading underscore.

    Raises:
        RegistryError: a module offers none.
    """
    package = importlib.import_module(__package__)
    checks = []
    for module_info in pkgutil.iter_modules(package.__path__):
        if not module_info.name.startswith("_"):
            module = importlib.import_module(f"{__package__}.{module_info.name}")
            check = getattr(module, "CHECK", None)
            if not isinstance(check, Check):
                raise RegistryError(
                    f"{module.__name__}: no CHECK; offer one, or start the file name with an underscore"
                )
            checks.append(check)
    return checks


REGISTRY = build(discover())


@remembered("pod_security_plans", 128)
def plan(level: Level, version: str) -> CheckPlan:
    """Return the checks of a level at ``latest`` or ``v1.N``, remembered for the versions in use.

    Raises:
        ValueError: the version is neither; one line with the cure.
    """
    return REGISTRY.plan(level, version)
