"""The certificate authority: a key and a self-signed certificate.

Life of the authority is a year, and it is renewed when two thirds of it are over: what remains then (four months) is
more than the whole life of a serving certificate, so a serving certificate is never cut short by its issuer.

A renewed authority keeps its key and its name. Whoever still trusts the certificate from before the renewal
verifies the same chain as whoever trusts the new one, so there is no moment at which an API server that has not
been told yet refuses the webhook.
"""

import datetime as dt
import secrets
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = dt.timedelta(days=365)
"""Life of an authority's certificate."""

BACKDATED = dt.timedelta(minutes=5)
"""How far before its making a certificate becomes valid, for peers whose clock is behind."""


class Authority(NamedTuple):
    """A certificate authority that can sign."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def create(
    now: dt.datetime, key: ec.EllipticCurvePrivateKey | None = None, subject: x509.Name | None = None
) -> Authority:
    """Make an authority, valid for a year.

    A new name ends in random digits: two authorities of the same name make verifiers try the wrong one, and report
    a bad signature where "unknown authority" would be the truth.

    Args:
        now: aware; the life of the certificate begins five minutes before.
        key: an existing key; without it a new ECDSA P-256 key is made.
        subject: the name under which that key has signed before, where one is known.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Podgate CA {secrets.token_hex(4)}")])
    return _self_signed(key or ec.generate_private_key(ec.SECP256R1()), subject or name, now)


def renew(authority: Authority, now: dt.datetime) -> Authority:
    """Make a new certificate for the same key and the same name."""
    return _self_signed(authority.key, authority.certificate.subject, now)


def renewal_reason(certificate: x509.Certificate, now: dt.datetime) -> str | None:
    """Say why a certificate that we made is due for renewal: two thirds of its life are over; else None."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= end:
        return f"expired on {end:%Y-%m-%d}"
    if now >= begin + (end - begin) * 2 / 3:
        return f"two thirds of its life are over (it ends on {end:%Y-%m-%d})"
    if now < begin:
        return f"not valid before {begin:%Y-%m-%d %H:%M} UTC"
    return None


def _self_signed(key: ec.EllipticCurvePrivateKey, subject: x509.Name, now: dt.datetime) -> Authority:
    public_key = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNING_ONLY, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


_SIGNING_ONLY = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
