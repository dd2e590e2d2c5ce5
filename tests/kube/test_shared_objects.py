"""The Secret and the webhook objects as adapters read and write them."""

import base64

import pytest

from tests.fakes.objects import FakeRest
from webhook.kube import client as api
from webhook.kube.secrets import SecretStore
from webhook.kube.webhooks import RESOURCES, WebhookObjects

SECRET = "/api/v1/namespaces/podgate/secrets/podgate-certs"
HOOKS = [f"/apis/admissionregistration.k8s.io/v1/{resource}/podgate" for resource in RESOURCES]


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def store(rest: FakeRest) -> SecretStore:
    return SecretStore(rest, "podgate", "podgate-certs")


def test_a_secret_that_does_not_exist_is_none_and_can_be_made() -> None:
    rest = FakeRest()
    assert store(rest).read() is None

    store(rest).write({"ca.crt": b"\x00\xff"}, None)

    read = store(rest).read()
    assert read is not None
    assert read.data == {"ca.crt": b"\x00\xff"}
    assert rest.objects[SECRET]["type"] == "Opaque"


def test_labels_and_annotations_of_others_survive_a_write() -> None:
    rest = FakeRest()
    rest.put(SECRET, {"metadata": {"name": "podgate-certs", "labels": {"team": "x"}}, "data": {"a": encoded(b"1")}})
    before = store(rest).read()

    store(rest).write({"b": b"2"}, before)

    assert rest.objects[SECRET]["data"] == {"b": encoded(b"2")}
    assert rest.objects[SECRET]["metadata"]["labels"] == {"team": "x"}


@pytest.mark.parametrize("data", [None, {}, {"ca.crt": "***"}, {"ca.crt": 7}, {"ca.crt": None}, []], ids=repr)
def test_nonsense_in_a_secret_is_left_out(data: object) -> None:
    rest = FakeRest()
    rest.put(SECRET, {"metadata": {"name": "podgate-certs"}, "data": data})

    read = store(rest).read()

    assert read is not None
    assert read.data == {}


def test_a_write_under_an_old_version_is_a_conflict() -> None:
    rest = FakeRest()
    store(rest).write({"a": b"1"}, None)
    before = store(rest).read()
    store(rest).write({"a": b"2"}, before)

    with pytest.raises(api.ConflictError):
        store(rest).write({"a": b"3"}, before)
    with pytest.raises(api.ConflictError):
        store(rest).write({"a": b"3"}, None)
    del rest.objects[SECRET]
    with pytest.raises(api.ConflictError):
        store(rest).write({"a": b"3"}, before)


def hook(*bundles: bytes | None) -> dict[str, object]:
    entries = []
    for index, bundle in enumerate(bundles):
        config: dict[str, object] = {"service": {"name": "podgate", "namespace": "podgate"}}
        if bundle is not None:
            config["caBundle"] = encoded(bundle)
        entries.append({"name": f"w{index}.podgate.dev", "clientConfig": config, "failurePolicy": "Ignore"})
    return {"metadata": {"name": "podgate"}, "webhooks": entries}


def test_bundles_of_both_objects_are_read_and_only_they_are_written() -> None:
    rest = FakeRest()
    rest.put(HOOKS[0], hook(None))
    rest.put(HOOKS[1], hook(b"old", b"new"))
    objects = WebhookObjects(rest, "podgate")
    first, second = objects.read()
    assert (first.bundles, second.bundles) == ((b"",), (b"old", b"new"))

    assert objects.publish(first, b"new")
    assert objects.publish(second, b"new")

    assert [entry.bundles for entry in objects.read()] == [(b"new",), (b"new", b"new")]
    changed = rest.objects[HOOKS[1]]["webhooks"]
    assert [entry["failurePolicy"] for entry in changed] == ["Ignore", "Ignore"]
    assert [entry["clientConfig"]["service"]["name"] for entry in changed] == ["podgate", "podgate"]


def test_what_is_published_already_is_not_written_again() -> None:
    rest = FakeRest()
    rest.put(HOOKS[0], hook(b"same"))
    objects = WebhookObjects(rest, "podgate")
    (found,) = objects.read()

    assert not objects.publish(found, b"same")
    assert [method for method, _ in rest.calls] == ["GET", "GET"]


def test_publishing_to_an_object_that_changed_or_went_is_a_conflict() -> None:
    rest = FakeRest()
    rest.put(HOOKS[0], hook(b"old"))
    objects = WebhookObjects(rest, "podgate")
    (found,) = objects.read()
    rest.put(HOOKS[0], hook(b"newer"))

    with pytest.raises(api.ConflictError):
        objects.publish(found, b"older")
    assert objects.read()[0].bundles == (b"newer",)
    del rest.objects[HOOKS[0]]
    with pytest.raises(api.ConflictError):
        objects.publish(found, b"older")


@pytest.mark.parametrize(
    "webhooks",
    [None, {}, [None], [{}], [{"clientConfig": None}], [{"clientConfig": {"caBundle": "***"}}]],
    ids=repr,
)
def test_nonsense_in_a_webhook_object_is_no_bundle(webhooks: object) -> None:
    rest = FakeRest()
    rest.put(HOOKS[0], {"metadata": {"name": "podgate"}, "webhooks": webhooks})

    (found,) = WebhookObjects(rest, "podgate").read()

    assert not any(found.bundles)
