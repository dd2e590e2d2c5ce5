"""What is wrong with a key or a certificate, in words."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

import certs
from certs import checks, leaf

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="ECDSA"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="Ed25519"),
        pytest.param(rsa.generate_private_key(65537, 2048), id="RSA"),
    ],
)
def test_a_key_of_a_usual_kind_is_read_as_it_was_written(tmp_path: Path, key: leaf.PrivateKey) -> None:
    (tmp_path / "tls.key").write_bytes(checks.encode_key(key))

    read = checks.read_key(tmp_path / "tls.key")

    assert read is not None
    assert checks.encode_key(read) == checks.encode_key(key)


def test_a_key_of_an_unusual_kind_is_refused(tmp_path: Path) -> None:
    key = ed448.Ed448PrivateKey.generate()
    (tmp_path / "tls.key").write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))

    with pytest.raises(certs.CertificateError, match="use one of these"):
        checks.read_key(tmp_path / "tls.key")


def test_a_key_with_a_pass_phrase_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "tls.key").write_bytes(key.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"secret")))

    with pytest.raises(certs.CertificateError, match="has a pass phrase"):
        checks.read_key(tmp_path / "tls.key")


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert checks.read_key(tmp_path / "tls.key") is None
    assert checks.read_certificates(tmp_path / "tls.crt") == []
