"""Client certificates for tests."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certs import authority, checks


def client_pair(
    directory: Path,
    signer: authority.Authority,
    name: str = "kube-apiserver",
    others: tuple[x509.GeneralName, ...] = (),
) -> Path:
    """Write a client certificate and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - authority.BACKDATED)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if others:
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    certificate = builder.sign(signer.key, hashes.SHA256())
    path = directory / f"client-{certificate.serial_number}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + checks.encode_key(key))
    return path
