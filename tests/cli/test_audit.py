"""`podgate audit`, `podgate report` and `podgate why` as people run them, good input and bad."""

import gzip
import json
from pathlib import Path

import httpx
import pytest

from tests import factories
from tests.cli import _server
from tests.cli.test_commands import run
from tests.reporting import _scene

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    made = tmp_path / "cluster"
    made.mkdir()
    _scene.write(made, _scene.team(), *_scene.deployment(), _scene.running("shop-1", ("ReplicaSet", "shop-7d9c8b6f5")))
    return made


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    made = tmp_path / "policies"
    made.mkdir()
    (made / "all.yaml").write_text("\n---\n".join((_scene.LABELLED, factories.PRICES)))
    return made


def flags(cluster: Path, policies: Path) -> list[str]:
    return ["--cluster", str(cluster), "--policies", str(policies)]


def test_the_audit_tells_what_would_be_refused_and_by_its_status(
    monkeypatch: Patch, capsys: Capture, cluster: Path, policies: Path
) -> None:
    status, out, err = run(monkeypatch, capsys, "audit", *flags(cluster, policies))
    assert (status, err) == (1, "")
    assert "Deployment team-alpha/shop" in out
    assert "podSecurity" in out
    assert "1 workload, 1 object: $200.00 a month today" in out


def test_an_audit_that_finds_nothing_ends_well(
    monkeypatch: Patch, capsys: Capture, tmp_path: Path, policies: Path
) -> None:
    _scene.write(tmp_path, _scene.team(), _scene.running("safe", made=factories.safe_pod()))
    status, _, err = run(monkeypatch, capsys, "audit", *flags(tmp_path / "objects.json", policies))
    assert (status, err) == (0, "")


@pytest.mark.parametrize("output", ["json", "markdown", "sarif", "junit", "html"])
def test_every_output_names_the_workload(
    monkeypatch: Patch, capsys: Capture, cluster: Path, policies: Path, output: str
) -> None:
    status, out, _ = run(monkeypatch, capsys, "audit", *flags(cluster, policies), "-o", output)
    assert status == 1
    assert "shop" in out
    if output in ("json", "sarif"):
        json.loads(out)


def test_what_cannot_be_read_is_named_and_the_rest_is_judged(
    monkeypatch: Patch, capsys: Capture, cluster: Path, policies: Path
) -> None:
    (cluster / "broken.yaml").write_text("kind: [")
    (cluster / "odd.yaml").write_text("{apiVersion: v1, kind: Pod, metadata: {name: odd}, spec: {containers: 3}}")
    status, out, err = run(monkeypatch, capsys, "audit", *flags(cluster, policies))
    assert status == 2
    assert "Deployment team-alpha/shop" in out
    lines = err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("podgate: not judged: ") for line in lines)
    assert "broken.yaml" in err
    assert "odd.yaml" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["audit", "--cluster", "nowhere"], "--cluster: nowhere does not exist", id="no cluster"),
        pytest.param(
            ["audit", "--cluster", ".", "--policies", "nowhere"], "--policies: nowhere is not", id="no policies"
        ),
        pytest.param(["report", "--log", "nowhere.jsonl"], "--log: nowhere.jsonl", id="no log"),
        pytest.param(["why", "shop"], "shop: is no KIND/NAME", id="no kind"),
        pytest.param(["why", "deploy/"], "deploy/: is no KIND/NAME", id="no name"),
        pytest.param(["why", "deploy/a", "--log", "nowhere.jsonl"], "--log: nowhere.jsonl", id="no log of decisions"),
        pytest.param(["why", "deploy/a", "--from", "http://127.0.0.1:1"], "no answer", id="nobody answers"),
        pytest.param(["why", "deploy/a", "--from", "nonsense"], "--from: nonsense", id="no address"),
    ],
)
def test_wrong_flags_are_one_line_with_the_cure(
    monkeypatch: Patch, capsys: Capture, arguments: list[str], text: str
) -> None:
    status, out, err = run(monkeypatch, capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert text in err


def test_a_report_is_about_money_and_its_status_is_not(
    monkeypatch: Patch, capsys: Capture, cluster: Path, policies: Path
) -> None:
    status, out, err = run(monkeypatch, capsys, "report", *flags(cluster, policies))
    assert (status, err) == (0, "")
    assert "Cost a month by namespace" in out
    assert "Cost a month by cost-center" in out
    assert "alpha" in out


def test_the_shipped_policies_audit_the_embedded_cluster(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.chdir(ROOT)
    status, out, err = run(monkeypatch, capsys, "audit", "--cluster", "manifests/embedded", "-o", "json")
    assert err == ""
    found = json.loads(out)
    assert status == (1 if found["total"]["wouldRefuse"] else 0)
    assert found["total"]["workloads"] >= 10
    assert float(found["total"]["monthlySaved"]) > 0


def test_why_and_report_tell_what_a_running_webhook_decided(
    monkeypatch: Patch, capsys: Capture, tmp_path: Path
) -> None:
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "frontend-abc", "uid": "u", "controller": True}
    pod = factories.pod(
        metadata={"ownerReferences": [reference]}, labels={"pod-template-hash": "abc"}, hostNetwork=True
    )
    with _server.serving(tmp_path) as server:
        assert not server.post("/validate", factories.review(factories.stored(pod)))["allowed"]
        _server.until(lambda: "frontend" in httpx.get(f"{server.operations}/journal", params=_ABOUT).text)
        asked = ["why", "deploy/frontend", "-n", "team-alpha", "--from", server.operations]
        status, out, _ = run(monkeypatch, capsys, *asked)
        assert status == 1
        assert "refused" in out
        assert "to fix:" in out
        status, out, _ = run(monkeypatch, capsys, *asked, "-o", "json")
        assert json.loads(out)[0]["verdict"] == "refused"
        missing = run(monkeypatch, capsys, "why", "deploy/other", "--from", server.operations)
        assert missing[0] == 2
        assert "knows no decision about it" in missing[2]
    log = tmp_path / "decisions.jsonl"
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    for path in (log, packed):
        assert run(monkeypatch, capsys, "why", "deployment/frontend", "-n", "team-alpha", "--log", str(path))[0] == 1
        status, out, err = run(monkeypatch, capsys, "report", "--log", str(path))
        assert (status, err) == (0, "")
        assert "1 workload" in out


_ABOUT = {"namespace": "team-alpha", "kind": "Deployment", "name": "frontend"}
