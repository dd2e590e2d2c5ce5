"""`podgate review -o yaml` prints objects that kubectl reads as the ones that were judged."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from webhook.cli.review import COMMAND
from webhook.kube import manifests

POLICY = """
apiVersion: podgate.dev/v1alpha1
kind: GuardrailPolicy
metadata: {name: all}
spec:
  mode: enforce
  costLabels: {required: [{key: cost-center, source: pod, default: "on"}]}
"""


def test_texts_that_yaml_would_read_as_something_else_come_back_as_texts(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.yaml").write_text(POLICY)
    (tmp_path / "policies" / "prices.yaml").write_text(
        "apiVersion: podgate.dev/v1alpha1\nkind: PriceList\nmetadata: {name: default}\n"
        'spec: {currency: USD, onDemand: {cpuCoreHour: "1", memoryGiBHour: "1", gpuHour: "1"}}\n'
    )
    environment = [{"name": "y", "value": text} for text in ("n", "1e3", "0o7", ".inf", "")]
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "annotations": {"off": "1_000"}},
        "spec": {"containers": [{"name": "web", "image": "web:1", "env": environment}]},
    }
    file = tmp_path / "pod.json"
    file.write_text(json.dumps(pod))

    result = CliRunner().invoke(COMMAND, [str(file), "--policies", str(tmp_path / "policies"), "-o", "yaml"])

    assert result.exit_code == 0, result.output
    (printed,) = manifests.read_text(result.output, "output")
    pod["metadata"]["labels"] = {"cost-center": "on"}
    assert printed.document == pod
