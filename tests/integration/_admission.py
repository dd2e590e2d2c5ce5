"""Podgate beside a real API server as the manifests install it, and kubectl as its users hold it.

The rights are those of `manifests/base`, and so are the webhook objects; only the Service, which nothing routes to
here, is replaced by an address on loopback.
"""

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.integration import _control_plane
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"
REPLICA_SETS = "system:serviceaccount:kube-system:replicaset-controller"
HOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

Object = dict[str, Any]


def eventually(what: str, holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.1)


class Said(NamedTuple):
    """What one call of kubectl said."""

    code: int
    out: str
    err: str

    @property
    def is_done(self) -> bool:
        """Whether the API server did what was asked."""
        return self.code == 0

    def object(self) -> Object:
        """Return the object that was printed, as JSON."""
        assert self.is_done, self.err
        found: Object = json.loads(self.out)
        return found


class Kubectl:
    """The command, with everything that it would keep in a home directory kept in a directory of the test."""

    def __init__(self, plane: _control_plane.ControlPlane) -> None:
        found = shutil.which("kubectl", path=os.environ.get("KUBEBUILDER_ASSETS"))
        if found is None:
            pytest.skip(f"no kubectl in KUBEBUILDER_ASSETS; {_control_plane.HOW}")
        self._command = [found, f"--kubeconfig={plane.kubeconfig}", f"--cache-dir={plane.directory / 'cache'}"]

    def __call__(self, *arguments: str | Path, stdin: str = "") -> Said:
        """Run it to its end."""
        done = subprocess.run(  # noqa: S603  from the assets
            [*self._command, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str | Path, stdin: str = "") -> Said:
        """Run it, and fail where it failed."""
        said = self(*arguments, stdin=stdin)
        assert said.is_done, f"kubectl {' '.join(map(str, arguments))}: {said.err}"
        return said

    def apply(self, *documents: Object, flags: tuple[str, ...] = ()) -> Said:
        """Apply objects as they would stand in files."""
        return self("apply", "-f", "-", *flags, stdin=yaml.safe_dump_all(documents))

    def create(self, document: Object, *flags: str) -> Object:
        """Create one object, which must succeed, and return it as it was stored."""
        return self.must("create", "-f", "-", "-o", "json", *flags, stdin=json.dumps(document)).object()

    def get(self, *arguments: str) -> Object:
        """Return one object as it is stored."""
        return self.must("get", *arguments, "-o", "json").object()


class Podgate:
    """The command `podgate serve --cluster live`, under the service account of the manifests; may be stopped and
    started again, always at the same address."""

    def __init__(self, directory: Path, kubeconfig: Path | None, name: str = "podgate", **flags: object) -> None:
        """Args:
        directory: where its logs are.
        kubeconfig: of its service account; None where it finds that as a pod does.
        name: of its log, where there are several.
        flags: of `serve`, with underscores, that differ from those of the tests.
        """
        self.directory = directory
        self._kubeconfig = kubeconfig
        self._name = name
        self.environment: dict[str, str] = {}
        """Variables that it has beside those of the test."""
        self._flags = {flag.replace("_", "-"): value for flag, value in flags.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._ops_port = free_port()

    def start(self) -> None:
        """Start it, and return once it is ready."""
        flags: dict[str, object] = {
            "cluster": "live",
            "mode": "enforce",
            "certs-secret": "podgate-certs",
            "host": "127.0.0.1",
            "port": self.port,
            "ops-port": self._ops_port,
            "dashboard-port": 0,
            "shutdown-delay": 0,
            "log-file": self.directory / "decisions.jsonl",
            **self._flags,
        }
        if self._kubeconfig is not None:
            flags["kubeconfig"] = self._kubeconfig
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        with (self.directory / f"{self._name}.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, *self.command(), "serve", *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
            )
        try:
            eventually("podgate is ready", lambda: self.readiness()[0], 90)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.readiness()[1]}\n{self.log()[-3000:]}") from None

    def command(self) -> list[str]:
        """Return the arguments of Python that run the program."""
        return ["-m", "webhook.cli"]

    def metrics(self) -> str:
        """Return all metrics; nothing while it does not answer."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self._ops_port}/metrics", timeout=2) as answer,
        ):
            return str(answer.read().decode())
        return ""

    def kill(self) -> None:
        """End it as a node that fails does: at once, and without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, where it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> int | None:
        """End it as a rollout does, and return its exit status; None where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(20)
        finally:
            process.kill()
            process.wait()

    def readiness(self) -> tuple[bool, str]:
        """Return whether it is ready, and what it tells about that."""
        address = f"http://127.0.0.1:{self._ops_port}/readyz?verbose"
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                return True, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return False, error.read().decode()
        except OSError as error:
            return False, str(error)

    def review(self, path: str, pod: Object, authority: str) -> Object:
        """Ask as the API server would about a new pod, and return the response; `authority` is PEM."""
        metadata = pod["metadata"]
        request = {
            "uid": "0b0b3b4e-4d41-4d4e-9a57-0d3a4a1f7c11",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "operation": "CREATE",
            "userInfo": {"username": "admin"},
            "dryRun": True,
            "object": pod,
        }
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
        call = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}?timeout=3s", body.encode(), {"Content-Type": "application/json"}
        )
        context = ssl.create_default_context(cadata=authority)
        with urllib.request.urlopen(call, timeout=5, context=context) as answer:  # noqa: S310  our own process
            found: Object = json.load(answer)["response"]
            return found

    def log(self) -> str:
        """Return what it has logged."""
        return (self.directory / f"{self._name}.log").read_text()


class Installation(NamedTuple):
    """A cluster with Podgate in it."""

    plane: _control_plane.ControlPlane
    kubectl: Kubectl
    podgate: Podgate

    def namespace(self, name: str, **labels: str) -> str:
        """Create a namespace, labels with dashes for underscores, and return its name."""
        named = {key.replace("_", "-"): value for key, value in labels.items()}
        metadata = {"name": name, "labels": named}
        self.kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return name

    def render(self, overlay: str) -> list[Object]:
        """Return what `kubectl apply -k` would apply, with the webhooks at this process's address."""
        text = self.kubectl.must("kustomize", ROOT / "manifests" / overlay).out
        documents: list[Object] = list(yaml.safe_load_all(text))
        for document in documents:
            if document["kind"] in HOOKS:
                for entry in document["webhooks"]:
                    service = entry["clientConfig"].pop("service")
                    entry["clientConfig"]["url"] = f"https://127.0.0.1:{self.podgate.port}{service['path']}"
        return documents


def install(plane: _control_plane.ControlPlane) -> Installation:
    """Install Podgate as the documentation says, with shipped policies as custom resources, and start it."""
    installed = prepare(plane)
    installed.podgate.start()
    eventually("the bundle is published", lambda: trusts(installed.kubectl))
    return installed


@contextlib.contextmanager
def installation(plane: _control_plane.ControlPlane) -> Iterator[Installation]:
    """Install Podgate for as long as the block runs."""
    installed = install(plane)
    try:
        yield installed
    finally:
        installed.podgate.kill()


def prepare(plane: _control_plane.ControlPlane) -> Installation:
    """Install all that Podgate needs, and start nothing."""
    kubectl = Kubectl(plane)
    account = plane.directory / "podgate.kubeconfig"
    installed = Installation(plane, kubectl, Podgate(plane.directory, account))
    kubectl.must("apply", "--server-side", "-f", ROOT / "manifests" / "crds")
    said = kubectl.apply(*installed.render("base"))
    assert said.is_done, said.err
    kubectl.must("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    kubectl.must(
        *("apply", "-f", POLICIES / "prices" / "default.yaml", "-f", POLICIES / "baseline" / "everything.yaml"),
        *("-f", POLICIES / "examples" / "team-namespaces.yaml"),
    )
    token = kubectl.must("create", "token", "podgate", "--namespace=podgate").out.strip()
    config = json.loads(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    account.write_text(json.dumps(config))
    return installed


def trusts(kubectl: Kubectl) -> bool:
    """Whether every entry of the webhook objects has a bundle to verify Podgate with."""
    return all(
        entry["clientConfig"].get("caBundle") for kind in HOOKS for entry in kubectl.get(kind, "podgate")["webhooks"]
    )


# --- objects ----------------------------------------------------------------------------------------------------------


def container(cpu: str = "100m", memory: str = "128Mi", **more: object) -> Object:
    """Return a container that says what it needs."""
    requests = {"cpu": cpu, "memory": memory}
    return {"name": "app", "image": "registry.example/app:1", "resources": {"requests": requests}, **more}


def template(cpu: str = "100m", memory: str = "128Mi", **more: object) -> Object:
    """Return a pod template."""
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container(cpu, memory, **more)]}}


