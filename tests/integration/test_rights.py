"""Whether the shipped rights are enough for all that a replica does, as the API server itself noted it."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration import _admission as at
from tests.integration import _control_plane
from webhook.reporting.policy_reports import DIALECTS

ACCOUNT = "system:serviceaccount:podgate:podgate"
SECONDS = 120
NOTES = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""
BUDGET = {
    "apiVersion": "podgate.dev/v1alpha1",
    "kind": "Budget",
    "metadata": {"name": "alpha"},
    "spec": {
        "mode": "enforce",
        "scope": {"label": {"key": "cost-center", "value": "alpha"}},
        "amount": "150",
        "currency": "USD",
        "warnAt": [50],
    },
}


class Deed(NamedTuple):
    """One kind of call, as the API server answered it."""

    verb: str
    resource: str
    status: int


class Busy(NamedTuple):
    """A replica that has done everything, and the API server's notes."""

    installed: at.Installation
    notes: Path

    def deeds(self) -> Counter[Deed]:
        """Return what the replica's account has done so far."""
        found: Counter[Deed] = Counter()
        for line in self.notes.read_text().splitlines():
            event = json.loads(line)
            if event["user"]["username"] != ACCOUNT:
                continue
            about = event.get("objectRef", {})
            resource = "/".join(about[key] for key in ("resource", "subresource") if key in about)
            found[Deed(event["verb"], resource, event["responseStatus"].get("code", 0))] += 1
        return found

    def done(self) -> set[tuple[str, str]]:
        """Return what it was allowed to do, as verb and resource."""
        return {(deed.verb, deed.resource) for deed in self.deeds() if 200 <= deed.status < 300}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    directory = tmp_path_factory.mktemp("plane")
    (directory / "notes.yaml").write_text(NOTES)
    notes = directory / "notes.log"
    flags = (f"--audit-policy-file={directory / 'notes.yaml'}", f"--audit-log-path={notes}")
    with _control_plane.control_plane(directory, *flags) as plane:
        installed = at.prepare(plane)
        kubectl = installed.kubectl
        kubectl.must("apply", "-f", at.ROOT / "tests" / "data" / "reports")
        podgate = at.Podgate(directory, directory / "podgate.kubeconfig", scan_interval=3)
        installed = installed._replace(podgate=podgate)
        said = kubectl.apply(*installed.render("base"))
        assert said.is_done, said.err
        podgate.start()
        try:
            at.eventually("the bundle is published", lambda: at.trusts(kubectl))
            yield Busy(installed, notes)
            assert podgate.stop() == 0, podgate.log()
        finally:
            podgate.kill()


def test_the_shipped_rights_are_enough_for_all_that_a_replica_does(busy: Busy) -> None:
    kubectl = busy.installed.kubectl
    team = busy.installed.namespace("team-alpha", cost_center="alpha")
    said = kubectl.apply(BUDGET)
    assert said.is_done, said.err
    kubectl.must("wait", "--for=condition=Accepted", "budget/alpha", f"--timeout={SECONDS}s")
    owner = kubectl.create(at.workload("Deployment", team))
    at.eventually(
        "the first pod is booked",
        lambda: kubectl.apply(at.owned_by(owner, at.pod(team, "first", cpu="3", memory="4Gi"))).is_done,
        SECONDS,
    )
    refused = kubectl.apply(at.owned_by(owner, at.pod(team, "second", cpu="8", memory="8Gi")))
    assert 'budget "alpha"' in refused.err
    wanted = {
        ("update", "budgetledgers/status"),
        ("create", "budgetledgers"),
        ("patch", "budgets/status"),
        ("patch", "pricelists/status"),
        ("patch", "guardrailpolicies/status"),
        ("create", "events"),
        ("update", "leases"),
        ("create", "secrets"),
        ("patch", "mutatingwebhookconfigurations"),
        ("patch", "validatingwebhookconfigurations"),
        *(("create", dialect.plural) for dialect in DIALECTS),
        *(("watch", name) for name in ("pods", "poddisruptionbudgets", "resourcequotas", "persistentvolumeclaims")),
        ("watch", "runtimeclasses"),
        *(("watch", name) for name in ("budgets", "budgetledgers", "pricelists", "policyexceptions", "leases")),
    }
    at.eventually("all of it was done", lambda: wanted <= busy.done(), SECONDS)
    # Two scans more, and what follows from them.
    time.sleep(6)
    assert {deed: count for deed, count in busy.deeds().items() if deed.status in (401, 403)} == {}
    assert "forbidden" not in busy.installed.podgate.log().lower()
