"""The `podSecurity` section: its defaults, and what it refuses."""

import pytest
from pydantic import ValidationError

from webhook.policy.pod_security import CHECK_IDS, CHECKS_BY_CONTROL, CONTROLS, PodSecuritySection, minor_of


def test_an_empty_section_demands_the_newest_restricted_level_and_changes_nothing() -> None:
    section = PodSecuritySection.model_validate({})
    assert (section.level, section.version, section.harden) == ("restricted", "latest", False)


@pytest.mark.parametrize(
    ("version", "minor"), [("latest", None), ("v1.0", 0), ("v1.31", 31), (f"v1.{2**63 - 1}", 2**63 - 1)]
)
def test_versions_of_kubernetes_are_accepted(version: str, minor: int | None) -> None:
    assert PodSecuritySection.model_validate({"version": version}).version == version
    assert minor_of(version) == minor


@pytest.mark.parametrize(
    "version",
    [
        "",
        "v1",
        "1.24",
        "V1.24",
        "v1.01",
        "v2.0",
        "v1.24.1",
        "v1.24\n",
        "v1.٣",
        "Latest",
        f"v1.{2**63}",
        "v1." + "9" * 99,
    ],
)
def test_other_versions_are_refused_with_the_cure(version: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PodSecuritySection.model_validate({"version": version})
    [error] = refused.value.errors()
    assert error["loc"] == ("version",)
    assert error["msg"].endswith("is not a Pod Security version; write latest, or v1.N such as v1.31")
    assert "\n" not in error["msg"]


@pytest.mark.parametrize(
    "document",
    [{"level": "privileged"}, {"level": "Restricted"}, {"harden": "yes"}, {"version": 1.31}, {"enforce": "baseline"}],
    ids=["privileged means no section", "capital", "text for a switch", "number for a version", "unknown field"],
)
def test_other_values_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PodSecuritySection.model_validate(document)


def test_every_field_says_what_it_means() -> None:
    for name, field in PodSecuritySection.model_fields.items():
        assert field.description, name


def test_controls_are_the_checks_and_their_short_names() -> None:
    assert CONTROLS - set(CHECK_IDS) == {"capabilities", "seccompProfile"}
    assert CHECKS_BY_CONTROL["capabilities"] == {"capabilities_baseline", "capabilities_restricted"}
    assert CHECKS_BY_CONTROL["seccompProfile"] == {"seccompProfile_baseline", "seccompProfile_restricted"}
    assert CHECKS_BY_CONTROL["procMount"] == {"procMount", "procMount_restricted"}
    assert CHECKS_BY_CONTROL["procMount_restricted"] == {"procMount_restricted"}
    assert CHECKS_BY_CONTROL["runAsNonRoot"] == {"runAsNonRoot"}


def test_labels_of_namespaces_are_privileged_unless_a_level_is_written() -> None:
    section = PodSecuritySection.model_validate({"fromNamespaceLabels": True})
    assert section.unlabelled_level == "privileged"
    written = PodSecuritySection.model_validate({"fromNamespaceLabels": True, "level": "restricted"})
    assert written.unlabelled_level == "restricted"


@pytest.mark.parametrize("field", ["defaults", "exemptions"])
def test_fields_about_labels_are_refused_where_labels_are_not_asked(field: str) -> None:
    with pytest.raises(ValidationError, match=r"only with fromNamespaceLabels. Add fromNamespaceLabels: true"):
        PodSecuritySection.model_validate({field: {}})


@pytest.mark.parametrize(
    "fields",
    [
        {"defaults": {"warn": "Baseline"}},
        {"defaults": {"warnVersion": "1.30"}},
        {"defaults": {"enforce": "baseline"}},
        {"exemptions": {"usernames": ["*"]}},
        {"exemptions": {"usernames": [""]}},
        {"exemptions": {"namespaces": ["Team"]}},
        {"exemptions": {"runtimeClasses": ["kata!"]}},
    ],
)
def test_malformed_fields_about_labels_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PodSecuritySection.model_validate({"fromNamespaceLabels": True, **fields})
