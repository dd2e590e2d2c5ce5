"""Shared certificates: the leader puts in order, every replica serves only what the live objects vouch for."""

import asyncio
import base64
import contextlib
import datetime as dt
import ssl
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import certs
from certs import authority, bundle, checks, leaf, rotation
from tests.fakes.objects import FakeRest
from webhook.kube import client as api
from webhook.kube.secrets import SecretStore
from webhook.kube.webhooks import RESOURCES, WebhookObjects
from webhook.serve import secret_tls, tls

DAY = dt.timedelta(days=1)
CALLED = "podgate.podgate.svc"
SECRET = "/api/v1/namespaces/podgate/secrets/podgate-certs"
HOOKS = [f"/apis/admissionregistration.k8s.io/v1/{resource}/podgate" for resource in RESOURCES]


class Cluster:
    """An API server with webhook objects, a clock, and replicas on it."""

    def __init__(self, *, hooks: bool = True) -> None:
        self.rest = FakeRest()
        # The present: handshakes in these tests are judged by OpenSSL, whose clock cannot be moved.
        self.now = dt.datetime.now(dt.UTC)
        if hooks:
            for path in HOOKS:
                self.rest.put(path, {"metadata": {"name": "podgate"}, "webhooks": [{"clientConfig": {}}] * 2})

    def replica(self, *, leads: bool = True) -> "Replica":
        return Replica(self, leads)

    @property
    def data(self) -> dict[str, bytes]:
        return {key: base64.b64decode(value) for key, value in self.rest.objects[SECRET]["data"].items()}

    def edit(self, key: str, value: bytes) -> None:
        stored: dict[str, Any] = self.rest.objects[SECRET]
        self.rest.put(SECRET, {**stored, "data": {**stored["data"], key: base64.b64encode(value).decode()}})

    def live(self, hook: int = 0) -> bytes:
        return base64.b64decode(self.rest.objects[HOOKS[hook]]["webhooks"][0]["clientConfig"].get("caBundle", ""))

    def set_live(self, hook: int, text: bytes) -> None:
        config = {"clientConfig": {"caBundle": base64.b64encode(text).decode()}}
        self.rest.put(HOOKS[hook], {"metadata": {"name": "podgate"}, "webhooks": [config, config]})


class Replica:
    """One replica: what it serves, and what a client that trusts the live bundles makes of it."""

    def __init__(self, cluster: Cluster, leads: bool) -> None:
        self.leads = leads
        self.clock_error = dt.timedelta(0)
        self.tls = tls.ServerTls(None, None)
        self.kept = secret_tls.SecretCertificates(
            SecretStore(cluster.rest, "podgate", "podgate-certs"),
            WebhookObjects(cluster.rest, "podgate"),
            self.tls,
            certs.server_names("podgate"),
            called=CALLED,
            now=lambda: cluster.now + self.clock_error,
            server_time=lambda: cluster.rest.time,
            leads=lambda: self.leads,
        )

    def handshake(self, trusted: bytes) -> str:
        """Shake hands as an API server that trusts a bundle does; return the serial number of what was shown."""
        client_context = ssl.create_default_context(cadata=trusted.decode())
        upstream, downstream = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context.wrap_bio(downstream, upstream, server_hostname=CALLED)
        server = self.tls.context.wrap_bio(upstream, downstream, server_side=True)
        for _ in range(4):
            for side in (client, server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        shown = client.getpeercert()
        assert shown
        return str(shown["serialNumber"])


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_the_leader_makes_publishes_and_serves_and_a_follower_serves_the_same(cluster: Cluster) -> None:
    leader, follower = cluster.replica(), cluster.replica(leads=False)

    changes = leader.kept.look()
    follower.kept.look()

    assert len(changes) == 4, changes
    assert leader.kept.problem() is None
    assert follower.kept.problem() is None
    assert leader.handshake(cluster.live(0)) == follower.handshake(cluster.live(1))
    assert "next-ca.key" not in cluster.data


def test_a_follower_writes_nothing_and_is_not_ready_while_there_is_nothing(cluster: Cluster) -> None:
    follower = cluster.replica(leads=False)

    assert follower.kept.look() == ()

    assert {method for method, _ in cluster.rest.calls} == {"GET"}
    assert "no serving certificate" in (follower.kept.problem() or "")
    with pytest.raises(ssl.SSLError):
        follower.handshake(bundle.encode([authority.create(cluster.now).certificate]))


def test_without_webhook_objects_a_certificate_is_made_and_served() -> None:
    cluster = Cluster(hooks=False)
    leader = cluster.replica()

    leader.kept.look()

    assert leader.kept.problem() is None
    assert leader.handshake(cluster.data["ca.crt"])


def test_a_replica_goes_on_with_its_certificate_until_the_live_objects_vouch_for_the_new_one(cluster: Cluster) -> None:
    leader, follower = cluster.replica(), cluster.replica(leads=False)
    leader.kept.look()
    follower.kept.look()
    before = follower.handshake(cluster.live())
    trusted = cluster.live()
    stranger = authority.create(cluster.now)
    made = leaf.create(stranger, certs.server_names("podgate"), cluster.now)
    cluster.edit("tls.crt", bundle.encode([made.certificate]))
    cluster.edit("tls.key", checks.encode_key(made.key))

    follower.kept.look()

    assert follower.handshake(trusted) == before
    assert follower.kept.problem() is None
    assert "not signed by an authority in the caBundle" in follower.kept.notices()[0]
    leader.kept.look()
    follower.kept.look()
    assert follower.handshake(trusted) != before
    assert follower.kept.notices() == []


def test_a_replica_whose_certificate_is_no_longer_trusted_is_not_ready(cluster: Cluster) -> None:
    leader = cluster.replica()
    leader.kept.look()
    leader.leads = False
    cluster.set_live(1, bundle.encode([authority.create(cluster.now).certificate]))

    leader.kept.look()

    assert "not signed by an authority in the caBundle" in (leader.kept.problem() or "")
    leader.leads = True
    leader.kept.look()
    assert leader.kept.problem() is None
    assert leader.handshake(cluster.live(1))


def test_a_whole_rotation_never_shows_a_client_what_it_does_not_trust(cluster: Cluster) -> None:
    end = cluster.now
    cluster.now -= 260 * DAY
    leader, follower = cluster.replica(), cluster.replica(leads=False)
    serials = set()
    while cluster.now <= end:
        leader.kept.look()
        for _ in range(2):
            cluster.now += rotation.SETTLE
            leader.kept.look()
        follower.kept.look()
        for replica in (leader, follower):
            assert replica.kept.problem() is None
            if end - 25 * DAY < cluster.now <= end:
                # OpenSSL judges by its own clock, by which the end is now.
                serials.add(replica.handshake(cluster.live(0)))
        cluster.now += 5 * DAY

    assert len(serials) >= 2
    assert len(bundle.parse(cluster.live()).certificates) == 1


def test_the_swap_leaves_connections_that_are_open_alone(cluster: Cluster) -> None:
    leader = cluster.replica()
    leader.kept.look()
    upstream, downstream = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cadata=cluster.live().decode()).wrap_bio(
        downstream, upstream, server_hostname=CALLED
    )
    server = leader.tls.context.wrap_bio(upstream, downstream, server_side=True)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    cluster.edit("tls.crt", b"")
    assert leader.kept.look(), "exchanged between the client's hello and the server's answer"
    for _ in range(4):
        for side in (server, client):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()

    client.write(b"still here")
    assert server.read() == b"still here"


