"""Reading certificates and keys, and what may be wrong with them.

The ``…_problem`` functions return the reason in a few words, or None; which file it concerns and what to do about it is
said by the caller, who knows whose file it is.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certs.errors import CertificateError
from certs.leaf import PrivateKey


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a PEM file in their order; an empty list where the file does not exist.

    Raises:
        CertificateError: the file holds no certificate, or one that cannot be read.
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError:
        return []
    except ValueError:
        raise CertificateError(f"{path}: no PEM certificate; replace it, or remove it to have it made anew") from None


def read_key(path: Path) -> PrivateKey | None:
    """Return the private key of a PEM file; None where the file does not exist.

    Raises:
        CertificateError: no key, one with a pass phrase, or of a kind that is not used for TLS servers.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except TypeError:
        raise CertificateError(f"{path}: has a pass phrase; store the key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"{path}: no PEM private key; replace it, or remove it to have it made anew") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise CertificateError(f"{path}: not an ECDSA, RSA or Ed25519 key; use one of these")
    return key


def encode_key(key: PrivateKey) -> bytes:
    """Return a private key as PEM (PKCS #8, no pass phrase)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pair_problem(certificate: x509.Certificate, key: PrivateKey | None) -> str | None:
    """Say why `key` is not the key of `certificate`, or None."""
    if key is None:
        return "the key is missing"
    if _public_bytes(certificate.public_key()) != _public_bytes(key.public_key()):
        return "the key does not belong to the certificate"
    return None


def validity_problem(certificate: x509.Certificate, now: dt.datetime) -> str | None:
    """Say why a certificate is not valid at `now`, or None."""
    if now >= certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if now < certificate.not_valid_before_utc:
        return f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return None


def path_problem(
    chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: dt.datetime
) -> str | None:
    """Say why `chain` (leaf first, then intermediates in any order) leads to none of the `anchors`, or None.

    Signatures, names and dates are judged. A chain whose first certificate is itself an anchor (self-signed) is fine.
    """
    current, intermediates = chain[0], list(chain[1:])
    outdated = None
    while True:
        for anchor in anchors:
            if anchor == current or _is_issued_by(current, anchor):
                outdated = validity_problem(anchor, now)
                if outdated is None:
                    return None
        issuer = next((entry for entry in intermediates if _is_issued_by(current, entry)), None)
        if issuer is None:
            return f"its authority in ca.crt is {outdated}" if outdated else "signed by no certificate in ca.crt"
        problem = validity_problem(issuer, now)
        if problem:
            return f"its intermediate certificate is {problem}"
        intermediates.remove(issuer)
        current = issuer


def is_signed_by(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether the signature of `certificate` was made with `key`, whatever the dates."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        return False
    try:
        key.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
    except InvalidSignature:
        return False
    return True


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _public_bytes(key: object) -> bytes:
    if not hasattr(key, "public_bytes"):
        return b""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return bytes(encoded)
