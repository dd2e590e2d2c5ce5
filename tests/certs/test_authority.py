"""The authority: what it may sign, how long it lives, and that a renewal breaks nobody's trust."""

import datetime as dt

from cryptography import x509

from certs import authority, leaf

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def test_it_signs_serving_certificates_and_no_further_authorities() -> None:
    certificate = authority.create(NOW).certificate

    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_it_lives_a_year() -> None:
    certificate = authority.create(NOW).certificate

    assert certificate.not_valid_after_utc - NOW == dt.timedelta(days=365)
    assert NOW - certificate.not_valid_before_utc == dt.timedelta(minutes=5)


def test_two_authorities_never_share_a_name() -> None:
    assert authority.create(NOW).certificate.subject != authority.create(NOW).certificate.subject


def test_a_certificate_from_before_a_renewal_is_verified_by_the_new_authority_and_the_other_way_round() -> None:
    old = authority.create(NOW)
    later = NOW + dt.timedelta(days=250)
    new = authority.renew(old, later)

    leaf.create(old, ["localhost"], NOW).certificate.verify_directly_issued_by(new.certificate)
    leaf.create(new, ["localhost"], later).certificate.verify_directly_issued_by(old.certificate)
    assert new.certificate.serial_number != old.certificate.serial_number


def test_renewal_leaves_more_time_than_a_serving_certificate_lives() -> None:
    certificate = authority.create(NOW).certificate
    day = dt.timedelta(days=1)
    due = next(n for n in range(366) if authority.renewal_reason(certificate, NOW + n * day) is not None)

    assert certificate.not_valid_after_utc - (NOW + due * day) > leaf.LIFETIME
