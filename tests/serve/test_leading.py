"""Which replicas of `podgate serve` do what is done once: tell authors and budgets, scan what runs."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from webhook import assembly
from webhook.admission.ruleset import Ruleset
from webhook.kube import client
from webhook.kube.leader import Election
from webhook.ledger.memory import MemoryLedger
from webhook.serve import leading, ops
from webhook.settings import Settings

BUDGETS = """
apiVersion: podgate.dev/v1alpha1
kind: Budget
metadata: {name: alpha}
spec: {mode: enforce, scope: {cluster: true}, amount: "10", currency: USD}
"""
CLUSTER = cast("assembly.PolicySync", type("Cluster", (), {"standings": staticmethod(list)})())


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
    cluster: assembly.PolicySync | None = CLUSTER,
    kubeconfig: Path | None = None,
    election: Election | None = None,
    scan_interval: int = 0,
) -> tuple[int, bool, bool]:
    """Return how many tasks run, whether writes are counted, and whether leading is told beside them."""
    registry = CollectorRegistry()
    chosen = Settings.build(cluster="live", kubeconfig=kubeconfig, scan_interval=scan_interval)
    ledger = MemoryLedger(clock=assembly.utc_now)
    parts = cast(
        "assembly.Services", SimpleNamespace(cluster=cluster, ledger=ledger, engine=SimpleNamespace(rules=None))
    )
    tasks = leading.background(leading.LeaderContext(chosen, parts, rest, ops.Health(), registry), election)
    assert registry.get_sample_value("podgate_ledger_shared") == (None if cluster is None else 0)
    writes = registry.get_sample_value("podgate_condition_writes_total", {"outcome": "written"})
    return len(tasks), writes is not None, registry.get_sample_value("podgate_leader") is not None


@pytest.mark.usefixtures("pod")
def test_replicas_in_pods_that_share_no_certificates_elect_one_for_this(rest: client.Client) -> None:
    assert background(rest) == (4, True, True)


def test_replicas_that_share_certificates_have_their_leader_write(rest: client.Client) -> None:
    election = cast("Election", type("Elected", (), {"is_leader": staticmethod(lambda: True)})())
    assert background(rest, election=election) == (3, True, False)


def test_the_leader_scans_what_runs_unless_it_is_told_not_to(rest: client.Client) -> None:
    election = cast("Election", type("Elected", (), {"is_leader": staticmethod(lambda: True)})())
    assert background(rest, election=election, scan_interval=60) == (4, True, False)


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


@pytest.mark.parametrize(("budgets", "told"), [(BUDGETS, True), ("", False)], ids=["budgets", "no budget"])
def test_who_books_alone_says_so_where_there_are_budgets(
    rest: client.Client, pod: Path, tmp_path: Path, budgets: str, told: bool
) -> None:
    (tmp_path / "policies.yaml").write_text(budgets)
    rules = Ruleset(assembly.load_part(tmp_path)) if budgets else None
    ledger, health = MemoryLedger(clock=assembly.utc_now), ops.Health()
    engine = SimpleNamespace(rules=rules)
    parts = cast("assembly.Services", SimpleNamespace(cluster=CLUSTER, ledger=ledger, engine=engine))
    chosen = Settings.build(cluster="live", kubeconfig=pod, scan_interval=0)
    leading.background(leading.LeaderContext(chosen, parts, rest, health, CollectorRegistry()), None)
    assert any("books budgets by itself" in line and "--certs-secret" in line for line in health.notices()) is told
