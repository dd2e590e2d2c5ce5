"""The certificate directory: what is made, what is renewed, what is refused with which words."""

import datetime as dt
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import certs
from certs import authority, checks, leaf

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NAMES = certs.server_names()
ALL_FILES = ["ca.crt", "ca.key", "tls.crt", "tls.key"]


def made(tmp_path: Path, now: dt.datetime = NOW) -> Path:
    """Return a directory in which everything was made by us."""
    certs.ensure(tmp_path / "certs", NAMES, now)
    return tmp_path / "certs"


def foreign(tmp_path: Path, now: dt.datetime = NOW) -> Path:
    """Return a directory whose authority is somebody else's."""
    directory = made(tmp_path, now)
    (directory / "ca.key").unlink()
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def shake_hands(paths: certs.CertificatePaths, host: str, trusted: Path) -> str | None:
    """Do a TLS handshake in memory; return the protocol version."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(paths.tls_crt, paths.tls_key)
    client_context = ssl.create_default_context(cafile=trusted)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    upstream, downstream = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(downstream, upstream, server_hostname=host)
    server = server_context.wrap_bio(upstream, downstream, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version()


def test_everything_is_made_in_an_empty_place(tmp_path: Path) -> None:
    paths = certs.ensure(tmp_path / "deep" / "certs", NAMES, NOW)

    assert sorted(contents(tmp_path / "deep" / "certs")) == ALL_FILES
    assert len(paths.changes) == 2


def test_keys_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    directory = made(tmp_path)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "tls.crt": 0o644, "tls.key": 0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("host", NAMES)
def test_a_client_that_trusts_ca_crt_accepts_every_name(tmp_path: Path, host: str) -> None:
    now = dt.datetime.now(dt.UTC)
    paths = certs.ensure(tmp_path, NAMES, now)

    assert shake_hands(paths, host, paths.ca_crt) == "TLSv1.3"


def test_a_client_that_trusts_another_authority_refuses(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    paths = certs.ensure(tmp_path / "one", NAMES, now)
    other = certs.ensure(tmp_path / "two", NAMES, now)

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(paths, "localhost", other.ca_crt)


def test_a_second_look_changes_nothing(tmp_path: Path) -> None:
    directory = made(tmp_path)
    before = contents(directory)

    paths = certs.ensure(directory, NAMES, NOW + 59 * DAY)

    assert paths.changes == ()
    assert contents(directory) == before


@pytest.mark.parametrize("days", [60, 90, 200], ids=["two thirds over", "just expired", "long expired"])
def test_our_own_serving_certificate_is_renewed_in_time(tmp_path: Path, days: int) -> None:
    directory = made(tmp_path)
    before = contents(directory)

    paths = certs.ensure(directory, NAMES, NOW + days * DAY)

    assert contents(directory)["ca.crt"] == before["ca.crt"]
    assert contents(directory)["tls.key"] != before["tls.key"]
    assert certs.expiries(paths)["leaf"] == NOW + days * DAY + leaf.LIFETIME


@pytest.mark.parametrize("days", [244, 400], ids=["two thirds over", "expired"])
def test_a_renewed_authority_is_still_verified_by_who_trusts_the_old_one(tmp_path: Path, days: int) -> None:
    begin = dt.datetime.now(dt.UTC) - days * DAY
    directory = made(tmp_path, begin)
    (tmp_path / "old.crt").write_bytes((directory / "ca.crt").read_bytes())

    paths = certs.ensure(directory, NAMES, dt.datetime.now(dt.UTC))

    assert len(paths.changes) == 2
    assert shake_hands(paths, "localhost", paths.ca_crt) == "TLSv1.3"
    if days < 365:
        assert shake_hands(paths, "localhost", tmp_path / "old.crt") == "TLSv1.3"


def test_a_new_name_renews_the_serving_certificate(tmp_path: Path) -> None:
    directory = made(tmp_path)

    paths = certs.ensure(directory, certs.server_names(extra=["webhook.example"]), NOW)

    assert "webhook.example" in paths.changes[0]
    assert leaf.is_covered("webhook.example", leaf.names_of(checks.read_certificates(paths.tls_crt)[0]))


@pytest.mark.parametrize(
    "missing", [["tls.crt"], ["tls.key"], ["tls.crt", "tls.key"], ["ca.crt"], ["ca.crt", "tls.crt"]]
)
def test_missing_pieces_of_our_own_are_made_again(tmp_path: Path, missing: list[str]) -> None:
    now = dt.datetime.now(dt.UTC)
    directory = made(tmp_path, now)
    for name in missing:
        (directory / name).unlink()

    paths = certs.ensure(directory, NAMES, now)

    assert sorted(contents(directory)) == ALL_FILES
    assert shake_hands(paths, "localhost", paths.ca_crt) == "TLSv1.3"
    assert certs.ensure(directory, NAMES, now).changes == ()


def test_a_lone_key_is_kept_and_certified(tmp_path: Path) -> None:
    directory = made(tmp_path)
    (directory / "tls.crt").unlink()
    before = (directory / "tls.key").read_bytes()

    certs.ensure(directory, NAMES, NOW)

    assert (directory / "tls.key").read_bytes() == before


def test_a_pair_that_a_crash_left_half_replaced_is_made_again(tmp_path: Path) -> None:
    directory = made(tmp_path)
    (directory / "tls.key").write_bytes((made(tmp_path / "other") / "tls.key").read_bytes())

    paths = certs.ensure(directory, NAMES, NOW)

    assert "did not belong" in paths.changes[0]
    assert certs.ensure(directory, NAMES, NOW).changes == ()


def test_a_foreign_directory_in_order_is_left_alone(tmp_path: Path) -> None:
    directory = foreign(tmp_path)
    before = contents(directory)

    paths = certs.ensure(directory, NAMES, NOW + 80 * DAY)

    assert paths.changes == ()
    assert contents(directory) == before


def test_a_foreign_certificate_may_come_through_an_intermediate(tmp_path: Path) -> None:
    root = authority.create(NOW)
    middle = authority.create(NOW)
    cross = (
        x509.CertificateBuilder()
        .subject_name(middle.certificate.subject)
        .issuer_name(root.certificate.subject)
        .public_key(middle.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 30 * DAY)
        .sign(root.key, root.certificate.signature_hash_algorithm)  # type: ignore[arg-type]  # it is SHA-256
    )
    made_leaf = leaf.create(middle, NAMES, NOW)
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.crt").write_bytes(root.certificate.public_bytes(pem))
    (tmp_path / "tls.crt").write_bytes(made_leaf.certificate.public_bytes(pem) + cross.public_bytes(pem))
    (tmp_path / "tls.key").write_bytes(checks.encode_key(made_leaf.key))

    assert certs.ensure(tmp_path, NAMES, NOW).changes == ()
    with pytest.raises(certs.CertificateError, match="intermediate certificate is expired"):
        certs.ensure(tmp_path, NAMES, NOW + 31 * DAY)


def test_a_foreign_pair_beside_our_authority_is_judged_and_not_replaced(tmp_path: Path) -> None:
    directory = made(tmp_path)
    other = made(tmp_path / "other")
    for name in ("tls.crt", "tls.key"):
        (directory / name).write_bytes((other / name).read_bytes())

    with pytest.raises(certs.CertificateError, match=r"tls\.crt: signed by no certificate in ca\.crt"):
        certs.ensure(directory, NAMES, NOW)


def remove(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def spoil(name: str, content: bytes = b"not PEM\n") -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / name).write_bytes(content)

    return write


def swap(name: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        other = certs.ensure(directory.parent / "other", NAMES, NOW).ca_crt.parent
        (directory / name).write_bytes((other / name).read_bytes())

    return write


@pytest.mark.parametrize(
    ("breakage", "names", "days", "message"),
    [
        pytest.param(remove("ca.crt"), NAMES, 0, r"ca\.crt: missing", id="no authority"),
        pytest.param(remove("tls.crt"), NAMES, 0, r"tls\.crt: missing", id="no certificate"),
        pytest.param(remove("tls.key"), NAMES, 0, r"tls\.key: missing", id="no key"),
        pytest.param(spoil("ca.crt"), NAMES, 0, r"ca\.crt: no PEM certificate", id="authority is rubbish"),
        pytest.param(spoil("tls.crt", b""), NAMES, 0, r"tls\.crt: no PEM certificate", id="certificate is empty"),
        pytest.param(spoil("tls.key"), NAMES, 0, r"tls\.key: no PEM private key", id="key is rubbish"),
        pytest.param(swap("tls.key"), NAMES, 0, r"tls\.key: the key does not belong", id="key of another"),
        pytest.param(swap("ca.crt"), NAMES, 0, r"tls\.crt: signed by no certificate", id="authority of another"),
        pytest.param(lambda _: None, NAMES, 90, r"tls\.crt: expired on 2027-02-20", id="expired"),
        pytest.param(lambda _: None, NAMES, -1, r"tls\.crt: not valid before", id="not yet valid"),
        pytest.param(lambda _: None, ("webhook.example",), 0, r"tls\.crt: carries .*localhost", id="other names only"),
    ],
)
def test_a_broken_foreign_directory_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, breakage: Callable[[Path], None], names: tuple[str, ...], days: int, message: str
) -> None:
    directory = foreign(tmp_path)
    breakage(directory)
    before = contents(directory)

    with pytest.raises(certs.CertificateError, match=message) as caught:
        certs.ensure(directory, names, NOW + days * DAY)

    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value) or ": have" in str(caught.value)
    assert contents(directory) == before


def test_a_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    directory = made(tmp_path)
    swap("ca.key")(directory)

    with pytest.raises(certs.CertificateError, match=r"ca\.key: does not belong"):
        certs.ensure(directory, NAMES, NOW)


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(certs.CertificateError, match="correct the name"):
        certs.ensure(tmp_path, [*NAMES, "bücher.example"], NOW)


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "certs").write_text("")

    with pytest.raises(certs.CertificateError, match="certs: File exists; give a directory"):
        certs.ensure(tmp_path / "certs", NAMES, NOW)


def test_no_temporary_file_is_left_behind(tmp_path: Path) -> None:
    directory = made(tmp_path)
    for days in (61, 122, 250):
        certs.ensure(directory, NAMES, NOW + days * DAY)

    assert sorted(contents(directory)) == ALL_FILES


def test_expiries_name_both_parts(tmp_path: Path) -> None:
    paths = certs.ensure(tmp_path, NAMES, NOW)

    assert certs.expiries(paths) == {"ca": NOW + 365 * DAY, "leaf": NOW + 90 * DAY}
    paths.tls_crt.unlink()
    with pytest.raises(certs.CertificateError, match="the file is gone"):
        certs.expiries(paths)
