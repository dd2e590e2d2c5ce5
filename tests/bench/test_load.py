"""The load generator against a server that says what it got."""

import asyncio
import datetime as dt
import gzip
import json
import ssl
from pathlib import Path

import pytest

import certs
from tests.bench import load, scale, servers
from tests.ports import free_port
from webhook import assembly
from webhook.serve import tls

POD = {"request": {"uid": "a", "kind": {"kind": "Pod"}, "operation": "CREATE"}}
SCALE = {"request": {"uid": "b", "kind": {"kind": "Scale"}, "operation": "UPDATE"}}


def test_only_created_pods_are_taken_unless_everything_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps(each) for each in (SCALE, POD, SCALE, POD)).encode()))

    assert load.read_reviews(path, 10, everything=False) == [json.dumps(POD).encode()] * 2
    assert len(load.read_reviews(path, 10, everything=True)) == 4
    assert len(load.read_reviews(path, 3, everything=True)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "no review of a pod CREATE", id="empty"),
        pytest.param(b"{}\n", ":1: no AdmissionReview", id="another document"),
        pytest.param(b"\xff\n", ":1: no AdmissionReview", id="not JSON"),
        pytest.param(None, "No such file", id="missing"),
    ],
)
def test_a_file_without_reviews_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "reviews.jsonl"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(load.LoadError, match=message):
        load.read_reviews(path, 10, everything=False)


def test_no_pod_is_like_another_where_that_is_asked_for() -> None:
    pods = [{"request": {**POD["request"], "object": {"metadata": {"labels": {"app": each}}}}} for each in "ab"]
    requests = load.requests_for("/mutate", load.unlike([json.dumps(pod).encode() for pod in pods]))
    sent = []
    for _ in range(2):
        feed = load._Feed(requests, 4)
        sent += [feed.take(0.0) for _ in range(4)]
    bodies = [json.loads(each.partition(b"\r\n\r\n")[2]) for each in sent if each is not None]
    labels = [body["request"]["object"]["metadata"]["labels"] for body in bodies]
    assert [each["app"] for each in labels] == ["a", "b"] * 4
    assert len({each["podgate-bench"] for each in labels}) == 8


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_every_request_is_sent_once_in_turn_and_failures_are_counted(tmp_path: Path, concurrency: int) -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(65536):
            got.append(head.rpartition(b"\r\n\r\n")[2])
            status = b"503 No" if got[-1] == b"c" else b"200 OK"
            # In two pieces, as servers send head and body.
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n" % status)
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(b"{}")
        writer.close()

    paths = certs.ensure(tmp_path, certs.server_names(), dt.datetime.now(dt.UTC))
    context = tls.ServerTls(paths.tls_crt, paths.tls_key).context
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trust = ssl.create_default_context(cafile=paths.ca_crt)
    requests = load.requests_for("/mutate", [b"a", b"b", b"c"])

    outcome = await load.run(port, trust, requests, concurrency, count=7)
    server.close()

    assert sorted(got) == [b"a", b"a", b"a", b"b", b"b", b"c", b"c"]
    assert outcome.statuses == {200: 5, 503: 2}
    assert (outcome.failures, len(outcome.latencies)) == (2, 7)


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no such flag >&2; exit 2"]

    with (
        pytest.raises(servers.ServerError, match='ended with status 2 before it was ready; it said: "no such flag"'),
        servers.running("podgate", command, free_port(), tmp_path / "log", core=None),
    ):
        pytest.fail("it never was ready")


def test_generated_policies_are_valid_and_half_of_them_match_nothing(tmp_path: Path) -> None:
    scale.write_policies(tmp_path, 40)

    policies = assembly.load_policies(tmp_path).policies
    namespaces = [policy.spec.match.namespaces or ("*",) for policy in policies]
    assert len(namespaces) == 40
    assert sum(names[0].startswith("nobody-") for names in namespaces) == 20
