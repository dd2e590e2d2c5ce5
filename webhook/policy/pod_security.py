"""The `podSecurity` section: which Pod Security Standard pods must meet, and whether Podgate may help them meet it.

The names of the checks stand here as well, because a PolicyException names them in ``spec.controls`` and is validated
when it is loaded, without the guardrail.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from webhook.policy.model.names import DnsLabel, DnsSubdomain, SubjectName
from webhook.policy.model.sections import ApiRule, FieldError, Many, Model, Section

EnforceableLevel = Literal["baseline", "restricted"]
Level = Literal["privileged", "baseline", "restricted"]
"""As the labels of a namespace may say it."""

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


_VERSION_SCHEMA: dict[str, JsonValue] = {"pattern": r"^(latest|v1\.(0|[1-9][0-9]*))$"}


class LabelDefaults(Model):
    """What a namespace that lacks a label gets. For `enforce` that is `level` and `version`, where they are written."""

    audit: Annotated[Level, Field(description="Level that is recorded. Default `privileged`.")] = "privileged"
    audit_version: Annotated[
        str,
        AfterValidator(_known_version),
        Field(description="Version of `audit`. Default `latest`.", json_schema_extra=_VERSION_SCHEMA),
    ] = LATEST
    warn: Annotated[Level, Field(description="Level that is warned about. Default `privileged`.")] = "privileged"
    warn_version: Annotated[
        str,
        AfterValidator(_known_version),
        Field(description="Version of `warn`. Default `latest`.", json_schema_extra=_VERSION_SCHEMA),
    ] = LATEST


class LabelExemptions(Model):
    """Whom the labels do not concern, each by its exact name, as in the configuration of the built-in plugin."""

    usernames: Annotated[Many[SubjectName], Field(description="Requesters, as in `request.userInfo.username`.")] = ()
    namespaces: Annotated[Many[DnsLabel], Field(description="Namespaces.")] = ()
    runtime_classes: Annotated[Many[DnsSubdomain], Field(description="Values of `spec.runtimeClassName`.")] = ()


class PodSecuritySection(Section):
    """Refuse pods that break the Pod Security Standard of this level, exactly as the API server's own check would."""

    API_RULES = (
        ApiRule(
            "(has(self.fromNamespaceLabels) && self.fromNamespaceLabels) || "
            "!(has(self.defaults) || has(self.exemptions))",
            "defaults and exemptions have a meaning only with fromNamespaceLabels: true; add that, or remove them",
        ),
    )

    level: Annotated[
        EnforceableLevel,
        Field(
            description="The standard that pods must meet: `baseline` forbids known ways to escalate, `restricted` "
            "also demands what current hardening practice asks for. Default `restricted`. With `fromNamespaceLabels` "
            "it is the level of namespaces without the label `enforce`, and `privileged` where it is not written."
        ),
    ] = "restricted"
    version: Annotated[
        str,
        AfterValidator(_known_version),
        Field(
            description="The Kubernetes minor version whose rules apply: `latest`, or `v1.N`, such as `v1.31`, so that "
            "an upgrade of Podgate changes no verdict. Default `latest`. With `fromNamespaceLabels` it is the version "
            "of namespaces without the label `enforce-version`.",
            json_schema_extra=_VERSION_SCHEMA,
        ),
    ] = LATEST
    from_namespace_labels: Annotated[
        bool,
        Field(
            description="Whether the namespace's own labels `pod-security.kubernetes.io/enforce`, `audit`, `warn` and "
            "their `-version`s say by what pods are judged, as they do for the API server's built-in plugin. Default "
            "false: the policy says it."
        ),
    ] = False
    defaults: Annotated[
        LabelDefaults,
        Field(description="With `fromNamespaceLabels`: what holds for `audit` and `warn` where a label is missing."),
    ] = LabelDefaults()
    exemptions: Annotated[
        LabelExemptions,
        Field(description="With `fromNamespaceLabels`: whom the labels do not concern. Default nobody."),
    ] = LabelExemptions()
    harden: Annotated[
        bool,
        Field(
            description="Whether to fill in, first, what `restricted` needs and the pod leaves unset: runAsNonRoot, "
            "the RuntimeDefault seccomp profile, allowPrivilegeEscalation: false and dropped capabilities. A pod that "
            "cannot be made to pass is left as it is. Default false: images that run as root would fail to start."
        ),
    ] = False

    @model_validator(mode="after")
    def _labels_are_asked_for(self) -> Self:
        if not self.from_namespace_labels:
            for name in ("defaults", "exemptions"):
                if name in self.model_fields_set:
                    raise FieldError(
                        "has a meaning only with fromNamespaceLabels",
                        "Add fromNamespaceLabels: true, or remove it.",
                        path=(name,),
                    )
        return self

    @property
    def unlabelled_level(self) -> Level:
        """Level of `enforce` in a namespace without that label; as in the built-in plugin unless it was written."""
        return self.level if "level" in self.model_fields_set else "privileged"


SECTION = PodSecuritySection

_CHECKS: Final = Path(__file__).parents[1] / "guardrails" / "pod_security"
"""Where each check is a file, which has its name: ``se_linux_options.py`` is ``seLinuxOptions``."""


def _check_ids() -> Iterator[str]:
    for file in sorted(_CHECKS.glob("[!_]*.py")):
        name, _, level = file.stem.rpartition("_")
        yield f"{to_camel(name)}_{level}" if level in ("baseline", "restricted") else to_camel(file.stem)


CHECK_IDS: Final = tuple(_check_ids())
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
