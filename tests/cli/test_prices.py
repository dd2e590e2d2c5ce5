"""`podgate prices` writes price lists that load, or says in one line a row why not."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs._markdown import ROOT
from tests.fakes.apiserver import FakeApiServer
from webhook.policy.loading import loader

EMBEDDED = ROOT / "manifests" / "embedded"


def podgate(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "webhook.cli", "prices", *arguments],
        capture_output=True,
        text=True,
        check=False,
        input=given,
    )


def _types() -> list[str]:
    nodes = [each for each in yaml.safe_load_all((EMBEDDED / "cluster.yaml").read_text()) if each["kind"] == "Node"]
    return sorted({each["metadata"]["labels"]["node.kubernetes.io/instance-type"] for each in nodes})


def test_a_table_from_standard_input_becomes_a_list_that_loads() -> None:
    ran = podgate("import", "--csv", "-", "--currency", "EUR", given="resource,price\ncpu,1\nmemory,2\ngpu,3\n")
    assert (ran.returncode, ran.stderr) == (0, "")
    (loaded,) = loader.load_text(ran.stdout, "p.yaml").price_lists
    assert (loaded.name, loaded.spec.currency) == ("default", "EUR")


def test_the_tables_of_the_documentation_are_understood(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "prices.md").read_text()
    table = tmp_path / "prices.csv"
    table.write_text(text.split("```csv\n")[1].split("```")[0])
    ran = podgate("import", "--csv", str(table))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [each.name for each in loader.load_text(ran.stdout, "p.yaml").price_lists] == ["default", "gpu"]


def test_the_nodes_of_a_directory_become_lists(tmp_path: Path) -> None:
    table = tmp_path / "instances.csv"
    table.write_text("InstanceType,MarketPriceHourly\n" + "".join(f"{name},0.384\n" for name in _types()))
    ran = podgate("nodes", "--csv", str(table), "--cluster", str(EMBEDDED))
    assert (ran.returncode, ran.stderr) == (0, "")
    loaded = loader.load_text(ran.stdout, "p.yaml").price_lists
    assert [each.name for each in loaded] == sorted(["default", *_types()])


def test_the_nodes_of_a_live_cluster_become_lists(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    with FakeApiServer() as server:
        for number in range(3):
            server.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": f"n{number}", "labels": {"node.kubernetes.io/instance-type": "m5.large"}},
                    "status": {"capacity": {"cpu": "2", "memory": "8Gi"}},
                }
            )
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "current-context": "c",
                    "contexts": [context],
                    "clusters": [{"name": "c", "cluster": {"server": server.url}}],
                    "users": [{"name": "u", "user": {}}],
                }
            )
        )
        ran = podgate(
            "nodes",
            "--csv",
            "-",
            "--cluster",
            "live",
            "--kubeconfig",
            str(kubeconfig),
            given="instance_type,price\nm5.large,0.096\n",
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    lists = {each["metadata"]["name"]: each["spec"] for each in yaml.safe_load_all(ran.stdout)}
    assert lists["m5.large"]["onDemand"]["cpuCoreHour"].startswith("0.031247")


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (("import", "--csv", "absent.csv"), None, "absent.csv: cannot be read: No such file or directory"),
        (("import", "--csv", "-"), "resource,price\ncpu,cheap\n", "-:2: price 'cheap' is no price"),
        (
            ("import", "--csv", "-", "--currency", "dollars"),
            "resource,price\ncpu,1\nmemory,1\ngpu,1\n",
            "spec.currency: ",
        ),
        (("nodes", "--csv", "-", "--cluster", "absent"), "", "absent: is no directory; give one with Kubernetes YAML"),
        (("nodes", "--csv", "-", "--cluster", "policies"), "", "policies: has no Nodes"),
        (("nodes", "--csv", "-"), "", "Missing option '--cluster'"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: tuple[str, ...], given: str | None, words: str) -> None:
    ran = podgate(*arguments, given=given)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("podgate: ")
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1
