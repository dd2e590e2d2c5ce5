"""Pods and workloads in labelled namespaces: what a real API server answers, and what `fromNamespaceLabels` answers.

Everything is asked as a dry run of the built-in plugin, so the server is judge and nothing is stored.
"""

import contextlib
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests import factories as make
from tests.integration import _control_plane

Object = dict[str, Any]

PREFIX = "pod-security.kubernetes.io/"
LABELS: dict[str, dict[str, str]] = {
    "none": {},
    "privileged": {"enforce": "privileged", "enforce-version": "v1.20"},
    "baseline": {"enforce": "baseline"},
    "restricted": {"enforce": "restricted"},
    "restricted-old": {"enforce": "restricted", "enforce-version": "v1.24"},
    "restricted-future": {"enforce": "restricted", "enforce-version": "v1.99"},
    "silent": {"enforce": "baseline", "warn": "privileged"},
    "warn-version": {"enforce": "baseline", "warn-version": "v1.20"},
    "warn-only": {"warn": "restricted"},
    "audit-only": {"audit": "restricted"},
    "all": {"enforce": "baseline", "audit": "restricted", "warn": "restricted", "warn-version": "v1.22"},
}


class Said(NamedTuple):
    """An answer: the words of Pod Security in a refusal, and in warnings."""

    refusal: str
    warnings: tuple[str, ...]


class Server:
    """Asks the API server by dry run, and reads its warnings, which are headers."""

    def __init__(self, plane: _control_plane.ControlPlane) -> None:
        parts = urlsplit(plane.url)
        context = ssl.create_default_context(cafile=str(plane.directory / "ca.crt"))
        self._connection = http.client.HTTPSConnection(str(parts.hostname), parts.port, context=context)
        token = (plane.directory / "tokens.csv").read_text().partition(",")[0]
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def post(self, path: str, document: Object) -> tuple[int, Object, list[str]]:
        """Return status, body and warnings."""
        self._connection.request("POST", path, json.dumps(document), self._headers)
        response = self._connection.getresponse()
        body = json.loads(response.read())
        warnings = [value for name, value in response.getheaders() if name == "Warning"]
        quoted = [re.fullmatch(r'299 - "(.*)"', each) for each in warnings]
        return response.status, body, [re.sub(r"\\(.)", r"\1", each[1]) for each in quoted if each is not None]

    def judge(self, namespace: str, document: Object) -> Said:
        """Return what Pod Security says to a dry run."""
        place = "api/v1" if document["kind"] == "Pod" else "apis/apps/v1"
        kind = f"{document['kind'].lower()}s"
        status, body, warnings = self.post(f"/{place}/namespaces/{namespace}/{kind}?dryRun=All", document)
        refusal = ""
        if status != http.client.CREATED:
            assert status == http.client.FORBIDDEN, body
            refusal = body["message"].partition(" is forbidden: ")[2]
        return Said(refusal, tuple(each for each in warnings if "PodSecurity" in each))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run an API server with all these namespaces."""
    directory: Path = tmp_path_factory.mktemp("plane")
    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(_control_plane.control_plane(directory))
        made = stack.enter_context(contextlib.closing(Server(plane)))
        for name, labels in LABELS.items():
            given = {PREFIX + key: value for key, value in labels.items()}
            status, body, _ = made.post("/api/v1/namespaces", make.namespace(name, given))
            assert status == http.client.CREATED, body
        yield made


def _pods() -> dict[str, Object]:
    privileged = make.safe_pod()
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    odd = make.pod(hostNetwork=True, hostPID=True)
    odd["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]
    odd["spec"]["volumes"] = [{"name": "v", "hostPath": {"path": "/"}}]
    return {"safe": make.safe_pod(), "bare": make.pod(), "privileged": privileged, "odd": odd}


PODS = _pods()


def ours(namespace: str, document: Object) -> Said:
    """Return what Podgate says, in the words of the API server."""
    labels = {PREFIX + key: value for key, value in LABELS[namespace].items()}
    world = make.World(
        make.policy("mode: enforce\npodSecurity: {fromNamespaceLabels: true}"),
        cluster=[make.namespace(namespace, labels)],
    )
    answer = world.call("/validate", make.review(document, namespace=namespace))
    texts = [answer.message, *(each for each in answer.warnings if "podSecurity" in each)]
    words = [text.partition("podSecurity: ")[2].partition("; to fix: ")[0] for text in texts]
    return Said(words[0], tuple(words[1:]))


@pytest.mark.parametrize("namespace", LABELS)
@pytest.mark.parametrize("pod", PODS)
def test_a_pod_is_told_what_the_api_server_tells_it(server: Server, pod: str, namespace: str) -> None:
    document = {**PODS[pod], "metadata": {"name": "p"}}
    assert ours(namespace, document) == server.judge(namespace, document)


@pytest.mark.parametrize("namespace", LABELS)
@pytest.mark.parametrize("pod", ["safe", "bare", "privileged"])
def test_a_workload_is_told_what_the_api_server_tells_it(server: Server, pod: str, namespace: str) -> None:
    document = make.deployment(template=PODS[pod])
    assert ours(namespace, document) == server.judge(namespace, document)
