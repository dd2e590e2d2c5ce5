"""What the manifests render to, and where they are; rendered once for all tests."""

import functools
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.manifests._helm import Chart

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
CHART = MANIFESTS / "chart" / "podgate"
RENDERINGS = (
    "base",
    "overlays/enforce",
    "overlays/managed",
    "overlays/fail-closed",
    "overlays/demo",
    "overlays/cert-manager",
)

Manifest = dict[str, Any]


def kustomize(directory: Path) -> str:
    """Return what `kubectl kustomize` prints for a directory.

    Raises:
        subprocess.CalledProcessError: it cannot be rendered; `stderr` says why.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; `kubectl kustomize` renders the manifests, and needs no cluster")
    command = [kubectl, "kustomize", str(directory)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout  # noqa: S603


@functools.cache
def _rendered(name: str) -> bytes:
    # JSON is read a hundred times faster than YAML.
    return msgspec.json.encode([entry for entry in yaml.safe_load_all(kustomize(MANIFESTS / name)) if entry])


def rendered(name: str) -> list[Manifest]:
    """Return the objects of a directory below manifests; they belong to the caller."""
    manifests: list[Manifest] = msgspec.json.decode(_rendered(name))
    return manifests


@functools.cache
def _default_chart() -> bytes:
    return msgspec.json.encode(chart().objects())


def default_chart() -> list[Manifest]:
    """Return the objects of the chart with its default values; they belong to the caller."""
    manifests: list[Manifest] = msgspec.json.decode(_default_chart())
    return manifests


@functools.cache
def chart() -> Chart:
    """Return the chart."""
    return Chart(CHART)


def of_kind(manifests: Iterable[Manifest], kind: str, name: str = "podgate") -> Manifest:
    """Return the one object of a kind and name."""
    (found,) = [entry for entry in manifests if (entry["kind"], entry["metadata"]["name"]) == (kind, name)]
    return found


def pod_template(manifests: Iterable[Manifest]) -> Manifest:
    """Return the pod template of the Deployment."""
    template: Manifest = of_kind(manifests, "Deployment")["spec"]["template"]
    return template


def container(manifests: Iterable[Manifest]) -> Manifest:
    """Return the one container of the Deployment."""
    (found,) = pod_template(manifests)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def webhooks(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the entries of both webhook objects by name."""
    return {
        entry["name"]: entry
        for manifest in manifests
        if manifest["kind"].endswith("WebhookConfiguration")
        for entry in manifest["webhooks"]
    }
