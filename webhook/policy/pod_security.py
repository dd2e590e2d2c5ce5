"""The `podSecurity` section: which Pod Security Standard pods must meet, and whether Podgate may help them meet it.

The names of the checks stand here as well, because a PolicyException names them in ``spec.controls`` and is validated
when it is loaded, without the guardrail.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from webhook.policy._base import Section

Level = Literal["baseline", "restricted"]

LATEST = "latest"

_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)")
_GREATEST_MINOR = 2**63 - 1
"""The API server keeps the minor version in a signed 64-bit integer and refuses what does not fit."""


def minor_of(version: str) -> int | None:
    """Return N of ``v1.N``, or None for ``latest``.

    Raises:
        ValueError: the text is neither; one line with the cure.
    """
    if version == LATEST:
        return None
    match = _VERSION.fullmatch(version)
    if match is None or len(match[1]) > 19 or int(match[1]) > _GREATEST_MINOR:
        raise ValueError(f"{version!r} is not a Pod Security version; write latest, or v1.N such as v1.31")
    return int(match[1])


def _known_version(version: str) -> str:
    minor_of(version)
    return version


class PodSecuritySection(Section):
    """Refuse pods that break the Pod Security Standard of this level, exactly as the API server's own check would."""

    level: Annotated[
        Level,
        Field(
            description="The standard that pods must meet: `baseline` forbids known ways to escalate, `restricted` "
            "also demands what current hardening practice asks for. Default `restricted`."
        ),
    ] = "restricted"
    version: Annotated[
        str,
        AfterValidator(_known_version),
        Field(
            description="The Kubernetes minor version whose rules apply: `latest`, or `v1.N`, such as `v1.31`, so that "
            "an upgrade of Podgate changes no verdict. Default `latest`.",
            json_schema_extra={"pattern": r"^(latest|v1\.(0|[1-9][0-9]*))$"},
        ),
    ] = LATEST
    harden: Annotated[
        bool,
        Field(
            description="Whether to fill in, first, what `restricted` needs and the pod leaves unset: runAsNonRoot, "
            "the RuntimeDefault seccomp profile, allowPrivilegeEscalation: false and dropped capabilities. A pod that "
            "cannot be made to pass is left as it is. Default false: images that run as root would fail to start."
        ),
    ] = False


SECTION = PodSecuritySection

CHECK_IDS = (
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities_baseline",
    "capabilities_restricted",
    "hostNamespaces",
    "hostPathVolumes",
    "hostPorts",
    "hostProbesAndHostLifecycle",
    "privileged",
    "procMount",
    "procMount_restricted",
    "restrictedVolumes",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile_baseline",
    "seccompProfile_restricted",
    "sysctls",
    "windowsHostProcess",
)
"""Identifiers of all Pod Security checks, as upstream names them."""


def _checks_by_control() -> dict[str, frozenset[str]]:
    controls = {check: {check} for check in CHECK_IDS}
    for check in CHECK_IDS:
        controls.setdefault(check.partition("_")[0], set()).add(check)
    return {control: frozenset(checks) for control, checks in controls.items()}


CHECKS_BY_CONTROL: Mapping[str, frozenset[str]] = _checks_by_control()
"""What a name in ``PolicyException.spec.controls`` covers: one check, or both levels of it where the suffix is left
out (``capabilities``, ``seccompProfile``, ``procMount``)."""

CONTROLS: frozenset[str] = frozenset(CHECKS_BY_CONTROL)
"""The names that ``PolicyException.spec.controls`` accepts."""
