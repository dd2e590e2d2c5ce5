"""The serving certificate: names, purposes, life."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import authority, leaf

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
AUTHORITY = authority.create(NOW)


def test_it_serves_and_does_nothing_else() -> None:
    certificate = leaf.create(AUTHORITY, ["localhost"], NOW).certificate

    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is False


def test_it_names_the_key_of_its_authority() -> None:
    certificate = leaf.create(AUTHORITY, ["localhost"], NOW).certificate

    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    own = AUTHORITY.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.key_identifier
    assert identifier == own
    certificate.verify_directly_issued_by(AUTHORITY.certificate)


def test_it_begins_in_the_past_for_clocks_that_are_behind() -> None:
    certificate = leaf.create(AUTHORITY, ["localhost"], NOW + DAY).certificate

    assert certificate.not_valid_before_utc == NOW + DAY - authority.BACKDATED


def test_it_never_outlives_its_authority() -> None:
    certificate = leaf.create(AUTHORITY, ["localhost"], NOW + 300 * DAY).certificate

    assert certificate.not_valid_after_utc == AUTHORITY.certificate.not_valid_after_utc


def test_the_service_has_all_its_names() -> None:
    assert leaf.server_names("guard", ["10.0.0.1", "localhost"]) == (
        "localhost",
        "127.0.0.1",
        "::1",
        "podgate",
        "podgate.guard",
        "podgate.guard.svc",
        "podgate.guard.svc.cluster.local",
        "10.0.0.1",
    )


@pytest.mark.parametrize(
    ("name", "carried"),
    [
        pytest.param("podgate.x.svc", {"podgate.x.svc"}, id="the same"),
        pytest.param("Podgate.X.svc", {"podgate.x.svc"}, id="other case"),
        pytest.param("podgate.x.svc", {"*.x.svc"}, id="wildcard for one label"),
        pytest.param("0:0::1", {"::1"}, id="an address written otherwise"),
    ],
)
def test_a_name_is_covered(name: str, carried: set[str]) -> None:
    assert leaf.is_covered(name, frozenset(carried))


@pytest.mark.parametrize(
    ("name", "carried"),
    [
        pytest.param("podgate.x.svc", set(), id="nothing carried"),
        pytest.param("podgate.x.svc", {"*.svc"}, id="wildcard for two labels"),
        pytest.param("x.svc", {"*.x.svc"}, id="wildcard for no label"),
        pytest.param("10.0.0.1", {"*.0.0.1"}, id="wildcard for an address"),
    ],
)
def test_a_name_is_not_covered(name: str, carried: set[str]) -> None:
    assert not leaf.is_covered(name, frozenset(carried))


@given(
    st.lists(
        st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{1,8}){0,3}", fullmatch=True)
        | st.ip_addresses().filter(lambda address: getattr(address, "scope_id", None) is None).map(str),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
@settings(max_examples=25, deadline=None)
def test_whatever_names_it_is_made_for_it_carries(names: list[str]) -> None:
    certificate = leaf.create(AUTHORITY, names, NOW).certificate

    assert all(leaf.is_covered(name, leaf.names_of(certificate)) for name in names)
    assert leaf.renewal_reason(certificate, names, NOW) is None


@pytest.mark.parametrize(
    ("days", "due"),
    [(0, None), (59, None), (60, "two thirds"), (89, "two thirds"), (90, "expired"), (-1, "not valid before")],
)
def test_renewal_is_due_when_two_thirds_of_its_life_are_over(days: int, due: str | None) -> None:
    certificate = leaf.create(AUTHORITY, ["localhost"], NOW).certificate

    reason = leaf.renewal_reason(certificate, ["localhost"], NOW + days * DAY)
    assert reason is None if due is None else due in (reason or "")
