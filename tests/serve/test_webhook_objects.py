"""A webhook object that goes missing, comes back, or cannot be read: told by every replica."""

import logging

import pytest
from prometheus_client import CollectorRegistry

from tests.kube.test_webhook_rules import MUTATING, VALIDATING, shipped
from webhook.kube import client as api
from webhook.kube.webhooks import LiveObject, WebhookObjects
from webhook.serve.webhook_objects import WebhookObjectCheck, WebhookObjectCollector


class Objects(WebhookObjects):
    """Both objects, in memory."""

    def __init__(self) -> None:
        self.name = "podgate"
        self.live = {resource: shipped(resource) for resource in (MUTATING, VALIDATING)}
        self.error: api.ApiError | None = None

    def read(self) -> tuple[LiveObject, ...]:
        if self.error is not None:
            raise self.error
        return tuple(LiveObject(f"/{resource}", resource, each, ()) for resource, each in self.live.items())


def values(check: WebhookObjectCheck) -> list[float | None]:
    registry = CollectorRegistry()
    registry.register(WebhookObjectCollector(check))
    name = "podgate_webhook_object_problems"
    return [registry.get_sample_value(name, {"object": each}) for each in ("mutating", "validating")]


def test_an_object_that_goes_missing_is_told_once_in_the_log_and_stays_a_notice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    objects = Objects()
    check = WebhookObjectCheck(objects)
    check.look()
    assert check.notices() == []
    assert values(check) == [0, 0]

    mutating = objects.live.pop(MUTATING)
    check.look()
    check.look()
    (line,) = check.notices()
    assert "mutatingwebhookconfigurations/podgate is missing" in line
    assert values(check) == [1, 0]
    assert [record.getMessage() for record in caplog.records] == [line]

    objects.live[MUTATING] = mutating
    check.look()
    assert check.notices() == []
    assert values(check) == [0, 0]
    assert caplog.records[-1].getMessage() == "the webhook objects are complete again"


def test_while_the_objects_cannot_be_read_what_was_known_stays_told() -> None:
    objects = Objects()
    check = WebhookObjectCheck(objects)
    del objects.live[VALIDATING]
    check.look()
    objects.error = api.ApiError("GET /apis: no answer", 0)
    check.look()

    missing, unread = check.notices()
    assert "is missing" in missing
    assert unread == "they cannot be read: GET /apis: no answer"
    assert values(check) == [0, 1]


def test_nothing_is_told_before_the_first_look() -> None:
    check = WebhookObjectCheck(Objects())
    assert check.notices() == []
    assert values(check) == [None, None]
