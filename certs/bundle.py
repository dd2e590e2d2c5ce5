"""Bundles of authorities, and the question that everything else serves: is a certificate trusted by them?

A bundle is what a webhook object names as ``caBundle``: PEM certificates, one after the other, each of which an API
server accepts as the end of a chain. Bundles and Secrets can be edited by hand, so reading is tolerant: what cannot be
read is left out and counted, never an error.
"""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certs import checks, leaf

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Bundle(NamedTuple):
    """What a text of PEM certificates holds."""

    certificates: tuple[x509.Certificate, ...] = ()
    """In their order, each once."""
    broken: int = 0
    """Pieces that are no certificate; a text without any certificate is one such piece."""

    def valid(self, now: dt.datetime) -> tuple[x509.Certificate, ...]:
        """Return the certificates that can vouch for others at `now`."""
        return tuple(entry for entry in self.certificates if checks.validity_problem(entry, now) is None)


class KeyPair(NamedTuple):
    """A serving certificate with its intermediates, and its key, as they are handed to a TLS server."""

    chain: tuple[x509.Certificate, ...]
    """The serving certificate first."""
    key: leaf.PrivateKey

    @property
    def ends(self) -> dt.datetime:
        """When the serving certificate stops being valid."""
        return self.chain[0].not_valid_after_utc

    @property
    def life(self) -> dt.timedelta:
        """For how long the serving certificate is valid, from its beginning to its end."""
        return self.chain[0].not_valid_after_utc - self.chain[0].not_valid_before_utc


def parse(text: bytes | None) -> Bundle:
    """Read PEM certificates, leaving out what cannot be read."""
    if not text or not text.strip():
        return Bundle()
    found: dict[bytes, x509.Certificate] = {}
    broken = 0
    for block in _BLOCK.findall(text):
        try:
            entry = x509.load_pem_x509_certificate(block)
            # Some nonsense is only noticed when a field is asked for.
            _ = entry.not_valid_before_utc, entry.not_valid_after_utc, entry.subject, entry.extensions
        except ValueError:
            broken += 1
            continue
        found[entry.public_bytes(serialization.Encoding.DER)] = entry
    if not found and not broken:
        broken = 1
    return Bundle(tuple(found.values()), broken)


def parse_key(text: bytes | None) -> leaf.PrivateKey | None:
    """Read a PEM private key; None where there is none that a TLS server or an authority of ours uses."""
    if not text or not text.strip():
        return None
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) else None


def parse_pair(chain: bytes | None, key: bytes | None) -> KeyPair | None:
    """Read a serving certificate and its key; None where either is missing, or they do not belong together."""
    certificates, private = parse(chain).certificates, parse_key(key)
    if not certificates or private is None or checks.pair_problem(certificates[0], private) is not None:
        return None
    return KeyPair(certificates, private)


def encode(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return certificates as PEM."""
    return b"".join(entry.public_bytes(serialization.Encoding.PEM) for entry in certificates)


def same(one: Iterable[x509.Certificate], other: Iterable[x509.Certificate]) -> bool:
    """Whether two bundles trust the same certificates, in whatever order."""
    return set(one) == set(other)


def problem(pair: KeyPair, live: Sequence[bytes], name: str, now: dt.datetime) -> str | None:
    """Say why a client that trusts any one of the `live` bundles would refuse `pair`, or None where all accept it.

    Args:
        pair: what is, or would be, served.
        live: the ``caBundle`` of every webhook that calls us; none at all is no reason to refuse.
        name: the name that is called, such as ``podgate.podgate.svc``.
        now: aware.
    """
    reason = checks.validity_problem(pair.chain[0], now)
    if reason is not None:
        return f"the serving certificate: {reason}"
    if not leaf.is_covered(name, leaf.names_of(pair.chain[0])):
        return f"the serving certificate does not carry {name}"
    for text in live:
        anchors = parse(text).certificates
        if not anchors:
            return "a caBundle of the webhook objects is empty"
        if checks.path_problem(pair.chain, anchors, now) is not None:
            return "the serving certificate is not signed by an authority in the caBundle of the webhook objects"
    return None


def trust_ends(pair: KeyPair, live: Sequence[bytes]) -> dt.datetime | None:
    """Return when the first of the `live` bundles stops vouching for `pair`, whatever the end of the pair itself.

    None where there is no bundle, or one that does not vouch for it at all.
    """
    ends: list[dt.datetime] = []
    begin = max(entry.not_valid_before_utc for entry in pair.chain)
    for text in live:
        # One anchor at a time, judged at a moment at which all parts of the chain have begun: when it ends is asked.
        vouching = [
            anchor.not_valid_after_utc
            for anchor in parse(text).certificates
            if checks.path_problem(pair.chain, [anchor], max(begin, anchor.not_valid_before_utc)) is None
        ]
        if not vouching:
            return None
        ends.append(max(vouching))
    return min(ends) if ends else None