# --- faults ---------------------------------------------------------------------------------------------------------


def test_the_first_to_write_wins_and_the_other_looks_again(cluster: Cluster) -> None:
    one, two = cluster.replica(), cluster.replica()

    def overtake(method: str, _path: str) -> None:
        if method == "POST":
            cluster.rest.before = None
            two.kept.look()

    cluster.rest.before = overtake
    one.kept.look()

    assert one.kept.conflicts == 1
    assert one.kept.problem() is None
    assert one.handshake(cluster.live()) == two.handshake(cluster.live())


def test_a_leader_that_has_lost_its_lead_in_the_middle_stops_there(cluster: Cluster) -> None:
    leader = cluster.replica()

    def depose(method: str, _path: str) -> None:
        leader.leads = leader.leads and method != "POST"

    cluster.rest.before = depose
    leader.kept.look()

    assert [method for method, _ in cluster.rest.calls if method != "GET"] == ["POST"]
    assert "empty" in (leader.kept.problem() or "")


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
def test_a_missing_permission_is_named_and_healed_when_it_is_granted(cluster: Cluster, verb: str) -> None:
    leader = cluster.replica()

    def forbid(method: str, path: str) -> None:
        if method == verb:
            raise api.ForbiddenError(f"{method} {path}: forbidden; grant it in the Role", 403)

    cluster.rest.before = forbid
    leader.kept.look()
    assert "grant it in the Role" in (leader.kept.problem() or "")
    assert leader.kept.failures == 1

    cluster.rest.before = None
    leader.kept.look()
    assert leader.kept.problem() is None


def test_an_api_server_that_is_away_takes_nothing_out_of_service(cluster: Cluster) -> None:
    leader = cluster.replica()
    leader.kept.look()

    def fail(method: str, path: str) -> None:
        raise api.UnreachableError(f"{path}: no answer; check that the API server can be reached")

    cluster.rest.before = fail
    leader.kept.look()

    assert leader.kept.problem() is None
    assert "no answer" in leader.kept.notices()[0]
    cluster.now += 91 * DAY
    assert "expired" in (leader.kept.problem() or "")
    assert "no answer" in (leader.kept.problem() or "")