def pod(namespace: str, name: str = "web", cpu: str = "100m", memory: str = "128Mi", **more: object) -> Object:
    """Return a pod of one container."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "web"}}
    spec = {"containers": [container(cpu, memory, **more)]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def privileged(namespace: str, name: str = "root") -> Object:
    """Return a pod that no Pod Security level takes."""
    return pod(namespace, name, securityContext={"privileged": True})


def workload(kind: str, namespace: str, name: str = "web", replicas: int = 2, **needs: str) -> Object:
    """Return a workload that selects its own pods."""
    spec: Object = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template(**needs),
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def cron_job(namespace: str, name: str = "report") -> Object:
    """Return a CronJob whose runs are known to end."""
    inner = template(cpu="1", memory="1Gi")
    inner["spec"]["restartPolicy"] = "Never"
    spec = {
        "schedule": "0 3 * * *",
        "jobTemplate": {"spec": {"activeDeadlineSeconds": 3600, "template": inner}},
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def owned_by(owner: Object, document: Object) -> Object:
    """Return the object as the owner's controller would make it."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {**document, "metadata": {**document["metadata"], "ownerReferences": [reference]}}


def policy(name: str, namespace: str, mode: str = "enforce", **sections: object) -> Object:
    """Return a GuardrailPolicy for one namespace."""
    spec = {"mode": mode, "match": {"namespaces": [namespace]}, **sections}
    return {"apiVersion": "podgate.dev/v1alpha1", "kind": "GuardrailPolicy", "metadata": {"name": name}, "spec": spec}


