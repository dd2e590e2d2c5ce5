"""`podgate certs` puts a certificate directory in order, and says what it did."""

import subprocess
import sys
from pathlib import Path

from cryptography import x509


def podgate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "webhook.cli", "certs", *arguments], capture_output=True, text=True, check=False
    )


def test_what_is_missing_is_made_and_the_second_call_changes_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    first = podgate("--dir", str(directory), "--name", "gate.example")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.count("made ") == 2
    served = (directory / "tls.crt").read_bytes()
    names = x509.load_pem_x509_certificate(served).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert {"localhost", "podgate.podgate.svc", "gate.example"} <= set(names.value.get_values_for_type(x509.DNSName))
    second = podgate("--dir", str(directory), "--name", "gate.example")
    assert "made " not in second.stdout
    assert second.stdout.count("good until") == 2
    assert (directory / "tls.crt").read_bytes() == served


def test_a_broken_key_is_one_line_with_the_cure(tmp_path: Path) -> None:
    podgate("--dir", str(tmp_path))
    (tmp_path / "tls.key").write_text("nonsense")
    ran = podgate("--dir", str(tmp_path))
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"podgate: {tmp_path / 'tls.key'}: ")
    assert ran.stderr.count("\n") == 1
