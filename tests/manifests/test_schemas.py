"""Every object is what Kubernetes says such an object is, by the OpenAPI schemas of its releases."""

import functools
import json
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.manifests import _rendered

OLDEST = "1.33"
"""The first release with ``pods/resize``; Chart.yaml says the same."""
NEWEST = "1.37"
FOREIGN = {"cert-manager.io/v1", "monitoring.coreos.com/v1"}
"""Custom resources of others, whose schemas Kubernetes does not have."""


def _all() -> list[Any]:
    chart = _rendered.chart()
    sources = {
        **{name: _rendered.rendered(name) for name in (*_rendered.RENDERINGS, "monitoring")},
        "chart": _rendered.default_chart(),
        "chart, every option": chart.objects(EVERYTHING),
    }
    seen: set[str] = set()
    cases = []
    for source, manifests in sources.items():
        for manifest in manifests:
            text = json.dumps(manifest, sort_keys=True)
            if text not in seen and manifest["apiVersion"] not in FOREIGN:
                seen.add(text)
                cases.append(pytest.param(manifest, id=f"{source}: {manifest['kind']}/{manifest['metadata']['name']}"))
    return cases


EVERYTHING = {
    "image": {"pullSecrets": [{"name": "registry"}]},
    "mode": "enforce",
    "policies": {"own.yaml": "apiVersion: podgate.dev/v1alpha1\nkind: PriceList\n"},
    "excludeNamespaces": ["kube-system", "kube-public", "kube-node-lease", "storage"],
    "security": {"failurePolicy": "Fail"},
    "certificates": {"source": "secret", "caBundle": "Zm9v"},
    "clientCa": {"configMap": "podgate-client-ca", "names": ["kube-apiserver", "spiffe://cluster/api"]},
    "networkPolicy": {"apiServers": ["192.0.2.10/32", "2001:db8::/64"]},
    "notifications": {"secretName": "chat"},
    "extraArgs": ["--log-file=/tmp/decisions"],
    "tolerations": [{"key": "control-plane", "operator": "Exists"}],
}


@pytest.fixture(autouse=True, scope="module")
def _schemas_are_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


@pytest.mark.parametrize("manifest", _all())
@pytest.mark.parametrize("release", [OLDEST, NEWEST])
def test_the_object_fits_the_schema(manifest: dict[str, Any], release: str) -> None:
    kubernetes_validate.validate(manifest, release, strict=True)


def test_a_misspelt_field_does_not_fit() -> None:
    manifest = _rendered.of_kind(_rendered.rendered("base"), "Deployment")
    manifest["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(manifest, NEWEST, strict=True)
