"""Rotation: each step for its reason, and no state in between in which a replica's certificate is not trusted.

The state machine at the end plays replicas, two leaders that do not know of each other, and people who edit things.
"""

import datetime as dt
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import certs
from certs import authority, bundle, checks, leaf, rotation
from certs.rotation import Publish, RotationPlan, Write, plan

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
NAMES = certs.server_names("podgate")
CALLED = "podgate.podgate.svc"


class World:
    """A Secret, live bundles and a clock; `settle` carries out what is planned until nothing is left to do."""

    def __init__(self, live: int = 3) -> None:
        self.now = NOON
        self.data: dict[str, bytes] | None = None
        self.live = [b""] * live
        self.done: list[str] = []

    def plan(self) -> RotationPlan:
        return plan(self.data, self.live, NAMES, self.now)

    def step(self) -> RotationPlan:
        planned = self.plan()
        if isinstance(planned.step, Write):
            self.data = dict(planned.step.data)
        elif isinstance(planned.step, Publish):
            self.live = [planned.step.bundle] * len(self.live)
        if planned.step is not None:
            self.done.append(type(planned.step).__name__)
        return planned

    def settle(self) -> list[str]:
        self.done = []
        for _ in range(20):
            if self.step().step is None:
                return self.done
        raise AssertionError(f"it never comes to rest: {self.done}")

    def pair(self) -> bundle.KeyPair:
        data = self.data or {}
        pair = bundle.parse_pair(data.get(rotation.TLS_CRT), data.get(rotation.TLS_KEY))
        assert pair is not None
        return pair

    def is_trusted(self, pair: bundle.KeyPair) -> bool:
        return bundle.problem(pair, self.live, CALLED, self.now) is None

    @property
    def stored(self) -> dict[str, bytes]:
        assert self.data is not None
        return self.data


def installed() -> World:
    world = World()
    world.settle()
    return world


def rotating() -> World:
    """A world in which the authority is due and its follower has been published."""
    world = installed()
    world.now += 250 * DAY
    world.settle()
    return world


def text_of(made: authority.Authority) -> bytes:
    return bundle.encode([made.certificate])


# --- the ordinary course --------------------------------------------------------------------------------------------


def test_a_first_installation_is_one_write_and_one_publication() -> None:
    world = World()

    assert world.settle() == ["Write", "Publish"]
    assert world.is_trusted(world.pair())
    assert set(world.stored) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}


def test_without_webhook_objects_the_secret_is_made_all_the_same() -> None:
    world = World(live=0)

    assert world.settle() == ["Write"]
    assert world.is_trusted(world.pair())


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param(59, [], id="just before two thirds"),
        pytest.param(61, ["Write"], id="after two thirds"),
        pytest.param(89, ["Write"], id="shortly before the end"),
        pytest.param(100, ["Write"], id="after the end"),
    ],
)
def test_a_serving_certificate_is_renewed_at_two_thirds_of_its_life(days: int, expected: list[str]) -> None:
    world = installed()
    before = world.pair().chain
    world.now += days * DAY

    assert world.settle() == expected
    assert (world.pair().chain != before) is bool(expected)
    assert world.is_trusted(world.pair())


def test_an_authority_is_announced_published_settled_switched_and_retired() -> None:
    world = installed()
    first = bundle.parse(world.stored["ca.crt"]).certificates
    for _ in range(4):
        world.now += 60 * DAY
        world.settle()
    old_leaf = world.pair()
    assert bundle.parse(world.stored["ca.crt"]).certificates == first, "not before two thirds"

    world.now += 10 * DAY
    # The serving certificate is not due; the announcement is stored, published, and the time of it noted.
    assert world.settle() == ["Write", "Publish", "Write"]
    assert world.pair().chain == old_leaf.chain, "the old authority still signs"
    assert len(bundle.parse(world.live[0]).certificates) == 2
    assert world.plan().due == world.now + rotation.SETTLE

    world.now += rotation.SETTLE - dt.timedelta(seconds=1)
    assert world.settle() == []
    world.now += dt.timedelta(seconds=1)
    assert world.settle() == ["Write"]
    assert world.pair().chain != old_leaf.chain
    assert world.is_trusted(old_leaf)
    assert world.is_trusted(world.pair())

    world.now += rotation.OVERLAP
    assert world.settle() == ["Publish", "Write"]
    assert not world.is_trusted(old_leaf)
    assert world.is_trusted(world.pair())
    assert len(bundle.parse(world.stored["ca.crt"]).certificates) == 1
    assert set(world.stored) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}


