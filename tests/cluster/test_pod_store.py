"""Pods that end are told of, so that what was booked for them need not wait for the next recount."""

import pytest

from webhook.cluster.live import PodStore


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
