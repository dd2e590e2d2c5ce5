"""The table of checks: which run at which version, in which order, and what is refused when it is built."""

import importlib
import pkgutil

import pytest

from webhook.guardrails import pod_security
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._registry import REGISTRY, RegistryError, build, plan
from webhook.guardrails.pod_security._visitor import PodView
from webhook.policy.pod_security import CHECK_IDS, Level

VERSIONS = ["latest", "v1.99", f"v1.{2**63 - 1}", *(f"v1.{minor}" for minor in range(REGISTRY.latest_minor + 1))]


def test_policies_know_every_check_by_name() -> None:
    assert sorted(CHECK_IDS) == sorted(REGISTRY.checks)
    assert len(set(CHECK_IDS)) == len(CHECK_IDS)


def test_every_check_is_a_file_with_its_manual() -> None:
    modules = [info.name for info in pkgutil.iter_modules(pod_security.__path__) if not info.name.startswith("_")]
    ids = {check.replace("_", "").lower() for check in REGISTRY.checks}
    assert {module.replace("_", "") for module in modules} == ids
    for module in modules:
        manual = importlib.import_module(f"{pod_security.__name__}.{module}").__doc__ or ""
        for part in ("Rule: ", "Fields: ", "Allowed: ", "Example: ", "Comply: ", "Source: "):
            assert part in manual, (module, part)


@pytest.mark.parametrize("version", VERSIONS)
def test_baseline_checks_speak_before_restricted_ones_and_each_in_the_order_of_their_bytes(version: str) -> None:
    baseline, restricted = plan("baseline", version).ids, plan("restricted", version).ids
    assert baseline == tuple(sorted(baseline, key=str.encode))
    assert {REGISTRY.checks[name].level for name in baseline} == {"baseline"}
    assert restricted == tuple(
        sorted(restricted, key=lambda name: (REGISTRY.checks[name].level == "restricted", name.encode()))
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_restricted_demands_all_of_baseline_or_what_overrides_it(version: str) -> None:
    restricted = plan("restricted", version).ids
    overridden = {name for check in restricted for name in REGISTRY.checks[check].overrides}
    assert set(plan("baseline", version).ids) - set(restricted) == overridden & set(plan("baseline", version).ids)


@pytest.mark.parametrize("version", ["v1.0", "v1.35", "latest"])
def test_privileged_demands_nothing(version: str) -> None:
    assert plan("privileged", version).ids == ()


@pytest.mark.parametrize(
    ("level", "since", "come"),
    [
        ("baseline", 34, "hostProbesAndHostLifecycle"),
        ("restricted", 8, "allowPrivilegeEscalation"),
        ("restricted", 19, "seccompProfile_restricted"),
        ("restricted", 23, "runAsUser"),
    ],
)
def test_a_check_speaks_from_its_first_version_on(level: Level, since: int, come: str) -> None:
    assert come not in plan(level, f"v1.{since - 1}").ids
    assert come in plan(level, f"v1.{since}").ids
    assert come in plan(level, "latest").ids


@pytest.mark.parametrize(
    ("version", "gone", "come"),
    [
        ("v1.19", "seccompProfile_baseline", "seccompProfile_restricted"),
        ("v1.22", "capabilities_baseline", "capabilities_restricted"),
        ("v1.35", "procMount", "procMount_restricted"),
    ],
)
def test_an_override_holds_from_the_version_of_the_check_that_overrides(version: str, gone: str, come: str) -> None:
    before = f"v1.{int(version.removeprefix('v1.')) - 1}"
    assert gone in plan("restricted", before).ids
    assert come not in plan("restricted", before).ids
    assert gone not in plan("restricted", version).ids
    assert come in plan("restricted", version).ids
    assert gone in plan("baseline", version).ids


def _silent(visit: PodView) -> Violation | None:
    return None


def _check(name: str, *since: int, level: Level = "baseline", overrides: tuple[str, ...] = ()) -> Check:
    assert level != "privileged"
    return Check(name, level, tuple(Revision(minor, _silent) for minor in since), overrides)


@pytest.mark.parametrize(
    ("checks", "error"),
    [
        ([_check("a", 0), _check("a", 1)], "check a: the identifier is taken"),
        ([_check("a")], "check a: no revision"),
        ([_check("a", 3, 2)], "check a: versions must be strictly increasing"),
        ([_check("a", 3, 3)], "check a: versions must be strictly increasing"),
        ([_check("a", -1)], "check a: versions must be strictly increasing"),
        ([_check("a", 0, overrides=("b",)), _check("b", 0)], "check a: only restricted checks override"),
        ([_check("r", 0, level="restricted", overrides=("b",))], "check r: overrides b, which is no baseline check"),
        (
            [_check("r", 0, level="restricted", overrides=("s",)), _check("s", 0, level="restricted")],
            "check r: overrides s, which is no baseline check",
        ),
    ],
    ids=[
        "twice",
        "never",
        "backwards",
        "at once",
        "negative",
        "baseline overrides",
        "unknown",
        "restricted overridden",
    ],
)
def test_checks_that_contradict_each_other_are_refused_with_a_cure(checks: list[Check], error: str) -> None:
    with pytest.raises(RegistryError, match=error) as refused:
        build(checks)
    assert "; " in str(refused.value)
    assert "\n" not in str(refused.value)