def test_an_installation_that_is_looked_after_serves_for_years_without_a_gap() -> None:
    world = installed()
    for _ in range(2 * 73):
        served = world.pair()
        world.now += 5 * DAY
        assert world.is_trusted(served), world.now
        for _ in range(3):
            world.settle()
            assert world.is_trusted(served)
            world.now += MINUTE


def test_the_serving_certificate_is_renewed_even_while_a_rotation_cannot_go_on() -> None:
    world = rotating()
    # Nobody may patch the webhook objects any more; one has lost the follower.
    world.live[0] = bundle.encode([bundle.parse(world.stored["ca.crt"]).certificates[0]])
    world.now += 61 * DAY

    planned = world.step()

    assert isinstance(planned.step, Write)
    assert "serving certificate" in planned.step.reason
    assert world.is_trusted(world.pair())


def test_a_bundle_that_loses_the_follower_begins_the_wait_anew() -> None:
    world = rotating()
    world.live[1] = bundle.encode([bundle.parse(world.stored["ca.crt"]).certificates[0]])
    world.now += rotation.SETTLE

    assert world.settle() == ["Write", "Publish", "Write"]
    assert world.plan().due == world.now + rotation.SETTLE


# --- edits by hand --------------------------------------------------------------------------------------------------

Edit = Callable[[dict[str, bytes]], None]


def _set(key: str, value: bytes) -> Edit:
    def edit(data: dict[str, bytes]) -> None:
        data[key] = value

    return edit


def _drop(*keys: str) -> Edit:
    def edit(data: dict[str, bytes]) -> None:
        for key in keys:
            data.pop(key, None)

    return edit


EDITS: dict[str, Edit] = {
    "nothing left": lambda data: data.clear(),
    "ca.key gone": _drop("ca.key"),
    "ca.key rubbish": _set("ca.key", b"rubbish"),
    "ca.key of another": _set("ca.key", checks.encode_key(authority.create(NOON).key)),
    "ca.crt gone": _drop("ca.crt"),
    "ca.crt rubbish": _set("ca.crt", b"\xff\x00"),
    "ca.crt of another": _set("ca.crt", text_of(authority.create(NOON))),
    "tls.crt gone": _drop("tls.crt"),
    "tls.crt half": lambda data: data.update({"tls.crt": data["tls.crt"][:200]}),
    "tls.key gone": _drop("tls.key"),
    "tls.key rubbish": _set("tls.key", b"-----BEGIN PRIVATE KEY-----\nrubbish\n-----END PRIVATE KEY-----\n"),
    "tls.key is ca.key": lambda data: data.update({"tls.key": data["ca.key"]}),
    "certificate and authority exchanged": lambda data: data.update(
        {"tls.crt": data["ca.crt"], "ca.crt": data["tls.crt"]}
    ),
    "a stranger appended to ca.crt": lambda data: data.update(
        {"ca.crt": data["ca.crt"] + text_of(authority.create(NOON))}
    ),
    "an expired one appended": lambda data: data.update(
        {"ca.crt": data["ca.crt"] + text_of(authority.create(NOON - 400 * DAY))}
    ),
    "rubbish in next-ca.key": _set("next-ca.key", b"rubbish"),
    "since is rubbish": _set("since", b"yesterday"),
    "since is far ahead": _set("since", b"2099-01-01T00:00:00Z"),
    "since without a zone": _set("since", b"2026-11-22T00:00:00"),
    "something else beside": _set("README", b"do not edit"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("begin", [installed, rotating], ids=["at rest", "while rotating"])
def test_an_edited_secret_is_mended_and_what_replicas_hold_stays_trusted(
    edit: Edit, begin: Callable[[], World]
) -> None:
    world = begin()
    held = world.pair()
    edit(world.stored)

    for _ in range(6):
        while world.step().step is not None:
            assert world.is_trusted(held)
        world.now += rotation.SETTLE

    assert world.is_trusted(held)
    assert world.is_trusted(world.pair())
    for _ in range(3):
        world.now += rotation.OVERLAP
        world.settle()
    anchors = bundle.parse(world.stored["ca.crt"])
    assert (len(anchors.certificates), anchors.broken) == (1, 0)
    assert world.is_trusted(world.pair())


def test_a_deleted_secret_leads_to_a_new_authority_beside_the_one_that_is_trusted() -> None:
    world = installed()
    held = world.pair()
    world.data = None

    assert world.settle() == ["Write", "Publish", "Write"]
    assert "tls.crt" not in world.stored, "not before the new authority is trusted"
    assert world.is_trusted(held)


def test_an_old_copy_of_the_secret_does_not_take_trust_from_what_is_served() -> None:
    world = installed()
    backup = dict(world.stored)
    world.now += 250 * DAY
    for _ in range(3):
        world.settle()
        world.now += rotation.OVERLAP
    held = world.pair()
    world.data = backup

    for _ in range(4):
        world.settle()
        assert world.is_trusted(held)
        world.now += rotation.SETTLE
    assert world.is_trusted(world.pair())


def test_an_emptied_bundle_is_filled_again() -> None:
    world = installed()
    world.live[2] = b""

    assert world.settle() == ["Publish"]
    assert world.is_trusted(world.pair())


# --- clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_that_is_minutes_off_changes_nothing(minutes: int) -> None:
    world = installed()
    world.now += minutes * MINUTE

    assert world.settle() == []
    assert world.is_trusted(world.pair())


def test_an_authority_from_the_future_is_told_and_not_replaced() -> None:
    world = installed()
    world.now -= DAY

    planned = world.plan()

    assert planned.step is None
    assert "set the clocks right" in (planned.problem or "")


def test_a_wait_that_began_in_the_future_begins_anew() -> None:
    world = rotating()
    world.now -= 2 * rotation.TOLERANCE

    assert world.settle() == ["Write"]
    assert world.plan().due == world.now + rotation.SETTLE


# --- somebody else's certificate ------------------------------------------------------------------------------------


def foreign(now: dt.datetime = NOON, names: tuple[str, ...] = NAMES) -> dict[str, bytes]:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Company Issuing CA")])
    issuer = authority.create(now, subject=subject)
    made = leaf.create(issuer, names, now)
    return {
        "ca.crt": text_of(issuer),
        "tls.crt": bundle.encode([made.certificate]),
        "tls.key": checks.encode_key(made.key),
    }


def test_a_certificate_of_another_issuer_is_published_and_never_touched() -> None:
    world = World()
    world.data = foreign()
    before = dict(world.data)

    assert world.settle() == ["Publish"]
    assert world.data == before
    assert world.is_trusted(world.pair())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(foreign(NOON - 91 * DAY), "have its issuer renew it", id="expired"),
        pytest.param({**foreign(), "ca.crt": b""}, "put that of its issuer there", id="no authority"),
        pytest.param({**foreign(), "ca.crt": text_of(authority.create(NOON))}, "signed by no", id="another authority"),
        pytest.param(foreign(names=("shop.example",)), "carries none of localhost", id="another name"),
    ],
)
def test_a_certificate_of_another_issuer_that_cannot_work_is_told_with_the_cure(
    data: dict[str, bytes], said: str
) -> None:
    planned = plan(data, [b""], NAMES, NOON)

    assert planned.step is None
    assert planned.problem is not None
    assert said in planned.problem
    assert "\n" not in planned.problem


