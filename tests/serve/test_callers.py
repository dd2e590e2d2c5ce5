"""Who may call: the authority, the names, the handshakes that are refused and told, an authority that is replaced."""

import datetime as dt
import ssl
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from prometheus_client import CollectorRegistry

import certs
from certs import authority
from tests.serve.client_certificates import client_pair
from webhook.serve import tls
from webhook.serve.callers import RECENT_SECONDS, CallerCollector, CallerError, Callers

SIGNER = authority.create(dt.datetime.now(dt.UTC))
STRANGER = authority.create(dt.datetime.now(dt.UTC))


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def written(path: Path, *signers: authority.Authority) -> Path:
    path.write_bytes(b"".join(each.certificate.public_bytes(serialization.Encoding.PEM) for each in signers))
    return path


class Port:
    """A server's context and what verifies its clients."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.directory = directory
        self.paths = certs.ensure(directory / "serving", certs.server_names(), dt.datetime.now(dt.UTC))
        self.file = written(directory / "clients.crt", SIGNER)
        self.clock = Clock()
        self.callers = Callers(self.file, names, self.clock)
        self.tls = tls.ServerTls(self.paths.tls_crt, self.paths.tls_key, self.callers)

    def answers(self, pair: Path | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bool:
        """Whether the server's side of a handshake comes to its end."""
        trust = ssl.create_default_context(cafile=self.paths.ca_crt)
        trust.minimum_version = trust.maximum_version = version
        if pair is not None:
            trust.load_cert_chain(pair)
        upstream, downstream = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trust.wrap_bio(downstream, upstream, server_hostname="localhost")
        server = self.tls.context.wrap_bio(upstream, downstream, server_side=True)
        is_done = False
        for _ in range(4):
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLError:
                    return False
                is_done = is_done or side is server
        return is_done


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
@pytest.mark.parametrize(
    ("names", "common", "others"),
    [
        pytest.param((), "anything", (), id="no name is asked for"),
        pytest.param(("kube-apiserver",), "kube-apiserver", (), id="common name"),
        pytest.param(("a", "api.example"), "x", (x509.DNSName("api.example"),), id="DNS name"),
        pytest.param(("spiffe://c/api",), "x", (x509.UniformResourceIdentifier("spiffe://c/api"),), id="URI"),
    ],
)
def test_a_certificate_of_the_authority_with_a_given_name_may_call(
    tmp_path: Path, version: ssl.TLSVersion, names: Iterable[str], common: str, others: tuple[x509.GeneralName, ...]
) -> None:
    port = Port(tmp_path, *names)

    assert port.answers(client_pair(tmp_path, SIGNER, common, others), version)
    assert port.callers.refused == {}
    assert port.callers.notices() == []


@VERSIONS
@pytest.mark.parametrize(
    ("reason", "signer", "name"),
    [
        ("no_certificate", None, ""),
        ("untrusted", STRANGER, "kube-apiserver"),
        ("name", SIGNER, "kube-apiserver.example"),
        ("name", SIGNER, "Kube-Apiserver"),
    ],
)
def test_any_other_caller_is_refused_counted_and_told(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    version: ssl.TLSVersion,
    reason: str,
    signer: authority.Authority | None,
    name: str,
) -> None:
    port = Port(tmp_path, "kube-apiserver")
    pair = client_pair(tmp_path, signer, name) if signer is not None else None

    assert not port.answers(pair, version)
    assert not port.answers(pair, version)

    assert port.callers.refused == {reason: 2}
    (line,) = port.callers.notices()
    assert line.startswith("2 handshakes refused, the last 0 s ago: callers showed ")
    assert "; " in line, "it says how to mend it"
    assert [record.getMessage()[:18] for record in caplog.records] == ["handshake refused:"], "logged once in a while"
    registry = CollectorRegistry()
    registry.register(CallerCollector(port.callers))
    assert registry.get_sample_value("podgate_handshakes_refused_total", {"reason": reason}) == 2
    assert registry.get_sample_value("podgate_callers_verified") == 1


def test_a_refused_handshake_is_told_for_some_minutes(tmp_path: Path) -> None:
    port = Port(tmp_path)
    port.answers(None)
    port.clock.seconds += RECENT_SECONDS + 1

    assert port.callers.notices() == []


def test_a_replaced_authority_verifies_new_callers_and_no_old_ones(tmp_path: Path) -> None:
    port = Port(tmp_path)
    old, new = client_pair(tmp_path, SIGNER), client_pair(tmp_path, STRANGER)
    assert (port.answers(old), port.answers(new)) == (True, False)

    written(port.file, STRANGER)
    port.callers.look()
    assert (port.answers(old), port.answers(new)) == (False, True)

    written(port.file, STRANGER, SIGNER)
    port.callers.look()
    assert (port.answers(old), port.answers(new)) == (True, True)


def test_a_certificate_that_is_renewed_after_the_authority_is_served(tmp_path: Path) -> None:
    port = Port(tmp_path)
    pair = client_pair(tmp_path, STRANGER)
    written(port.file, STRANGER)
    port.callers.look()
    port.paths.tls_crt.unlink()
    certs.ensure(tmp_path / "serving", certs.server_names(), dt.datetime.now(dt.UTC))

    assert port.tls.reload_certificates()
    assert port.answers(pair), "certificate and key belong together"


def test_an_authority_that_was_spoilt_leaves_the_one_in_service(tmp_path: Path) -> None:
    port = Port(tmp_path)
    port.file.write_text("rubbish")
    port.callers.look()

    assert port.answers(client_pair(tmp_path, SIGNER))
    assert port.callers.notices() == [
        f"{port.file}: not readable as PEM; --client-ca takes a PEM file with the authority of the API server"
    ]


@pytest.mark.parametrize("content", [None, "rubbish", ""], ids=["missing", "rubbish", "empty"])
def test_a_client_authority_that_is_none_is_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "clients.crt").write_text(content)

    with pytest.raises(CallerError, match=r"clients\.crt: .*--client-ca") as caught:
        Callers(tmp_path / "clients.crt", (), Clock())

    assert "\n" not in str(caught.value)


def test_callers_that_are_not_verified_show_in_the_metrics() -> None:
    registry = CollectorRegistry()
    registry.register(CallerCollector(None))

    assert registry.get_sample_value("podgate_callers_verified") == 0
