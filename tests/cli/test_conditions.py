"""Which replicas of `podgate serve` tell authors what came of their policies."""

from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from webhook import assembly
from webhook.cli import serve
from webhook.kube import client
from webhook.kube.leader import Election
from webhook.server import ops
from webhook.settings import Settings

CLUSTER = cast("assembly.LiveCluster", type("Cluster", (), {"standings": staticmethod(list)})())


@pytest.fixture
def rest() -> client.Client:
    """A client that is never used: nothing is entered."""
    return cast("client.Client", object())


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make this process look like one in a pod; return its token."""
    token = tmp_path / "token"
    token.write_text("t")
    monkeypatch.setattr(client, "_TOKEN", token)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    return token


def background(
    rest: client.Client | None,
    *,
    cluster: assembly.LiveCluster | None = CLUSTER,
    kubeconfig: Path | None = None,
    election: Election | None = None,
    scan_interval: int = 0,
) -> tuple[int, bool, bool]:
    """Return how many tasks run, whether writes are counted, and whether leading is told beside them."""
    registry = CollectorRegistry()
    chosen = Settings.build(cluster="live", kubeconfig=kubeconfig, scan_interval=scan_interval)
    tasks = serve._conditions(chosen, cluster, rest, election, ops.Health(), registry)
    writes = registry.get_sample_value("podgate_condition_writes_total", {"outcome": "written"})
    return len(tasks), writes is not None, registry.get_sample_value("podgate_leader") is not None


@pytest.mark.usefixtures("pod")
def test_replicas_in_pods_that_share_no_certificates_elect_one_for_this(rest: client.Client) -> None:
    assert background(rest) == (2, True, True)


def test_replicas_that_share_certificates_have_their_leader_write(rest: client.Client) -> None:
    election = cast("Election", type("Elected", (), {"is_leader": staticmethod(lambda: True)})())
    assert background(rest, election=election) == (1, True, False)


def test_the_leader_scans_what_runs_unless_it_is_told_not_to(rest: client.Client) -> None:
    election = cast("Election", type("Elected", (), {"is_leader": staticmethod(lambda: True)})())
    assert background(rest, election=election, scan_interval=60) == (2, True, False)


def test_who_watches_from_outside_writes_nothing(
    rest: client.Client, pod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert background(rest, kubeconfig=pod) == (0, False, False)
    pod.unlink()
    assert background(rest) == (0, False, False)
    pod.write_text("t")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert background(rest) == (0, False, False)


def test_over_a_directory_there_is_nobody_to_tell(rest: client.Client) -> None:
    assert background(rest, cluster=None) == (0, False, False)
    assert background(None) == (0, False, False)
