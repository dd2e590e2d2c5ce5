"""Every use of a PolicyException is counted and written down, and its coming end is told in time."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from tests import factories
from webhook.admission.metrics import ExceptionCollector

POLICY = "mode: {mode}\nexceptions: {{maxDays: 90}}\npodSecurity: {{level: baseline}}"
LAST = "2026-12-31"
END = datetime(2027, 1, 1, tzinfo=UTC)
"""First moment at which the exception no longer holds."""


def exception(spec: str = "guardrails: [podSecurity]", name: str = "legacy", expires: str = LAST) -> str:
    return (
        f"apiVersion: podgate.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: {name}, namespace: team-alpha}}\n"
        f"spec:\n  {spec}\n  owner: a@b.example\n  reason: old image\n  expires: '{expires}'\n"
    )


def world(now: datetime, *exceptions: str, mode: str = "enforce") -> factories.World:
    return factories.World(factories.policy(POLICY.format(mode=mode)), *exceptions, now=lambda: now)


def told(answer: factories.Answer) -> list[str]:
    return [warning for warning in answer.warnings if "PolicyException" in warning]


@pytest.mark.parametrize(
    ("before", "warns"),
    [
        (timedelta(days=14, seconds=1), False),
        (timedelta(days=14), True),
        (timedelta(seconds=1), True),
    ],
)
def test_an_exception_is_warned_about_in_its_last_fourteen_days(before: timedelta, warns: bool) -> None:
    answer = world(END - before, exception()).validate(factories.pod(hostNetwork=True))
    assert answer.allowed
    expected = (
        "PolicyException team-alpha/legacy of a@b.example ends on 2026-12-31, and podSecurity holds from then on; "
        "to fix: mend what it excuses, or ask for a new one"
    )
    assert told(answer) == ([expected] if warns else [])


def test_it_has_no_effect_and_is_not_told_once_it_has_ended() -> None:
    answer = world(END, exception()).validate(factories.pod(hostNetwork=True))
    assert not answer.allowed
    assert told(answer) == []
    assert answer.entry is not None
    assert "exceptions" not in answer.entry


def test_the_mutating_call_does_not_tell_it_twice_and_audit_tells_nobody() -> None:
    soon = END - timedelta(days=1)
    assert told(world(soon, exception()).mutate(factories.pod(hostNetwork=True))) == []
    assert told(world(soon, exception(), mode="audit").validate(factories.pod(hostNetwork=True))) == []


def test_a_workload_is_told_when_it_is_applied() -> None:
    template = factories.pod(hostNetwork=True)
    assert len(told(world(END - timedelta(days=1), exception()).validate(factories.deployment(1, template)))) == 1


def test_each_use_is_counted_once_whole_or_in_part() -> None:
    seen = world(factories.NOON, exception(), exception("guardrails: [podSecurity]\n  containers: [other]", "part"))
    seen.create(factories.pod(hostNetwork=True))
    name = "podgate_exception_uses_total"
    assert seen.sample(name, guardrail="podSecurity", scope="whole") == 1
    assert seen.sample(name, guardrail="podSecurity", scope="part") == 1


def test_an_exception_of_a_guardrail_that_nobody_configured_is_no_use() -> None:
    seen = world(factories.NOON, exception("guardrails: [costCeiling]"))
    seen.validate(factories.safe_pod())
    assert seen.sample("podgate_exception_uses_total", guardrail="costCeiling", scope="whole") == 0


def test_the_log_names_the_exceptions() -> None:
    answer = world(factories.NOON, exception()).validate(factories.pod(hostNetwork=True))
    assert answer.entry is not None
    assert answer.entry["exceptions"] == ["team-alpha/legacy"]


def test_the_states_of_exceptions_are_asked_of_the_clock() -> None:
    rules = factories.ruleset(
        exception(), exception(name="late", expires="2027-03-01"), exception(name="old", expires="2026-01-01")
    )
    now = factories.NOON
    registry = CollectorRegistry()
    registry.register(ExceptionCollector(lambda: rules, lambda: now))

    def states() -> list[float | None]:
        return [
            registry.get_sample_value("podgate_exceptions", {"state": each}) for each in ("active", "ending", "expired")
        ]

    assert states() == [2, 0, 1]
    now = END - timedelta(days=3)
    assert states() == [1, 1, 1]
    now = END
    assert states() == [1, 0, 2]


def test_there_are_no_states_before_there_are_policies() -> None:
    registry = CollectorRegistry()
    registry.register(ExceptionCollector(lambda: None, lambda: factories.NOON))
    assert registry.get_sample_value("podgate_exceptions", {"state": "active"}) is None
