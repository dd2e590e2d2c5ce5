"""The table of checks: which run at which version, in which order, and what is refused when it is built."""

import importlib
import pkgutil

import pytest

from webhook.guardrails import pod_security
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._registry import REGISTRY, Level, RegistryError, build, plan
from webhook.guardrails.pod_security._visitor import Visit
from webhook.policy.pod_security import CHECK_IDS

BASELINE_1_33 = (
    "appArmorProfile",
    "capabilities_baseline",
    "hostNamespaces",
    "hostPathVolumes",
    "hostPorts",
    "privileged",
    "procMount",
    "seLinuxOptions",
    "seccompProfile_baseline",
    "sysctls",
    "windowsHostProcess",
)
RESTRICTED_LATEST = (
    "appArmorProfile",
    "hostNamespaces",
    "hostPorts",
    "hostProbesAndHostLifecycle",
    "privileged",
    "seLinuxOptions",
    "sysctls",
    "windowsHostProcess",
    "allowPrivilegeEscalation",
    "capabilities_restricted",
    "procMount_restricted",
    "restrictedVolumes",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile_restricted",
)
RESTRICTED_1_0 = (*[name for name in BASELINE_1_33 if name != "hostPathVolumes"], "restrictedVolumes", "runAsNonRoot")


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


@pytest.mark.parametrize(
    ("level", "version", "expected"),
    [
        ("privileged", "latest", ()),
        ("baseline", "v1.0", BASELINE_1_33),
        ("baseline", "v1.33", BASELINE_1_33),
        ("baseline", "v1.34", (*BASELINE_1_33[:5], "hostProbesAndHostLifecycle", *BASELINE_1_33[5:])),
        ("restricted", "v1.0", RESTRICTED_1_0),
        ("restricted", "v1.7", RESTRICTED_1_0),
        ("restricted", "v1.8", (*RESTRICTED_1_0[:10], "allowPrivilegeEscalation", *RESTRICTED_1_0[10:])),
        ("restricted", "v1.35", RESTRICTED_LATEST),
        ("restricted", "latest", RESTRICTED_LATEST),
        ("restricted", "v1.99", RESTRICTED_LATEST),
        ("restricted", f"v1.{2**63 - 1}", RESTRICTED_LATEST),
    ],
)
def test_checks_speak_in_the_fixed_order(level: Level, version: str, expected: tuple[str, ...]) -> None:
    assert plan(level, version).ids == expected


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


def _silent(visit: Visit) -> Violation | None:
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