def test_objects_that_never_stop_changing_end_the_look_with_a_question(cluster: Cluster) -> None:
    leader = cluster.replica()

    def disturb(method: str, path: str) -> None:
        if method == "PATCH":
            cluster.rest.put(path, cluster.rest.objects[path])

    cluster.rest.before = disturb
    leader.kept.look()

    assert leader.kept.conflicts > 5
    assert "who else writes?" in (leader.kept.problem() or "")


@pytest.mark.parametrize("key", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
def test_a_secret_edited_by_hand_is_mended_without_a_moment_unready(cluster: Cluster, key: str) -> None:
    leader = cluster.replica()
    leader.kept.look()
    cluster.edit(key, b"rubbish")

    for _ in range(4):
        leader.kept.look()
        assert leader.kept.problem() is None
        assert leader.handshake(cluster.live())
        cluster.now += rotation.SETTLE

    assert b"rubbish" not in cluster.data.values()


# --- clocks ---------------------------------------------------------------------------------------------------------


def test_certificates_are_made_by_the_clock_of_the_api_server_and_the_difference_is_told(cluster: Cluster) -> None:
    leader = cluster.replica()
    cluster.rest.time = cluster.now
    leader.clock_error = 300 * DAY

    leader.kept.look()

    assert leader.kept.problem() is None
    assert leader.handshake(cluster.live()), "valid by the time of the API server"
    assert leader.kept.skew() == (300 * DAY).total_seconds()
    assert "+25920000 s from the API server's" in leader.kept.notices()[0]


def test_a_clock_that_is_seconds_off_is_no_notice(cluster: Cluster) -> None:
    leader = cluster.replica()
    cluster.rest.time = cluster.now - dt.timedelta(seconds=2)

    leader.kept.look()

    assert leader.kept.notices() == []


def test_what_should_have_been_renewed_long_ago_is_told_before_it_hurts(cluster: Cluster) -> None:
    leader = cluster.replica()
    leader.kept.look()
    leader.leads = False
    cluster.now += 68 * DAY
    leader.kept.look()
    assert leader.kept.notices() == []
    cluster.now += 2 * DAY
    leader.kept.look()

    assert leader.kept.problem() is None
    assert any("leaf ends on" in line for line in leader.kept.notices())
    assert any("served ends on" in line for line in leader.kept.notices())


# --- metrics and the running task -----------------------------------------------------------------------------------


def test_metrics_tell_what_ends_when_and_who_leads(cluster: Cluster) -> None:
    leader = cluster.replica()
    registry = CollectorRegistry()
    registry.register(secret_tls.CertificateCollector(leader.kept, lambda: leader.leads))
    assert registry.get_sample_value("podgate_certificate_expiry_seconds", {"part": "leaf"}) is None

    leader.kept.look()
    cluster.rest.time = cluster.now

    def sample(name: str, **labels: str) -> float:
        value = registry.get_sample_value(name, labels)
        assert value is not None, name
        return value

    for part, days in (("ca", 365), ("bundle", 365), ("leaf", 90), ("served", 90)):
        assert round(sample("podgate_certificate_expiry_seconds", part=part) / 86400) == days
    assert sample("podgate_certificate_steps_total", step="write") == 1
    assert sample("podgate_certificate_steps_total", step="publish") == 2
    assert sample("podgate_certificate_conflicts_total") == 0
    assert sample("podgate_certificate_failures_total") == 0
    assert sample("podgate_clock_skew_seconds") == 0
    assert sample("podgate_leader") == 1


async def test_while_it_runs_what_is_lost_comes_back(cluster: Cluster) -> None:
    leader = cluster.replica()
    async with leader.kept.watching(interval=0.01, hurry=0.01):
        assert leader.kept.problem() is None, "the first look is over when serving begins"
        before = leader.handshake(cluster.live())
        cluster.edit("tls.key", b"")
        for _ in range(500):
            if leader.handshake(cluster.live()) != before:
                break
            await asyncio.sleep(0.01)

    assert leader.handshake(cluster.live()) != before


def test_the_parts_fit_together(cluster: Cluster) -> None:
    context = tls.ServerTls(None, None)
    shared = secret_tls.share(
        cluster.rest, context, namespace="podgate", secret="podgate-certs", webhooks="podgate", now=lambda: cluster.now
    )
    assert shared.election.attempt()

    shared.certificates.look()

    assert shared.certificates.problem() is None
    assert cluster.rest.objects["/apis/coordination.k8s.io/v1/namespaces/podgate/leases/podgate-leader"]


@pytest.mark.parametrize(
    ("certificate", "key"),
    [pytest.param(b"", b"", id="nothing"), pytest.param(b"rubbish", b"rubbish", id="rubbish")],
)
def test_a_pair_that_cannot_be_loaded_leaves_the_old_one_in_service(
    cluster: Cluster, certificate: bytes, key: bytes
) -> None:
    leader = cluster.replica()
    leader.kept.look()
    before = leader.handshake(cluster.live())

    with pytest.raises(tls.TlsError, match="give a PEM certificate"):
        leader.tls.load(certificate, key)

    assert leader.handshake(cluster.live()) == before
