"""What becomes of a pod while the API server that keeps the ledgers says nothing: refused at first, whatever `onFault`
says, since whoever is let in unbooked may be beyond the budget; once that has lasted, as `onFault` says."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests import factories
from tests.admission.test_budgets import RATE, budget, world
from tests.contracts.ledger import Clock
from tests.fakes.ledgers import FakeLedgers
from tests.fakes.shared_ledger import replica, watch
from webhook.kube import client as api
from webhook.ledger.answers import SILENT_SECONDS
from webhook.ledger.shared import SharedLedger

SECONDS_OF_A_CALL = 2
SILENCE = "budgetledgers: no answer in time"


class Scene:
    """Podgate over a shared ledger, and the API server that keeps it."""

    def __init__(self, on_fault: str) -> None:
        self.clock = Clock()
        self.ledgers = FakeLedgers()
        self.shared: SharedLedger = replica(self.ledgers, self.clock)
        watch(self.ledgers, self.shared)
        self.world = world(budget("500", onFault=on_fault), ledger=self.shared, now=self.clock)

    def falls_silent(self) -> None:
        """Let no call be answered from now on."""

        def before(_verb: str) -> None:
            self.clock.now += timedelta(seconds=SECONDS_OF_A_CALL)
            raise api.LateError(SILENCE)

        self.ledgers.before = before

    def speaks_again(self) -> None:
        self.ledgers.before = None

    def create(self, uid: str) -> factories.Answer:
        return self.world.validate(factories.pod(), pod_uid=uid, uid=f"review-{uid}")

    def counted(self, outcome: str) -> float:
        labels = {"policy": "alpha", "guardrail": "budget", "mode": "enforce", "outcome": outcome}
        return self.world.sample("podgate_decisions_total", **labels)

    def booked(self) -> set[str]:
        return set(self.ledgers.sheet("alpha").reservations)


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    made = Scene(request.param)
    assert made.create("first").allowed
    yield made
    made.speaks_again()
    made.shared.close()


def is_silent_for_long(scene: Scene) -> None:
    scene.falls_silent()
    scene.create("asks-first")
    scene.clock.now += timedelta(seconds=SILENT_SECONDS)


@pytest.mark.parametrize("scene", ["allow", "deny"], indirect=True)
def test_a_moment_of_silence_is_no_fault_and_lets_nobody_in(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.falls_silent()
    answer = scene.create("p")
    assert not answer.allowed
    assert "the API server took too long to write the booking down" in answer.message
    assert "to fix: retry in a minute" in answer.message
    assert (scene.counted("refused"), scene.counted("fault_allowed"), scene.counted("fault_denied")) == (1, 0, 0)
    assert "let in" not in caplog.text


@pytest.mark.parametrize("scene", ["allow"], indirect=True)
def test_where_on_fault_allows_a_long_silence_lets_pods_in_unbooked_and_everybody_is_told(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    is_silent_for_long(scene)
    answer = scene.create("p")
    assert answer.allowed
    (warning,) = answer.warnings
    assert f"this pod is let in although it could not be booked ({SILENCE})" in warning
    assert f"a pod is let in although it could not be booked in budget alpha: {SILENCE}" in caplog.text
    assert answer.outcome("budget") == "fault_allowed"
    assert answer.entry is not None
    assert answer.entry["unreserved"] == SILENCE
    assert scene.counted("fault_allowed") == 1
    assert scene.shared.tally.writes["failed"] > 0
    assert scene.shared.notices() == [SILENCE]
    assert scene.booked() == {"first"}
    assert scene.shared.committed("alpha") == RATE


@pytest.mark.parametrize("scene", ["deny"], indirect=True)
def test_where_on_fault_denies_a_long_silence_refuses(scene: Scene) -> None:
    is_silent_for_long(scene)
    answer = scene.create("p")
    assert not answer.allowed
    assert answer.message == (
        f"policy alpha, budget: could not be booked ({SILENCE}); to fix: retry, or ask the platform team"
    )
    assert answer.outcome("budget") == "fault_denied"
    assert scene.counted("fault_denied") == 1
    assert scene.booked() == {"first"}


@pytest.mark.parametrize("scene", ["allow", "deny"], indirect=True)
def test_after_a_long_silence_pods_are_booked_as_before(scene: Scene) -> None:
    is_silent_for_long(scene)
    scene.create("p")
    scene.speaks_again()
    assert scene.create("q").allowed
    assert "q" in scene.booked()
    assert scene.shared.committed("alpha") == 2 * RATE
    assert not scene.create("r").allowed, "there is room for two"
    assert scene.shared.notices() == []
