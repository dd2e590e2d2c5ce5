"""Certificates in service: loaded, replaced while running, kept when the new ones are broken."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest

import certs
from webhook.serve import tls

NAMES = certs.server_names()
DAY = dt.timedelta(days=1)


class Clock:
    """A clock that is moved by hand; it begins at the present, which is when OpenSSL judges certificates."""

    def __init__(self) -> None:
        self.time = dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.time


def served_certificate(context: ssl.SSLContext) -> str:
    """Return the certificate that a new connection gets."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    encoded = shake_hands(trust, context).getpeercert(binary_form=True)
    assert encoded is not None
    return encoded.hex()


def shake_hands(client_context: ssl.SSLContext, server_context: ssl.SSLContext) -> ssl.SSLObject:
    """Do a handshake in memory; return the client's side."""
    upstream, downstream = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(downstream, upstream)
    server = server_context.wrap_bio(upstream, downstream, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client


def spoken(server_context: ssl.SSLContext, version: ssl.TLSVersion) -> str | None:
    """Return the version that a client which speaks only `version` agrees on with the server."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    # OpenSSL's security levels would make the client itself shy away from old versions.
    trust.set_ciphers("ALL:@SECLEVEL=0")
    trust.minimum_version = trust.maximum_version = version
    return shake_hands(trust, server_context).version()


def kept(directory: Path, clock: Clock) -> tuple[tls.CertificateKeeper, tls.ServerTls]:
    keeper = tls.CertificateKeeper(directory, NAMES, clock)
    served = tls.ServerTls(keeper.paths.tls_crt, keeper.paths.tls_key)
    keeper.attach(served)
    return keeper, served


def test_new_connections_get_a_replaced_certificate(tmp_path: Path) -> None:
    clock = Clock()
    keeper, served = kept(tmp_path, clock)
    before = served_certificate(served.context)
    (tmp_path / "tls.crt").unlink()

    changes = keeper.look()

    assert len(changes) == 2
    assert served_certificate(served.context) != before
    assert keeper.problem() is None


def test_an_unchanged_certificate_is_not_loaded_again(tmp_path: Path) -> None:
    keeper, served = kept(tmp_path, Clock())

    assert served.reload_certificates() is False
    assert keeper.look() == ()


def test_a_certificate_that_is_due_is_renewed_and_served(tmp_path: Path) -> None:
    clock = Clock()
    keeper, served = kept(tmp_path, clock)
    before = served_certificate(served.context)
    clock.time += 61 * DAY

    assert len(keeper.look()) == 2
    assert served_certificate(served.context) != before
    assert round(keeper.seconds_left()["leaf"] / 86400) == 90


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
def test_a_broken_replacement_leaves_the_old_certificate_in_service(tmp_path: Path, name: str) -> None:
    keeper, served = kept(tmp_path, Clock())
    before = served_certificate(served.context)
    (tmp_path / name).write_text("rubbish")

    assert keeper.look() == ()

    assert served_certificate(served.context) == before
    assert keeper.problem() is None, "what is served is still good"
    assert name in keeper.notices()[0]
    with pytest.raises(tls.TlsError):
        served.reload_certificates()
    assert served_certificate(served.context) == before


def test_a_mended_directory_ends_the_notice(tmp_path: Path) -> None:
    keeper, _ = kept(tmp_path, Clock())
    good = (tmp_path / "tls.crt").read_bytes()
    (tmp_path / "tls.crt").write_text("rubbish")
    keeper.look()
    (tmp_path / "tls.crt").write_bytes(good)

    keeper.look()

    assert keeper.notices() == []


def test_an_expired_certificate_that_is_not_ours_is_a_failing_check(tmp_path: Path) -> None:
    clock = Clock()
    certs.ensure(tmp_path, NAMES, clock())
    (tmp_path / "ca.key").unlink()
    keeper, _ = kept(tmp_path, clock)
    assert keeper.problem() is None
    clock.time += 90 * DAY

    assert "tls.crt: expired on" in (keeper.problem() or "")
    keeper.look()
    assert "have its issuer renew it" in (keeper.problem() or "")
    assert keeper.seconds_left()["leaf"] <= 0


async def test_the_directory_is_watched_while_the_process_runs(tmp_path: Path) -> None:
    keeper, served = kept(tmp_path, Clock())
    before = served_certificate(served.context)
    async with keeper.watching(interval=0.01):
        (tmp_path / "tls.crt").unlink()
        for _ in range(500):
            if served_certificate(served.context) != before:
                break
            await asyncio.sleep(0.01)

    assert served_certificate(served.context) != before


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        pytest.param("none.crt", "tls.key", "none.crt: No such file", id="no certificate"),
        pytest.param("tls.crt", "none.key", "none.key: No such file", id="no key"),
        pytest.param("ca.crt", "tls.key", "the key does not belong", id="key of another"),
        pytest.param("tls.key", "tls.key", "not readable as PEM", id="no certificate in it"),
    ],
)
def test_a_pair_that_cannot_be_served_is_one_line(tmp_path: Path, certificate: str, key: str, message: str) -> None:
    certs.ensure(tmp_path, NAMES, Clock()())

    with pytest.raises(tls.TlsError, match=message) as caught:
        tls.ServerTls(tmp_path / certificate, tmp_path / key)

    assert "\n" not in str(caught.value)
    assert "; give " in str(caught.value)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_below_1_2_is_refused(tmp_path: Path) -> None:
    paths = certs.ensure(tmp_path, NAMES, Clock()())
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lenient.set_ciphers("ALL:@SECLEVEL=0")
    lenient.minimum_version = ssl.TLSVersion.TLSv1_1
    lenient.load_cert_chain(paths.tls_crt, paths.tls_key)
    assert spoken(lenient, ssl.TLSVersion.TLSv1_1) == "TLSv1.1", "the client is able to"

    with pytest.raises(ssl.SSLError):
        spoken(tls.ServerTls(paths.tls_crt, paths.tls_key).context, ssl.TLSVersion.TLSv1_1)


@pytest.mark.parametrize(
    ("version", "name"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
)
def test_tls_1_2_and_1_3_are_spoken(tmp_path: Path, version: ssl.TLSVersion, name: str) -> None:
    paths = certs.ensure(tmp_path, NAMES, Clock()())

    assert spoken(tls.ServerTls(paths.tls_crt, paths.tls_key).context, version) == name
