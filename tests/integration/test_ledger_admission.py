"""Budgets of three replicas, as users meet them: pods are created through a real API server, which asks whichever
replica a balancer sends it to."""

import base64
import itertools
import json
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.integration import _admission, _control_plane
from webhook.kube import budget_ledgers
from webhook.kube import client as api
from webhook.ledger import _wire

PODS = 300
ROOM = 100


class Balancer:
    """Sends each new connection to the next replica, as a Service does."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._next = itertools.cycle(ports)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client, next(self._next)), daemon=True).start()

    def _carry(self, client: socket.socket, port: int) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", port))
        except OSError:
            client.close()  # That replica is dead.
            return
        with client, server, selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    try:
                        piece = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not piece:
                            return
                        key.data.sendall(piece)
                    except OSError:
                        return

    def close(self) -> None:
        self._listener.close()


class House(NamedTuple):
    """A cluster with three replicas."""

    installed: _admission.Installation
    replicas: tuple[_admission.Podgate, ...]

    def ledger(self, name: str) -> dict[str, Any]:
        return self.installed.kubectl.get("budgetledger", name)

    def follow(self, name: str, into: list[int]) -> Callable[[], None]:
        """Note what a ledger has committed, at every version; return what ends that."""
        client = self.installed.plane.client()
        version = self.ledger(name)["metadata"]["resourceVersion"]
        query = {"watch": "1", "resourceVersion": version, "fieldSelector": f"metadata.name={name}"}
        stream = client.watch(budget_ledgers.PATH, query, 120.0)

        def read() -> None:
            for line in stream:
                stored = budget_ledgers.decode(json.dumps(json.loads(line)["object"]).encode())
                into.append(_wire.decode(stored.status).committed)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()

        def stop() -> None:
            stream.close()
            thread.join(5)

        return stop


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with _control_plane.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        installed = _admission.install(plane)
        others: list[_admission.Podgate] = []
        for number in (2, 3):
            directory = plane.directory / f"replica-{number}"
            directory.mkdir()
            others.append(_admission.Podgate(directory, plane.directory / "podgate.kubeconfig"))
            others[-1].start()
        replicas = (installed.podgate, *others)
        balancer = Balancer([each.port for each in replicas])
        # Whatever is not answered must be seen as a failure here, and the machine may be slow.
        patch = [
            {
                "op": "replace",
                "path": "/webhooks/0/clientConfig/url",
                "value": f"https://127.0.0.1:{balancer.port}/validate/cost",
            },
            {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"},
            {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 30},
        ]
        name = "validatingwebhookconfiguration"
        installed.kubectl.must("patch", name, "podgate", "--type=json", "-p", json.dumps(patch))
        time.sleep(2)  # The API server reads its webhooks through a watch.
        yield House(installed, replicas)
        balancer.close()
        for replica in replicas:
            replica.stop()


class Created(NamedTuple):
    """What became of many pods that were created at once."""

    outcomes: Counter[int]
    messages: Counter[str]


def create(house: House, namespace: str, names: Sequence[str], *, dry_run: bool = False) -> Created:
    """Create pods through the API server, many at a time."""
    client = house.installed.plane.client()
    outcomes: Counter[int] = Counter()
    messages: Counter[str] = Counter()
    query = {"dryRun": "All"} if dry_run else None

    def one(name: str) -> None:
        body = json.dumps(_admission.pod(namespace, name)).encode()
        try:
            client.request("POST", f"/api/v1/namespaces/{namespace}/pods", query=query, body=body)
            outcomes[201] += 1
        except api.ApiError as error:
            outcomes[error.status] += 1
            messages[str(error)] += 1

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(one, names))
    return Created(outcomes, messages)


def micros(text: str) -> int:
    return int(text.replace(".", ""))


def budget_of(house: House, namespace: str, amount: str) -> None:
    """Give a namespace a budget of its own name, and wait until all replicas go by it."""
    house.installed.kubectl.apply(_admission.budget(namespace, namespace, amount))
    probe = _admission.pod(namespace, "probe", cpu="1000", memory="1Ti")
    authority = house.installed.kubectl.get("validatingwebhookconfiguration", "podgate")
    bundle = authority["webhooks"][0]["clientConfig"]["caBundle"]
    pem = base64.b64decode(bundle).decode()
    for replica in house.replicas:
        _admission.eventually(
            "the budget is in force",
            lambda replica=replica: amount.partition(".")[0] in _plain(replica.review("/validate/cost", probe, pem)),  # type: ignore[misc]
        )


def _plain(response: dict[str, Any]) -> str:
    return str(response.get("status", {}).get("message", "")).replace(",", "")


def test_three_replicas_admit_exactly_what_a_budget_has_room_for(house: House) -> None:
    namespace = house.installed.namespace("rush")
    budget_of(house, namespace, "1000")
    assert create(house, namespace, ["first"]).outcomes == {201: 1}
    rate = micros(house.ledger(namespace)["status"]["committed"])
    amount = f"{rate * 730 * ROOM // 1_000_000}.{rate * 730 * ROOM % 1_000_000:06}"
    budget_of(house, namespace, amount)
    committed: list[int] = []
    stop = house.follow(namespace, committed)
    done = create(house, namespace, [f"pod-{number}" for number in range(PODS)])
    assert done.outcomes == {201: ROOM - 1, 403: PODS - ROOM + 1}, done.messages
    said = next(iter(done.messages))
    assert f'budget "{namespace}"' in said or "took the money" in said
    _admission.eventually("all pods are counted", lambda: house.ledger(namespace)["status"]["reserved"] == 0, 60)
    status = house.ledger(namespace)["status"]
    assert micros(status["committed"]) == micros(status["confirmed"]) == ROOM * rate
    stop()
    assert max(committed) == ROOM * rate
    assert len(committed) < ROOM
    # What is refused leaves no trace, and neither does what is only tried.
    version = house.ledger(namespace)["metadata"]["resourceVersion"]
    house.installed.kubectl.must("delete", "pod", "-n", namespace, "first", "--grace-period=0", "--force")
    _admission.eventually(
        "a pod that is deleted gives back", lambda: micros(house.ledger(namespace)["status"]["committed"]) == 99 * rate
    )
    version = house.ledger(namespace)["metadata"]["resourceVersion"]
    tried = create(house, namespace, [f"dry-{number}" for number in range(100)], dry_run=True)
    assert tried.outcomes == {201: 100}, tried.messages
    assert house.ledger(namespace)["metadata"]["resourceVersion"] == version
    assert create(house, namespace, ["last", "too-many"]).outcomes == {201: 1, 403: 1}


def test_a_replica_that_is_killed_costs_nobody_the_budget(house: House) -> None:
    namespace = house.installed.namespace("outage")
    budget_of(house, namespace, "1000")
    house.replicas[0].kill()
    try:
        done = create(house, namespace, [f"pod-{number}" for number in range(30)])
        # A connection to the one that is dead is refused; the API server says so, and the client tries again.
        assert done.outcomes[201] > 0
        assert house.replicas[1].readiness()[0]
        _admission.eventually("another leads and counts", lambda: _is_settled(house, namespace, done), 60)
    finally:
        house.replicas[0].start()


def _is_settled(house: House, namespace: str, done: Created) -> bool:
    status = house.ledger(namespace)["status"]
    pods = house.installed.kubectl.must("get", "pods", "-n", namespace, "-o", "name").out.split()
    return status["reserved"] == 0 and len(pods) == done.outcomes[201] and micros(status["committed"]) > 0
