"""Pods that end are told of, so that what was booked for them need not wait for the next recount."""

import pytest

from webhook.cluster.pod_records import PodRecord
from webhook.cluster.pod_store import PodStore
from webhook.kube.objects import PodSpec


@pytest.fixture
def ended() -> list[str]:
    return []


@pytest.fixture
def store(ended: list[str]) -> PodStore:
    made = PodStore()
    made.on_end = ended.append
    return made


def test_a_pod_that_ends_is_told_of(store: PodStore, ended: list[str]) -> None:
    store.drop("uid-1")

    assert ended == ["uid-1"]


def test_a_list_tells_of_no_end(store: PodStore, ended: list[str]) -> None:
    # A pod that is missing in a list may be newer than the list; the recount decides about it.
    store.replace({})

    assert ended == []


def test_nobody_needs_to_listen() -> None:
    store = PodStore()

    store.drop("uid-1")

    assert len(store) == 0


@pytest.mark.parametrize(("deletion", "told"), [(None, []), ("2026-11-22T12:00:00Z", ["uid-1"])])
def test_a_pod_that_is_being_deleted_is_told_of_before_it_ends(deletion: str | None, told: list[str]) -> None:
    store, leaving = PodStore(), list[str]()
    store.put("uid-1", PodRecord("uid-1", "shop", None, None, PodSpec(), deletion_timestamp=deletion))
    assert leaving == []

    store.on_leave = leaving.append
    store.put("uid-1", PodRecord("uid-1", "shop", None, None, PodSpec(), deletion_timestamp=deletion))

    assert leaving == told
