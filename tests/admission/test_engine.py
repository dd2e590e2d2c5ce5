"""The engine as a whole: swapping policies, telling afterwards, and never failing because of it."""

import json
from unittest.mock import Mock

import pytest

from tests import factories
from webhook.admission.engine import Engine
from webhook.admission.recorder import Recorded, Recorder
from webhook.admission.request import BadReview

POLICY = factories.policy("mode: enforce\ncostCeiling: {podMonthly: '1'}", name="first")
OTHER = factories.policy("mode: enforce\ncostCeiling: {podMonthly: '1'}", name="second")


def test_before_any_policies_are_loaded_there_is_no_verdict() -> None:
    world = factories.World(POLICY)
    engine = Engine(view=world.view, ledger=world.ledger, recorder=Mock(), now=lambda: factories.NOON)
    assert engine.rules is None
    with pytest.raises(BadReview) as caught:
        engine.answer("/validate", json.dumps(factories.review(factories.pod())).encode())
    assert caught.value.status == 503
    assert caught.value.reason == "no valid policies are loaded yet; see /readyz?verbose"


def test_policies_that_are_put_in_force_hold_from_the_next_review_on() -> None:
    world = factories.World(POLICY)
    assert "policy first, " in world.validate(factories.pod()).message
    world.engine.put_in_force(factories.ruleset(OTHER))
    assert "policy second, " in world.validate(factories.pod()).message


def test_nothing_is_recorded_before_the_answer_is_out() -> None:
    world = factories.World(POLICY)
    _, after = world.engine.answer("/validate", json.dumps(factories.review(factories.pod())).encode())
    assert world.lines == []
    assert after is not None
    after()
    assert len(world.lines) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("closed"), RuntimeError("x")])
def test_a_log_that_cannot_be_written_costs_no_answer_and_is_counted(error: Exception) -> None:
    world = factories.World(POLICY)
    broken = Recorder(Mock(write=Mock(side_effect=error)), world.metrics, lambda: factories.NOON)
    engine = Engine(view=world.view, ledger=world.ledger, recorder=broken, now=lambda: factories.NOON)
    engine.put_in_force(world.rules)
    encoded, after = engine.answer("/validate", json.dumps(factories.review(factories.pod())).encode())
    assert after is not None
    after()
    assert json.loads(encoded)["response"]["allowed"] is False
    assert world.sample("podgate_recorder_faults_total") == 1


def test_a_log_that_cannot_be_written_leaves_one_line_per_minute(caplog: pytest.LogCaptureFixture) -> None:
    world, clock = factories.World(POLICY), [0.0]
    broken = Recorder(
        Mock(write=Mock(side_effect=OSError(28, "No space left on device"))),
        world.metrics,
        lambda: factories.NOON,
        monotonic=lambda: clock[0],
    )
    engine = Engine(view=world.view, ledger=world.ledger, recorder=broken, now=lambda: factories.NOON)
    engine.put_in_force(world.rules)
    lines = []
    for clock[0] in (0.0, 1.0, 59.0, 60.0, 61.0):
        _, after = engine.answer("/validate", json.dumps(factories.review(factories.pod())).encode())
        assert after is not None
        caplog.clear()
        after()
        lines.append([record.getMessage() for record in caplog.records])
    assert [len(each) for each in lines] == [1, 0, 0, 1, 0]
    assert "No space left on device" in lines[0][0]
    assert world.sample("podgate_recorder_faults_total") == 5


def test_a_listener_that_fails_is_named_beside_a_full_disk_and_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Deaf:
        def told(self, recorded: Recorded) -> None:
            raise RuntimeError(f"not now: {recorded.path}")

    world, other = factories.World(POLICY), Mock()
    writer = Mock(write=Mock(side_effect=[OSError(28, "No space left on device"), None]))
    recorder = Recorder(writer, world.metrics, lambda: factories.NOON, listeners=(Deaf(), other), monotonic=lambda: 0.0)
    engine = Engine(view=world.view, ledger=world.ledger, recorder=recorder, now=lambda: factories.NOON)
    engine.put_in_force(world.rules)
    for _ in range(2):
        _, after = engine.answer("/validate", json.dumps(factories.review(factories.pod())).encode())
        assert after is not None
        after()
    other.told.assert_called_once()
    assert "No space left on device" in caplog.text
    assert "Deaf did not take a decision: RuntimeError: not now: /validate" in caplog.text


def test_a_log_line_is_one_line_of_json_with_time_and_duration() -> None:
    world = factories.World(POLICY)
    answer = world.validate(factories.pod(labels={"x": "a\nb"}), user="jane\ndoe")
    (line,) = world.lines
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert answer.entry is not None
    assert answer.entry["time"] == "2026-11-22T12:00:00Z"
    assert answer.entry["microseconds"] >= 0
    assert answer.entry["user"] == "jane\ndoe"


def test_metrics_have_labels_from_closed_lists_only() -> None:
    world = factories.World(POLICY, factories.policy("mode: warn\npodSecurity: {level: restricted}", name="more"))
    for namespace in ("one", "two"):
        world.validate(factories.pod(labels={"secret-label": "secret-value"}), namespace=namespace, user="secret-user")
        world.validate(factories.deployment(), namespace=namespace)
    for family in world.metrics.registry.collect():
        for sample in family.samples:
            assert set(sample.labels) <= {
                "policy",
                "guardrail",
                "mode",
                "outcome",
                "path",
                "verdict",
                "would",
                "kind",
                "le",
                "status",
            }
            assert not set(sample.labels.values()) & {"one", "two", "secret-user", "secret-value", factories.GENERATED}


def test_an_annotation_and_a_denial_are_bounded() -> None:
    world = factories.World(factories.policy("mode: enforce\npodSecurity: {level: restricted}"))
    pod = factories.pod(*(factories.container(f"container-number-{n:0133}") for n in range(27)))
    answer = world.validate(pod)
    for text in (answer.message, answer.notes["findings"]):
        assert 16_384 <= len(text) < 16_500
        assert text.endswith("more characters are in the decision log)")
    assert answer.entry is not None
    assert len(answer.entry["message"]) > 16_500


OWNED = {
    "generateName": "shop-7d9c8b6f5-",
    "labels": {"app": "shop", "pod-template-hash": "7d9c8b6f5"},
    "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-7d9c8b6f5", "uid": "u", "controller": True}
    ],
}
SPOT = factories.policy('mode: enforce\nspot: {tolerations: [{key: spot, operator: Equal, value: "true"}]}')


@pytest.mark.parametrize(("policy", "path"), [(SPOT, "/mutate"), (POLICY, "/validate")])
def test_the_owner_is_told_and_looked_up_once_per_review(policy: str, path: str) -> None:
    world = factories.World(policy)
    view = Mock(wraps=world.view)
    engine = Engine(
        view=view,
        ledger=world.ledger,
        recorder=Recorder(world, world.metrics, lambda: factories.NOON, view),
        now=lambda: factories.NOON,
    )
    engine.put_in_force(world.rules)
    body = json.dumps(factories.review(factories.pod(metadata=OWNED))).encode()
    _, after = engine.answer(path, body)
    assert after is not None
    after()
    assert json.loads(world.lines[0])["owner"] == "Deployment/shop"
    assert view.top_controller.call_count == 1
