"""Several replicas of Podgate beside one API server, which asks whichever a balancer sends it to."""

import base64
import contextlib
import itertools
import json
import selectors
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.integration import _admission, _control_plane
from webhook.kube import budget_ledgers
from webhook.kube import client as api
from webhook.ledger import wire as ledger_wire


class Balancer:
    """Sends each new connection to the next replica, as a Service does."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.connections = 0
        """How many were opened so far."""
        self.use(ports)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def use(self, ports: Sequence[int]) -> None:
        """Send new connections to these from now on."""
        self._next = itertools.cycle(ports)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
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


@contextlib.contextmanager
def paused(replicas: Sequence[_admission.Podgate]) -> Iterator[None]:
    """Keep replicas from running for as long as the block takes: what they are asked meanwhile queues up unseen."""
    try:
        for replica in replicas:
            replica.signal(signal.SIGSTOP)
        yield
    finally:
        for replica in replicas:
            replica.signal(signal.SIGCONT)


class House(NamedTuple):
    """A cluster with some replicas."""

    installed: _admission.Installation
    replicas: tuple[_admission.Podgate, ...]
    balancer: Balancer

    def ledger(self, name: str) -> dict[str, Any]:
        return self.installed.kubectl.get("budgetledger", name)

    def wait_for(self, port: int, seconds: int) -> None:
        """Let the API server ask for the cost of pods there, and wait so long for the answer."""
        address = {"op": "replace", "path": "/webhooks/0/clientConfig/url"}
        patch = [
            {**address, "value": f"https://127.0.0.1:{port}/validate/cost"},
            {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"},
            {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": seconds},
        ]
        name = "validatingwebhookconfiguration"
        self.installed.kubectl.must("patch", name, "podgate", "--type=json", "-p", json.dumps(patch))
        time.sleep(2)  # The API server reads its webhooks through a watch.

    def follow(self, name: str, into: list[int]) -> Callable[[], None]:
        """Note what a ledger has committed, at every version; return what ends that."""
        client = self.installed.plane.client()
        version = self.ledger(name)["metadata"]["resourceVersion"]
        query = {"watch": "1", "resourceVersion": version, "fieldSelector": f"metadata.name={name}"}
        stream = client.watch(budget_ledgers.PATH, query, 900.0)

        def read() -> None:
            for line in stream:
                stored = budget_ledgers.decode(json.dumps(json.loads(line)["object"]).encode())
                into.append(ledger_wire.decode(stored.status).committed)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()

        def stop() -> None:
            stream.close()
            thread.join(5)

        return stop


@contextlib.contextmanager
def house(directory: Path, count: int) -> Iterator[House]:
    """Start an API server and so many replicas."""
    with _control_plane.control_plane(directory) as plane:
        installed = _admission.install(plane)
        others: list[_admission.Podgate] = []
        for number in range(2, count + 1):
            place = plane.directory / f"replica-{number}"
            place.mkdir()
            others.append(_admission.Podgate(place, plane.directory / "podgate.kubeconfig"))
            others[-1].start()
        replicas = (installed.podgate, *others)
        balancer = Balancer([each.port for each in replicas])
        made = House(installed, replicas, balancer)
        # Whatever is not answered must be seen as a failure here, and the machine may be slow.
        made.wait_for(balancer.port, seconds=30)
        yield made
        balancer.close()
        for replica in replicas:
            replica.stop()


class Created(NamedTuple):
    """What became of many pods that were created at once."""

    outcomes: Counter[int]
    messages: Counter[str]


def create(house: House, namespace: str, names: Sequence[str], *, dry_run: bool = False, at_once: int = 40) -> Created:
    """Create pods through the API server, so many at a time."""
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

    with ThreadPoolExecutor(at_once) as pool:
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