def budget(name: str, namespace: str, amount: str) -> Object:
    """Return a Budget of one namespace, in dollars a month."""
    spec = {"mode": "enforce", "scope": {"namespaces": [namespace]}, "amount": amount, "currency": "USD"}
    return {"apiVersion": "podgate.dev/v1alpha1", "kind": "Budget", "metadata": {"name": name}, "spec": spec}


def vpa_definition() -> Object:
    """Return the definition of a VerticalPodAutoscaler that takes anything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "VerticalPodAutoscaler", "plural": "verticalpodautoscalers"}
    annotations = {"api-approved.kubernetes.io": "unapproved, for tests"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "verticalpodautoscalers.autoscaling.k8s.io", "annotations": annotations},
        "spec": {"group": "autoscaling.k8s.io", "names": names, "scope": "Namespaced", "versions": [version]},
    }


def vpa(namespace: str, target: Object, cpu: str, memory: str) -> Object:
    """Return a VPA in recommendation mode that has made up its mind."""
    recommendation = {"containerName": "app", "target": {"cpu": cpu, "memory": memory}}
    reference = {key: target[key] for key in ("apiVersion", "kind")} | {"name": target["metadata"]["name"]}
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": target["metadata"]["name"], "namespace": namespace},
        "spec": {"targetRef": reference, "updatePolicy": {"updateMode": "Off"}},
        "status": {"recommendation": {"containerRecommendations": [recommendation]}},
    }
