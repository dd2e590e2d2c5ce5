"""What goes wrong around Podgate while it serves a real API server: each fault has an outcome that was decided, a log
line with the cure, and a metric, and none needs a restart."""

import base64
import json
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from certs import bundle
from tests.integration import _admission as at
from tests.integration import _control_plane
from tests.integration._admission import Installation, Podgate, eventually
from tests.integration._service import Service
from tests.ports import free_port

# The command itself, with the minute until an absent kind is looked for again cut short.
PROGRAM = """
from webhook.kube import reflector
reflector.ABSENT_PAUSE = 1.0
from webhook.cli import main
main()
"""


class ApiServer(NamedTuple):
    """The API server as what a `Service` routes to."""

    port: int

    def readiness(self) -> tuple[bool, str]:
        """Return that it is ready; the tests wait for it themselves."""
        return True, ""


class Patient(Podgate):
    """Podgate, with little patience for kinds that are not installed."""

    def command(self) -> list[str]:
        """Return the program."""
        return ["-c", PROGRAM]


class Faulty(NamedTuple):
    """A cluster whose Podgate reaches the API server through a network that can be made slow, or cut."""

    cluster: Installation
    network: Service

    @property
    def podgate(self) -> Podgate:
        """The process."""
        return self.cluster.podgate

    def metric(self, sample: str) -> float:
        """Return a sample; -1 where there is none."""
        for line in self.podgate.metrics().splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        return -1.0

    def told(self) -> str:
        """Return what /readyz?verbose says of a process that is ready."""
        is_ready, text = self.podgate.readiness()
        assert is_ready, text
        return text


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        prepared = at.prepare(plane)
        with Service(free_port()) as network:
            network.add(ApiServer(int(plane.url.rpartition(":")[2])))
            account = plane.directory / "podgate.kubeconfig"
            account.write_text(account.read_text().replace(plane.url, f"https://127.0.0.1:{network.port}"))
            podgate = Patient(plane.directory, account)
            podgate.port = prepared.podgate.port
            cluster = prepared._replace(podgate=podgate)
            podgate.start()
            try:
                eventually("the bundle is published", lambda: at.trusts(cluster.kubectl))
                yield Faulty(cluster, network)
                assert podgate.stop() == 0, podgate.log()[-3000:]
            finally:
                podgate.kill()


def test_a_revoked_right_is_told_and_followed_again_when_it_is_back(it: Faulty) -> None:
    kubectl = it.cluster.kubectl
    team = it.cluster.namespace("team-revoked", cost_center="engineering-alpha")
    eventually("pods are judged", lambda: not kubectl.apply(at.privileged(team), flags=("--dry-run=server",)).is_done)
    role = kubectl.get("clusterrole", "podgate")
    for rule in role["rules"]:
        if "namespaces" in rule["resources"]:
            rule["resources"] = [each for each in rule["resources"] if each != "namespaces"]
    kubectl.must("replace", "-f", "-", stdin=json.dumps(role))
    it.network.cut()

    state = 'podgate_watch_state{resource="namespaces",state="%s"}'
    eventually("a metric tells", lambda: it.metric(state % "forbidden") == 1, 60)
    assert "namespaces: answers may be out of date" in it.told()
    (line,) = [each for each in it.podgate.log().splitlines() if "namespaces" in each and "grant it" in each][-1:]
    assert "grant it in the ClusterRole of podgate's service account" in line
    assert it.metric('podgate_watch_errors_total{kind="forbidden",resource="namespaces"}') >= 1
    refused = kubectl.apply(at.privileged(team))
    assert not refused.is_done, "what is known goes on being judged by"
    assert "podSecurity" in refused.err

    restored = [each for each in it.cluster.render("base") if each["kind"] == "ClusterRole"]
    kubectl.apply(*restored)
    late = it.cluster.namespace("team-restored", cost_center="engineering-beta")
    eventually("it is followed again", lambda: it.metric(state % "watching") == 1, 60)
    eventually("no notice is left", lambda: "out of date" not in it.told(), 60)
    stored = kubectl.create(at.pod(late))
    assert stored["metadata"]["labels"]["cost-center"] == "engineering-beta", "what was missed is known"