def test_our_certificate_without_its_authoritys_key_is_ours_still() -> None:
    world = installed()
    held = world.pair()
    del world.stored["ca.key"]
    for _ in range(3):
        world.settle()
        assert world.is_trusted(held)
        world.now += rotation.SETTLE

    assert world.pair().chain != held.chain
    assert "ca.key" in world.stored


# --- expiry ---------------------------------------------------------------------------------------------------------


def test_expiries_are_those_of_the_signing_authority_the_certificate_and_the_live_bundles() -> None:
    world = installed()
    lone = authority.renew(
        authority.Authority(_ec(world.stored["ca.key"]), bundle.parse(world.stored["ca.crt"]).certificates[0]),
        NOON - 300 * DAY,
    )
    world.live[1] = text_of(lone)

    ends = rotation.expiries(world.stored, world.live)

    assert ends == {"ca": NOON + 365 * DAY, "leaf": NOON + 90 * DAY, "bundle": NOON + 65 * DAY}


def test_expiries_leave_out_what_cannot_be_told() -> None:
    world = installed()

    assert rotation.expiries(None, world.live) == {}
    assert set(rotation.expiries(world.stored, [b""])) == {"ca", "leaf"}
    assert rotation.expiries({"ca.crt": b"rubbish"}, world.live) == {}


def _ec(text: bytes) -> ec.EllipticCurvePrivateKey:
    key = bundle.parse_key(text)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


# --- everything at once ---------------------------------------------------------------------------------------------


class Looked:
    """What one leader saw, and under which versions; it acts on it some time later."""

    def __init__(self, data: dict[str, bytes] | None, secret: int, live: list[bytes], versions: list[int]) -> None:
        self.data, self.secret, self.live, self.versions = data, secret, live, versions


