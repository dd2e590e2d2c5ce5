"""The command line as a whole: help, versions, `schema`, and flags that are wrong."""

import json
import sys
from pathlib import Path
from unittest.mock import Mock

import jsonschema
import pytest
import yaml

from tests import factories
from webhook import cli
from webhook.cli import replay
from webhook.cli._fault import InputError


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["podgate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, shown.out, shown.err


@pytest.mark.parametrize("command", ["serve", "review", "audit", "report", "why", "replay", "schema", "demo"])
def test_every_command_has_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    status, out, _ = run(monkeypatch, capsys, command, "--help")
    assert status == 0
    assert out.startswith(f"Usage: podgate {command}")
    assert command in run(monkeypatch, capsys, "--help")[1]


def test_an_unknown_command_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(monkeypatch, capsys, "nope")
    assert (status, out) == (2, "")
    assert err == "podgate: No such command 'nope'; see podgate --help\n"


def test_without_a_command_there_is_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(monkeypatch, capsys)
    assert status == 2
    assert "Commands:" in out + err


def test_the_schema_of_all_kinds_accepts_a_policy_and_refuses_a_typo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(monkeypatch, capsys, "schema")
    assert status == 0
    validator = jsonschema.Draft202012Validator(json.loads(out))
    good = yaml.safe_load(factories.policy("mode: enforce\npodSecurity: {level: baseline}"))
    assert validator.is_valid(good)
    good["spec"]["podSecurty"] = good["spec"].pop("podSecurity")
    assert not validator.is_valid(good)


def test_the_schema_of_one_kind_names_its_fields(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(monkeypatch, capsys, "schema", "Budget")
    assert status == 0
    assert "rejectAt" in out


def test_an_unknown_kind_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(monkeypatch, capsys, "schema", "Budgit")
    assert (status, out) == (2, "")
    assert err == "podgate: 'Budgit' is no kind of policy. Did you mean Budget?\n"


SERVE = {
    "no flags": ([], ["podgate: Missing option '--cluster'"]),
    "no policies": (["--cluster", "."], ["podgate: --policies: is missing; give DIR"]),
    "no such directories": (
        ["--policies", "/nope", "--cluster", "/nope"],
        ["podgate: --policies: /nope is not a directory", "podgate: --cluster: /nope is not a directory"],
    ),
    "a bad port": (
        ["--policies", ".", "--cluster", ".", "--port", "70000"],
        ["podgate: --port: '70000' is no port; use a number from 0 to 65535"],
    ),
    "a bad mode": (["--policies", ".", "--cluster", ".", "--mode", "warn"], ["podgate: --mode: 'warn' is not known"]),
    "a missing authority": (
        ["--policies", ".", "--cluster", ".", "--client-ca", "/nope"],
        ["podgate: --client-ca: /nope"],
    ),
    "an empty cluster": (["--policies", ".", "--cluster", "."], ["podgate: ."]),
}


@pytest.mark.parametrize("name", SERVE)
def test_serve_tells_every_wrong_flag_in_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, expected = SERVE[name]
    status, out, err = run(monkeypatch, capsys, "serve", *arguments, "--log-file", str(tmp_path / "log"))
    assert (status, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)


def test_a_log_file_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--policies", str(tmp_path), "--cluster", str(tmp_path), "--log-file", str(tmp_path / "file" / "log")]
    status, _, err = run(monkeypatch, capsys, "serve", *arguments)
    assert status == 2
    assert err.startswith("podgate: --log-file: ")
    assert err.count("\n") == 1


def test_map_takes_pairs() -> None:
    assert replay.parse_map(("a=b", "c=d")) == {"a": "b", "c": "d"}
    for wrong in ("a", "=b", "a=", ""):
        with pytest.raises(InputError, match="is no pair; write FROM=TO"):
            replay.parse_map((wrong,))


BAD_RECORDINGS = {
    "no review": ('{"a": 1}\n', "is no AdmissionReview"),
    "no JSON": ("hello\n", "cannot be read"),
    "not compressed": (None, "cannot be read"),
}


@pytest.mark.parametrize("name", BAD_RECORDINGS)
def test_a_recording_that_cannot_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    text, words = BAD_RECORDINGS[name]
    file = tmp_path / ("r.jsonl" if text else "r.jsonl.gz")
    file.write_text(text or "plain")
    authority = tmp_path / "ca.crt"
    authority.write_text("")
    monkeypatch.setattr(replay.ssl, "create_default_context", Mock(return_value=True))  # type: ignore[attr-defined]  # imported there
    status, _, err = run(monkeypatch, capsys, "replay", str(file), "--ca", str(authority))
    assert status == 2
    assert words in err
    assert err.count("\n") == 1


def test_an_authority_that_is_none_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("no certificate")
    recording = tmp_path / "r.jsonl"
    recording.write_text(json.dumps(factories.review(factories.pod())))
    status, _, err = run(monkeypatch, capsys, "replay", str(recording), "--ca", str(authority))
    assert status == 2
    assert str(authority) in err
    assert err.count("\n") == 1
