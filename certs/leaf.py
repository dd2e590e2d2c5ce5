"""The serving certificate: which names it carries, how it is signed, and when it is due for renewal.

It lives 90 days and is renewed after 60. It carries names, never a common name alone: Go, and so every API server,
looks at subject alternative names only.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import authority as authorities

LIFETIME = dt.timedelta(days=90)
"""Life of a serving certificate; shorter where the authority ends before."""


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
"""Kinds of keys that a serving certificate may have."""


class Leaf(NamedTuple):
    """A serving certificate and its key."""

    key: PrivateKey
    certificate: x509.Certificate


def server_names(namespace: str = "podgate", extra: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names a serving certificate needs: the local ones, those of the Service `podgate`, and `extra`.

    Args:
        namespace: namespace of the Service; an API server calls ``podgate.<namespace>.svc``.
        extra: further host names or IP addresses.
    """
    service = f"podgate.{namespace}"
    names = ["localhost", "127.0.0.1", "::1", "podgate", service, f"{service}.svc", f"{service}.svc.cluster.local"]
    return tuple(dict.fromkeys([*names, *extra]))


def create(
    authority: authorities.Authority, names: Sequence[str], now: dt.datetime, key: PrivateKey | None = None
) -> Leaf:
    """Make a serving certificate for `names`, signed by `authority`, for server authentication only.

    Args:
        authority: who signs.
        names: host names and IP addresses it is for.
        now: aware; the life of the certificate begins five minutes before.
        key: an existing key; without it a new ECDSA P-256 key is made.

    Raises:
        ValueError: a name that is neither a host name nor an IP address.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    public_key = key.public_key()
    issuer = authority.certificate
    key_identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        # With an empty subject the alternative names must be critical (RFC 5280, 4.2.1.6).
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - authorities.BACKDATED, issuer.not_valid_before_utc))
        .not_valid_after(min(now + LIFETIME, issuer.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNATURES_ONLY, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Leaf(key, certificate)


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the DNS names (lower case) and IP addresses that a certificate carries."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    hosts = {name.lower() for name in extension.get_values_for_type(x509.DNSName)}
    return frozenset(hosts | {str(address) for address in extension.get_values_for_type(x509.IPAddress)})


def is_covered(name: str, carried: frozenset[str]) -> bool:
    """Whether `name` is among the `carried` names; ``*.x`` stands for one label before ``x``."""
    name = _canonical(name)
    if name in carried:
        return True
    _, dot, parent = name.partition(".")
    return bool(dot) and not _is_address(name) and f"*.{parent}" in carried


def renewal_reason(certificate: x509.Certificate, names: Sequence[str], now: dt.datetime) -> str | None:
    """Say why a serving certificate that we made is due for renewal, or None."""
    carried = names_of(certificate)
    missing = [name for name in names if not is_covered(name, carried)]
    if missing:
        return f"it does not carry {', '.join(missing)}"
    return authorities.renewal_reason(certificate, now)


def _general_name(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if _is_address(name) else x509.DNSName(name.lower())


def _canonical(name: str) -> str:
    return str(ipaddress.ip_address(name)) if _is_address(name) else name.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


_SIGNATURES_ONLY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
