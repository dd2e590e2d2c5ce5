"""What the labels of a namespace ask for, as the built-in plugin reads them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.guardrails.pod_security._namespace_labels import KEYS, PREFIX, NamespaceLevels, Standard, policies_of

DEFAULTS = NamespaceLevels()
PRIVILEGED = "privileged:latest"
LEVELS = ("privileged", "baseline", "restricted")


def said(labels: dict[str, str], defaults: NamespaceLevels = DEFAULTS) -> tuple[str, str, str]:
    """Return the policies of enforce, audit and warn; labels by their short name."""
    found = policies_of({PREFIX + key: value for key, value in labels.items()}, defaults)
    return str(found.enforce), str(found.audit), str(found.warn)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, (PRIVILEGED, PRIVILEGED, PRIVILEGED)),
        ({"enforce": "baseline"}, ("baseline:latest", PRIVILEGED, "baseline:latest")),
        ({"enforce": "baseline", "enforce-version": "v1.30"}, ("baseline:v1.30", PRIVILEGED, "baseline:v1.30")),
        ({"enforce": "baseline", "warn-version": "v1.20"}, ("baseline:latest", PRIVILEGED, "baseline:v1.20")),
        ({"enforce": "restricted", "warn": "baseline"}, ("restricted:latest", PRIVILEGED, "baseline:latest")),
        ({"enforce": "restricted", "warn": "privileged"}, ("restricted:latest", PRIVILEGED, PRIVILEGED)),
        ({"audit": "restricted"}, (PRIVILEGED, "restricted:latest", PRIVILEGED)),
        ({"warn": "restricted", "warn-version": "v1.1"}, (PRIVILEGED, PRIVILEGED, "restricted:v1.1")),
        ({"enforce-version": "v1.5"}, ("privileged:v1.5", PRIVILEGED, PRIVILEGED)),
        ({"enforce": "Baseline"}, ("restricted:latest", PRIVILEGED, PRIVILEGED)),
        ({"enforce": ""}, ("restricted:latest", PRIVILEGED, PRIVILEGED)),
        ({"audit": "x", "warn": "y"}, (PRIVILEGED, PRIVILEGED, PRIVILEGED)),
        ({"enforce": "baseline", "enforce-version": "1.30"}, ("baseline:latest", PRIVILEGED, "baseline:latest")),
        ({"enforce": "baseline", "warn-version": "x"}, ("baseline:latest", PRIVILEGED, "baseline:latest")),
        ({"enforced": "baseline", "mode": "x"}, (PRIVILEGED, PRIVILEGED, PRIVILEGED)),
    ],
)
def test_labels_give_three_policies(labels: dict[str, str], expected: tuple[str, str, str]) -> None:
    assert said(labels) == expected


def test_defaults_hold_where_a_label_is_missing_and_only_labels_raise_warn() -> None:
    defaults = NamespaceLevels(
        Standard("restricted", "v1.30"), Standard("baseline", "v1.20"), Standard("baseline", "v1.21")
    )
    assert said({}, defaults) == ("restricted:v1.30", "baseline:v1.20", "baseline:v1.21")
    assert said({"enforce": "restricted"}, defaults) == ("restricted:v1.30", "baseline:v1.20", "restricted:v1.30")
    assert said({"enforce": "privileged", "audit-version": "latest"}, defaults) == (
        "privileged:v1.30",
        "baseline:latest",
        "baseline:v1.21",
    )


@pytest.mark.parametrize("version", ["v1.0", "v1.37", "v1.10000", "latest"])
def test_a_version_that_exists_is_no_error(version: str) -> None:
    assert policies_of({f"{PREFIX}enforce-version": version}, NamespaceLevels()).errors == ()


def test_errors_are_those_of_the_api_server_in_its_order() -> None:
    found = policies_of({f"{PREFIX}warn": 'a"b', f"{PREFIX}enforce-version": "v1.01"}, NamespaceLevels())
    first = 'metadata.labels[pod-security.kubernetes.io/enforce-version]: Invalid value: "v1.01": must be "latest" or '
    second = 'metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: "a\\"b": must be one of privileged, '
    assert found.error_text == f'[{first}"v1.x", {second}baseline, restricted]'
    alone = policies_of({f"{PREFIX}enforce-version": "v1.01"}, NamespaceLevels())
    assert alone.error_text == f'{first}"v1.x"'


_VALUES = st.sampled_from([*LEVELS, "latest", "v1.25", "", "Restricted", "v1.x"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*KEYS, f"{PREFIX}other", "team"]), _VALUES))
def test_any_labels_give_known_policies_and_one_error_for_each_label_that_is_none(labels: dict[str, str]) -> None:
    found = policies_of(labels, NamespaceLevels())
    versions = ("latest", "v1.25")
    wrong = [
        key for key in KEYS if key in labels and labels[key] not in (versions if key.endswith("-version") else LEVELS)
    ]
    assert [error.partition("]")[0].removeprefix("metadata.labels[") for error in found.errors] == wrong
    for standard in (found.enforce, found.audit, found.warn):
        assert standard.level in LEVELS
        assert standard.version in versions
    if labels.get(f"{PREFIX}enforce") not in (None, *LEVELS):
        assert found.enforce.level == "restricted"


def test_a_namespace_is_parsed_once() -> None:
    labels = {f"{PREFIX}enforce": "baseline", "team": "a"}
    first = policies_of(labels, NamespaceLevels())
    assert policies_of({**labels, "team": "b"}, NamespaceLevels()) is first
