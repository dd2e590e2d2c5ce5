"""The chart: the same objects as the base, options that do what they say, and values that are refused."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.manifests import _rendered
from tests.manifests._helm import Chart, TemplateError
from tests.manifests.test_schemas import EVERYTHING, OLDEST

SYSTEM = ["kube-system", "kube-public", "kube-node-lease"]


def _by_name(manifests: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(entry["kind"], entry["metadata"]["name"]): entry for entry in manifests}


def test_the_defaults_are_the_base_without_its_namespace() -> None:
    base = _by_name(_rendered.rendered("base"))
    del base["Namespace", "podgate"]
    assert _by_name(_rendered.default_chart()) == base


@pytest.mark.parametrize(
    ("copy", "original"),
    [("baseline.yaml", "baseline/everything.yaml"), ("prices.yaml", "prices/default.yaml")],
)
def test_the_policies_are_those_of_the_repository(copy: str, original: str) -> None:
    # A chart can read its own directory only.
    assert (_rendered.CHART / "files/policies" / copy).read_text() == (
        _rendered.ROOT / "policies" / original
    ).read_text()


def test_the_versions_are_those_of_the_package() -> None:
    package = tomllib.loads((_rendered.ROOT / "pyproject.toml").read_text())["project"]["version"]
    meta = yaml.safe_load((_rendered.CHART / "Chart.yaml").read_text())
    assert (meta["appVersion"], meta["version"]) == (package, package)
    assert meta["kubeVersion"] == f">={OLDEST}.0-0"
    assert _rendered.container(_rendered.rendered("base"))["image"] == f"podgate:{package}"


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"certificates": {"source": "cert-manager"}}], ids=str)
def test_helm_renders_the_same(values: dict[str, Any], tmp_path: Path) -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed; with it, this test compares its rendering with the one used in the others")
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    command = [helm, "template", "podgate", str(_rendered.CHART), "--namespace=podgate", f"--kube-version={OLDEST}.0"]
    command += ["--values", str(tmp_path / "values.yaml")]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout  # noqa: S603
    assert _by_name(list(filter(None, yaml.safe_load_all(text)))) == _by_name(_rendered.chart().objects(values))


def test_another_namespace_is_followed_everywhere() -> None:
    for manifest in _rendered.chart().objects(namespace="guard"):
        assert manifest["metadata"].get("namespace", "guard") == "guard"
        for entry in manifest.get("webhooks", ()):
            assert entry["clientConfig"]["service"]["namespace"] == "guard"
            assert entry["namespaceSelector"]["matchExpressions"][0]["values"] == [*SYSTEM, "guard"]
        for subject in manifest.get("subjects", ()):
            assert subject["namespace"] == "guard"


def test_security_may_fail_closed_and_nothing_else_does() -> None:
    entries = _rendered.webhooks(_rendered.chart().objects({"security": {"failurePolicy": "Fail"}}))
    closed = [name for name, entry in entries.items() if entry["failurePolicy"] == "Fail"]
    assert closed == ["security.podgate.dev"]


def test_cert_manager_leaves_podgate_no_certificates_to_keep() -> None:
    manifests = _rendered.chart().objects({"certificates": {"source": "cert-manager"}})
    overlay = _by_name(_rendered.rendered("overlays/cert-manager"))
    del overlay["Namespace", "podgate"]
    assert _by_name(manifests) == overlay


def test_a_certificate_of_ones_own_is_mounted_and_vouched_for() -> None:
    values = {"certificates": {"source": "secret", "secretName": "bought", "caBundle": "Zm9v"}}
    manifests = _rendered.chart().objects(values)
    volumes = {entry["name"]: entry for entry in _rendered.pod_template(manifests)["spec"]["volumes"]}
    assert volumes["certs"]["secret"]["secretName"] == "bought"
    assert {entry["clientConfig"]["caBundle"] for entry in _rendered.webhooks(manifests).values()} == {"Zm9v"}


def test_the_pages_are_off_until_they_are_given_a_port() -> None:
    for values, flag in (({}, "--dashboard-port=0"), ({"dashboard": {"port": 8081}}, "--dashboard-port=8081")):
        assert flag in _rendered.container(_rendered.chart().objects(values))["args"]


def test_enforcing_is_the_overlay_with_its_client_authority() -> None:
    overlay = _by_name(_rendered.rendered("overlays/enforce"))
    del overlay["Namespace", "podgate"]
    values = {"mode": "enforce", "clientCa": {"configMap": "podgate-client-ca"}}
    assert _by_name(_rendered.chart().objects(values)) == overlay


def test_a_control_plane_without_certificates_may_be_enforced_on_when_it_is_said() -> None:
    overlay = _by_name(_rendered.rendered("overlays/managed"))
    del overlay["Namespace", "podgate"]
    assert _by_name(_rendered.chart().objects({"mode": "enforce", "clientCa": {"required": False}})) == overlay


def test_only_the_given_addresses_reach_the_admission_port_and_are_reached() -> None:
    manifests = _rendered.chart().objects({"networkPolicy": {"apiServers": ["192.0.2.10/32"]}})
    spec = _rendered.of_kind(manifests, "NetworkPolicy")["spec"]
    addresses = [{"ipBlock": {"cidr": "192.0.2.10/32"}}]
    assert [rule.get("from") for rule in spec["ingress"] if rule["ports"][0]["port"] == "https"] == [addresses]
    assert [rule.get("to") for rule in spec["egress"]] == [addresses]


def test_own_policies_take_the_place_of_the_shipped_ones() -> None:
    manifests = _rendered.chart().objects({"policies": {"own.yaml": "kind: PriceList\n"}})
    assert _rendered.of_kind(manifests, "ConfigMap", "podgate-policies")["data"] == {"own.yaml": "kind: PriceList\n"}


def test_another_priority_class_needs_no_quota() -> None:
    manifests = _rendered.chart().objects({"priorityClassName": "platform"})
    assert [entry for entry in manifests if entry["kind"] == "ResourceQuota"] == []


def test_a_longer_delay_gets_a_longer_grace_period() -> None:
    template = _rendered.pod_template(_rendered.chart().objects({"shutdownDelaySeconds": 60}))
    assert template["spec"]["terminationGracePeriodSeconds"] == 80
    assert "--shutdown-delay=60" in template["spec"]["containers"][0]["args"]


@pytest.mark.parametrize("seconds", [0, 600])
def test_the_interval_of_scans_is_the_one_that_is_given(seconds: int) -> None:
    template = _rendered.pod_template(_rendered.chart().objects({"scanIntervalSeconds": seconds}))
    arguments = template["spec"]["containers"][0]["args"]
    assert [each for each in arguments if each.startswith("--scan-interval=")] == [f"--scan-interval={seconds}"]


def test_the_address_of_notifications_comes_from_a_secret_and_its_name_is_resolved() -> None:
    manifests = _rendered.chart().objects({"notifications": {"secretName": "chat", "form": "json"}})
    container = _rendered.of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    variables = {each["name"]: each for each in container["env"]}
    assert variables["PODGATE_NOTIFY_URL"]["valueFrom"]["secretKeyRef"] == {"name": "chat", "key": "url"}
    assert variables["PODGATE_NOTIFY_FORM"]["value"] == "json"
    egress = _rendered.of_kind(manifests, "NetworkPolicy")["spec"]["egress"]
    assert {(port["port"], port["protocol"]) for rule in egress for port in rule["ports"]} >= {
        (53, "UDP"),
        (443, "TCP"),
    }


@pytest.mark.parametrize(
    "values",
    [
        *(
            pytest.param(
                {"security": {"failurePolicy": "Fail"}, "excludeNamespaces": [name for name in SYSTEM if name != left]},
                id=f"fail closed without excluding {left}",
            )
            for left in SYSTEM
        ),
        pytest.param({"replicas": 1}, id="one replica"),
        pytest.param({"mode": "warn"}, id="a mode that serve does not have"),
        pytest.param({"mode": "enforce"}, id="enforced while anybody may call"),
        pytest.param({"clientCa": {"names": ["api"]}}, id="names of no authority"),
        pytest.param({"networkPolicy": {"apiServers": ["api.example"]}}, id="a name where an address belongs"),
        pytest.param({"certificates": {"source": "secret"}}, id="own certificates without a bundle"),
        pytest.param({"certificates": {"caBundle": "Zm9v"}}, id="a bundle that Podgate would overwrite"),
        pytest.param({"excludeNamespaces": ["team-*"]}, id="a glob, which no selector can express"),
        pytest.param({"scanIntervalSeconds": 5}, id="scans that never end"),
        pytest.param({"timeoutSeconds": 30}, id="a time-out that would stall deployments"),
        pytest.param({"policies": {"notes.txt": "kind: Budget"}}, id="a policy file that would not be read"),
        pytest.param({"resources": {"limits": {"memory": None}}, "imageTag": "x"}, id="a value that does not exist"),
        pytest.param({"notifications": {"secretName": "chat", "form": "mail"}}, id="a message that serve cannot write"),
        pytest.param({"extraArgs": ["serve"]}, id="an argument that is no flag"),
    ],
)
def test_values_that_would_not_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        _rendered.chart().objects(values)


def test_notes_name_the_emergency_off() -> None:
    chart = _rendered.chart()
    assert "kubectl delete mutatingwebhookconfiguration,validatingwebhookconfiguration podgate" in chart.text(
        "NOTES.txt", chart.values
    )


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("a: {{ .Values.missing }}", id="a value that does not exist"),
        pytest.param("a: {{ lookup 1 }}", id="a function"),
        pytest.param("{{ if .Values.mode }}a: 1", id="a block that is not closed"),
        pytest.param("{{ end }}", id="an end of nothing"),
        pytest.param("a: {{ .Values.image }}", id="a map printed as text"),
        pytest.param('a: {{ include "podgate.none" . }}', id="a template that is not defined"),
    ],
)
def test_the_renderer_of_these_tests_is_strict(template: str, tmp_path: Path) -> None:
    directory = tmp_path / "podgate"
    shutil.copytree(_rendered.CHART, directory)
    (directory / "templates" / "wrong.yaml").write_text(template)
    with pytest.raises(TemplateError):
        Chart(directory).objects()