class Cluster(RuleBasedStateMachine):
    """Replicas serve, two leaders act on looks of any age, time passes, objects are lost.

    The two that read read the live objects first and the Secret second, with anything in between; every write is
    refused where its object has changed since.
    """

    @initialize()
    def install(self) -> None:
        self.now = NOON
        self.data: dict[str, bytes] | None = None
        self.secret = 0
        self.live = [b"", b""]
        self.versions = [0, 0]
        self.halves: list[tuple[list[bytes], list[int]] | None] = [None, None]
        self.looks: list[Looked | None] = [None, None]
        self.served: list[bundle.KeyPair | None] = [None, None]
        self.backups: list[dict[str, bytes]] = []
        self.lead(0, 3)
        self.serve(0)
        self.serve(1)

    @rule(who=st.sampled_from([0, 1]))
    def read_live(self, who: int) -> None:
        self.halves[who] = (list(self.live), list(self.versions))

    @rule(who=st.sampled_from([0, 1]))
    def read_secret(self, who: int) -> None:
        half = self.halves[who]
        if half is not None:
            data = None if self.data is None else dict(self.data)
            self.looks[who], self.halves[who] = Looked(data, self.secret, *half), None

    @rule(who=st.sampled_from([0, 1]), reached=st.integers(0, 2))
    def act(self, who: int, reached: int) -> None:
        """Act on a look; the leader may end after it has patched only some of the objects."""
        look, self.looks[who] = self.looks[who], None
        if look is None:
            return
        step = plan(look.data, look.live, NAMES, self.now).step
        if isinstance(step, Write) and look.secret == self.secret:
            self.data, self.secret = dict(step.data), self.secret + 1
            self.backups.append(self.data)
        elif isinstance(step, Publish):
            for index in range(reached):
                if look.versions[index] == self.versions[index]:
                    self.live[index] = step.bundle
                    self.versions[index] += 1

    @rule(who=st.sampled_from([0, 1]), times=st.integers(1, 6))
    def lead(self, who: int, times: int) -> None:
        for _ in range(times):
            self.read_live(who)
            self.read_secret(who)
            self.act(who, 2)
            self.what_is_served_is_trusted()

    @rule(who=st.sampled_from([0, 1]))
    def serve(self, who: int) -> None:
        data = self.data or {}
        offered = bundle.parse_pair(data.get(rotation.TLS_CRT), data.get(rotation.TLS_KEY))
        if offered is not None and bundle.problem(offered, self.live, CALLED, self.now) is None:
            self.served[who] = offered

    @rule(who=st.sampled_from([0, 1]))
    def restart(self, who: int) -> None:
        self.served[who] = None
        self.serve(who)

    @rule(elapsed=st.sampled_from([MINUTE, 10 * MINUTE, 10 * MINUTE, DAY, 61 * DAY]))
    def pass_time(self, elapsed: dt.timedelta) -> None:
        """Everybody looks now and then, long before the end of what it has seen."""
        while elapsed > dt.timedelta(0):
            part = min(elapsed, 15 * DAY)
            self.serve(0)
            self.serve(1)
            self.now += part
            elapsed -= part
            if part > MINUTE:
                # No request of a leader is on its way for minutes.
                self.halves, self.looks = [None, None], [None, None]
                for _ in range(2):
                    self.lead(0, 4)
                    self.serve(0)
                    self.serve(1)
                    self.now += rotation.SETTLE

    @precondition(lambda self: self.data is not None)
    @rule(key=st.sampled_from(["ca.key", "ca.crt", "tls.key", "next-ca.key", "since"]))
    def somebody_edits_the_secret(self, key: str) -> None:
        self.data = {**(self.data or {}), key: b"rubbish"}
        self.secret += 1

    @rule()
    def somebody_deletes_the_secret(self) -> None:
        self.data = None
        self.secret += 1

    @rule(age=st.integers(0, 4))
    def somebody_restores_a_backup(self, age: int) -> None:
        self.data = dict(self.backups[-1 - age] if age < len(self.backups) else self.backups[0])
        self.secret += 1

    @invariant()
    def what_is_served_is_trusted(self) -> None:
        for pair in self.served:
            if pair is not None:
                assert bundle.problem(pair, self.live, CALLED, self.now) is None

    def teardown(self) -> None:
        """Left alone, it always comes to rest with something to serve."""
        if not hasattr(self, "now"):
            return
        for _ in range(8):
            self.lead(0, 6)
            self.now += rotation.SETTLE
        self.restart(0)
        assert self.served[0] is not None
        self.what_is_served_is_trusted()


TestCluster = Cluster.TestCase
TestCluster.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
