"""`podgate serve`, `replay` and `demo` from outside: real processes, real TLS, real files."""

import gzip
import itertools
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import factories
from tests.cli._server import ROOT, Server, serving, until
from webhook.cli.serve import LogFormatter

RECORDING = ROOT / "manifests" / "recorded" / "reviews.jsonl.gz"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("serve")) as running:
        until(lambda: running.ready()[0] == 200)
        yield running


def podgate(*arguments: str, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "webhook.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False)  # noqa: S603  our own program


def test_a_review_is_answered_over_tls_and_logged(server: Server) -> None:
    review = factories.review(factories.stored(factories.pod(hostNetwork=True)), uid="over-tls", dryRun=True)
    response = server.post("/validate", review)
    assert response["uid"] == "over-tls"
    assert response["allowed"] is False
    assert "policy team-namespaces, podSecurity: " in response["status"]["message"]
    entry = until(lambda: next((text for text in server.log.splitlines() if '"over-tls"' in text), None))
    assert json.loads(str(entry))["verdict"] == "refused"


@pytest.mark.parametrize(
    ("body", "words"), [(b"{", "not JSON"), (b"{}", "kind must be AdmissionReview"), (b"\xff", "")]
)
def test_a_body_that_is_no_review_is_400_in_one_line(server: Server, body: bytes, words: str) -> None:
    answer = server.client.post("/mutate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert words in answer.text
    assert answer.text.count("\n") <= 1
    assert "Traceback" not in answer.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_full_disk_costs_records_and_neither_answers_nor_a_clean_end(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-file", "/dev/full") as running:
        until(lambda: running.ready()[0] == 200)
        assert running.validate()["uid"]
        until(lambda: "decision log: cannot be written" in running.ready()[1])
        assert running.ready()[0] == 200, "verdicts do not depend on it"
        counted = httpx.get(f"{running.operations}/metrics").text
        assert "podgate_recorder_faults_total 1.0" in counted
    assert running.process.returncode == 0
    assert running.told.count("free the disk or mend the pipe") == 1
    assert "Traceback" not in running.told


def test_a_caller_with_another_authority_is_not_answered(server: Server) -> None:
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        httpx.post(f"{server.admission}/mutate", json={}, timeout=60)


def test_replay_prints_the_table_and_books_in_that_server_alone(server: Server, tmp_path: Path) -> None:
    recording = tmp_path / "short.jsonl"
    reviews = [
        factories.review(
            factories.safe_pod(factories.container(cpu="100m", memory="64Mi")), namespace="recorded", uid="r1"
        ),
        factories.review(factories.pod(hostNetwork=True), namespace="recorded", uid="r2"),
        factories.review(factories.deployment(2), namespace="recorded", uid="r3"),
        factories.review(factories.pod(), namespace="kube-system", uid="r4"),
    ]
    recording.write_text("\n".join(json.dumps(review) for review in reviews))
    arguments = ["--to", server.admission, "--ca", str(server.ca), "--map", "recorded=team-alpha"]
    ran = podgate("replay", str(recording), *arguments)
    assert (ran.returncode, ran.stderr) == (0, "")
    for words in (
        "refused",
        "changed",
        "team-alpha",
        "policy team-namespaces, podSecurity: ",
        "cost-center=engineering-alpha",
    ):
        assert words in ran.stdout
    assert "\x1b" not in ran.stdout


def test_replay_against_nobody_is_one_line(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ran = podgate("replay", str(RECORDING), "--to", f"https://localhost:{port}", "--ca", str(server.ca))
    assert ran.returncode == 2
    assert ran.stderr.startswith("podgate: /mutate: no answer (")
    assert ran.stderr.count("\n") == 1


def test_an_edited_policy_changes_the_next_answers(server: Server) -> None:
    # Within two seconds, as tests/policy/loading/test_reload.py has it by a clock of its own.
    assert server.validate("hot-reload")["allowed"]
    added = server.policies / "hot.yaml"
    policy = factories.policy(
        'mode: enforce\npriority: 50\nmatch: {namespaces: [hot-reload]}\ncostCeiling: {podMonthly: "0.01"}', name="hot"
    )
    added.write_text(policy)
    until(lambda: not server.validate("hot-reload")["allowed"])
    assert "policy hot, costCeiling" in server.validate("hot-reload")["status"]["message"]

    # A bad edit changes nothing, is told, and leaves the server ready.
    added.write_text(policy.replace("costCeiling", "costCieling"))
    until(lambda: "hot.yaml" in server.ready()[1])
    status, text = server.ready()
    assert status == 200
    assert "costCieling" in text
    assert not server.validate("hot-reload")["allowed"]
    assert "the last good set stays in force" in server.told

    added.unlink()
    until(lambda: server.validate("hot-reload")["allowed"])


def test_a_broken_policy_at_the_start_is_live_but_not_ready_until_it_is_mended(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "p.yaml").write_text(factories.policy("mode: nonsense\ncostCeiling: {podMonthly: '1'}"))
    with serving(tmp_path, policies=broken) as server:
        assert httpx.get(f"{server.operations}/livez").status_code == 200
        status, text = server.ready()
        assert status == 503
        assert "p.yaml" in text
        answer = server.client.post("/validate", json=factories.review(factories.pod()))
        assert answer.status_code == 503
        assert "no valid policies are loaded yet" in answer.text
        (server.policies / "p.yaml").write_text(factories.policy("mode: enforce\ncostCeiling: {podMonthly: '1'}"))
        until(lambda: server.ready()[0] == 200)
        assert server.validate()["allowed"] is False


def test_serving_in_audit_changes_and_refuses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, "--mode", "audit") as server:
        until(lambda: server.ready()[0] == 200)
        pod = factories.pod(hostNetwork=True)
        mutated = server.post("/mutate", factories.review(pod))
        validated = server.post("/validate", factories.review(factories.stored(pod)))
        assert set(mutated) == set(validated) == {"uid", "allowed", "auditAnnotations"}
        assert mutated["allowed"] is validated["allowed"] is True
        assert validated["auditAnnotations"]["would"] == "refused"
    assert server.process.returncode == 0
    assert len(server.log.splitlines()) == 2


def test_the_demo_replays_the_recording_and_ends(tmp_path: Path) -> None:
    (tmp_path / "manifests" / "recorded").mkdir(parents=True)
    for name in ("policies", "manifests/embedded", "manifests/recorded/replay.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    # Every tenth recorded review, so that the suite stays fast; the table is of the same kind.
    with gzip.open(RECORDING) as lines, gzip.open(tmp_path / "manifests" / "recorded" / RECORDING.name, "w") as sample:
        sample.writelines(itertools.islice(lines, 0, None, 10))
    ports: list[int] = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    flags = ["--root", str(tmp_path), "--exit", "--port", str(ports[0]), "--ops-port", str(ports[1])]
    flags += ["--dashboard-port", "0"]
    ran = podgate("demo", *flags)
    assert ran.returncode == 0, ran.stderr
    assert "What Podgate decided" in ran.stdout
    assert re.search(r"\brefused\b", ran.stdout)
    assert len((tmp_path / ".local" / "decisions.jsonl").read_text().splitlines()) > 100


def test_the_demo_needs_a_checkout(tmp_path: Path) -> None:
    ran = podgate("demo", "--root", str(tmp_path))
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "does not exist; run it in a checkout of Podgate, or give --root DIR" in ran.stderr


def test_lines_of_the_log_begin_with_the_time_in_utc_and_name_their_level() -> None:
    record = logging.LogRecord("podgate", logging.WARNING, "x.py", 1, "the leader is %s", ("gone",), None)
    record.created, record.msecs = 1_806_501_909.12, 120.0
    assert LogFormatter().format(record) == "2027-03-31T14:05:09.120Z podgate: WARNING the leader is gone"
