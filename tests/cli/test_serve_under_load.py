"""A process that serves, and clients that want its memory: it stays bounded, and others are answered meanwhile."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import factories
from tests.cli._flood import MIB, flood
from tests.cli._server import Server, serving, until

MOST = 225 * MIB
"""Bytes that the process may take beside what it takes when idle; 300 are promised, and some 180 are taken."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("serve")) as running:
        until(lambda: running.ready()[0] == 200)
        running.validate()
        yield running


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell memory")
def test_clients_that_do_not_read_and_bodies_that_stall_take_bounded_memory_while_others_are_answered(
    server: Server,
) -> None:
    assert flood(server) < MOST


@pytest.mark.parametrize("path", ["/mutate", "/validate", "/validate/security", "/validate/cost"])
def test_a_review_that_is_too_large_is_refused_over_tls_with_its_uid(server: Server, path: str) -> None:
    pod = factories.stored(factories.pod(factories.container(command=["@"])))
    body = json.dumps(factories.review(pod, uid="too-large", dryRun=True)).encode()
    for size, refused in ((33 * MIB, True), (31 * MIB, False)):
        large = body.replace(b"@", b"x" * size)
        answer = server.client.post(path, content=large, headers={"content-type": "application/json"})

        assert answer.status_code == 200
        response = answer.json()["response"]
        assert response["uid"] == "too-large"
        text = response.get("status", {}).get("message", "")
        assert ("larger than 32 MiB; to fix: " in text) is refused
        assert response["allowed"] is False or not refused