def test_a_kind_that_is_installed_later_is_picked_up_and_a_malformed_object_of_it_affects_itself_alone(
    it: Faulty,
) -> None:
    kubectl = it.cluster.kubectl
    team = it.cluster.namespace("team-vpa", cost_center="engineering-alpha")
    assert "verticalpodautoscalers: not installed in this cluster" in it.told()
    assert it.metric('podgate_watch_state{resource="verticalpodautoscalers",state="absent"}') == 1
    assert kubectl.apply(at.policy("sized", team, rightSizing={"recommendation": "target"})).is_done

    kubectl.create(at.vpa_definition())
    kubectl.must(
        "wait", "--for=condition=Established", "crd/verticalpodautoscalers.autoscaling.k8s.io", "--timeout=20s"
    )
    web = kubectl.create(at.workload("Deployment", team))
    kubectl.create(at.vpa(team, web, "320m", "200Mi"))
    broken = at.vpa(team, web, "1", "1Gi")
    broken["metadata"]["name"], broken["spec"]["targetRef"] = "broken", 7
    kubectl.create(broken)

    def requests() -> at.Object:
        made = at.owned_by(web, at.pod(team, "sized"))
        stored = kubectl.create(made, "--dry-run=server")
        found: at.Object = stored["spec"]["containers"][0]["resources"]["requests"]
        return found

    eventually("recommendations are followed", lambda: requests() == {"cpu": "320m", "memory": "200Mi"}, 30)
    assert "verticalpodautoscalers: not installed" not in it.told()
    malformed = 'podgate_watch_errors_total{kind="malformed",resource="verticalpodautoscalers"}'
    eventually("the malformed one is counted", lambda: it.metric(malformed) >= 1)
    assert f"verticalpodautoscalers {team}/broken: " in it.podgate.log()


def test_a_secret_edited_by_hand_is_mended_and_no_call_fails(it: Faulty) -> None:
    kubectl = it.cluster.kubectl
    team = it.cluster.namespace("team-secret", cost_center="engineering-alpha")
    eventually("pods are judged", lambda: not kubectl.apply(at.privileged(team), flags=("--dry-run=server",)).is_done)

    def certificate() -> bytes:
        return base64.b64decode(kubectl.get("secret", "podgate-certs", "-n", "podgate")["data"]["tls.crt"])

    before = certificate()
    garbage = base64.b64encode(b"not a certificate").decode()
    patch = json.dumps({"data": {"tls.crt": garbage, "tls.key": garbage}})
    kubectl.must("patch", "secret", "podgate-certs", "-n", "podgate", "--type=merge", "-p", patch)
    deadline = time.monotonic() + 90
    while b"BEGIN CERTIFICATE" not in certificate():
        assert time.monotonic() < deadline, it.podgate.log()[-2000:]
        refused = kubectl.apply(at.privileged(team), flags=("--dry-run=server",))
        assert "podSecurity" in refused.err, "the served certificate goes on being trusted"
    mended = certificate()
    assert mended != before
    assert bundle.parse(mended).certificates
    eventually("it is served", lambda: "certificate: ok" in it.told(), 60)
    assert not kubectl.apply(at.privileged(team), flags=("--dry-run=server",)).is_done
    assert "podgate-certs: " in it.podgate.log()


def test_a_slow_api_server_delays_news_and_no_verdict(it: Faulty) -> None:
    kubectl = it.cluster.kubectl
    team = it.cluster.namespace("team-slow", cost_center="engineering-alpha")
    authority = base64.b64decode(
        kubectl.get("ValidatingWebhookConfiguration", "podgate")["webhooks"][0]["clientConfig"]["caBundle"]
    ).decode()
    root = at.privileged(team)
    eventually(
        "the namespace is known", lambda: not it.podgate.review("/validate/security", root, authority)["allowed"]
    )
    it.network.delay = 3.0
    try:
        assert kubectl.apply(at.policy("slow", team, costCeiling={"podMonthly": "1"})).is_done
        took: list[float] = []
        for _ in range(20):
            started = time.monotonic()
            assert it.podgate.review("/validate/security", root, authority)["allowed"] is False
            took.append(time.monotonic() - started)
        assert sorted(took)[10] < 1.0, "no review waits for the API server"
        dear = at.pod(team, cpu="4")
        eventually("news come late", lambda: not it.podgate.review("/validate/cost", dear, authority)["allowed"], 60)
        assert it.told().endswith("ready\n")
    finally:
        it.network.delay = 0.0
