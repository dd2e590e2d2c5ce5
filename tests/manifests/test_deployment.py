"""The Deployment and what surrounds it: it complies with what Podgate asks of others, and rolls without a gap."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.manifests import _rendered
from webhook import assembly, settings
from webhook.guardrails import pod_security
from webhook.kube import quantity
from webhook.kube.objects import Pod
from webhook.serve import listener

OPTIONS = {option.flag: option for option in settings.OPTIONS}
WORKING_PATHS = ("/tmp",)  # noqa: S108  a mount point, not a file that is made


@pytest.fixture(params=[*_rendered.RENDERINGS, "chart"])
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return _rendered.default_chart() if request.param == "chart" else _rendered.rendered(request.param)


def _arguments(manifests: list[dict[str, Any]]) -> dict[str, list[str]]:
    command, *flags = _rendered.container(manifests)["args"]
    assert command == "serve"
    given: dict[str, list[str]] = {}
    for text in flags:
        flag, separator, value = text.partition("=")
        assert separator, text
        given.setdefault(flag, []).append(value)
    return given


def test_the_pods_pass_podgates_own_check_of_pod_security(manifests: list[dict[str, Any]]) -> None:
    pod = msgspec.convert(_rendered.pod_template(manifests), Pod)
    assert pod.spec is not None
    assert pod_security.evaluate("restricted", "latest", pod.metadata, pod.spec) == []


def test_a_pod_without_the_security_context_would_not_pass() -> None:
    template = _rendered.pod_template(_rendered.rendered("base"))
    del template["spec"]["securityContext"]["seccompProfile"]
    pod = msgspec.convert(template, Pod)
    assert pod.spec is not None
    assert pod_security.evaluate("restricted", "latest", pod.metadata, pod.spec) != []


def test_nothing_can_be_written_but_the_working_directories(manifests: list[dict[str, Any]]) -> None:
    container = _rendered.container(manifests)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    volumes = {volume["name"]: volume for volume in _rendered.pod_template(manifests)["spec"]["volumes"]}
    for mount in container["volumeMounts"]:
        if not mount.get("readOnly"):
            assert mount["mountPath"] in WORKING_PATHS
            assert "emptyDir" in volumes[mount["name"]]


def test_every_argument_is_a_flag_of_serve_with_a_value_that_it_takes(manifests: list[dict[str, Any]]) -> None:
    given = _arguments(manifests)
    assert set(given) <= set(OPTIONS)
    for flag, values in given.items():
        assert len(values) == 1 or OPTIONS[flag].multiple, flag
        choices = OPTIONS[flag].choices
        assert not choices or set(values) <= set(choices), flag
    for variable in _rendered.container(manifests)["env"]:
        assert variable["name"] in {option.variable for option in settings.OPTIONS}


def test_every_flag_that_has_to_be_given_is_given(manifests: list[dict[str, Any]]) -> None:
    given = _arguments(manifests)
    assert [flag for flag, option in OPTIONS.items() if option.required and flag not in given] == []


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("base", "audit"),
        ("overlays/cert-manager", "audit"),
        ("overlays/enforce", "enforce"),
        ("overlays/managed", "enforce"),
        ("overlays/fail-closed", "enforce"),
        ("overlays/demo", "enforce"),
    ],
)
def test_an_installation_starts_by_watching(name: str, mode: str) -> None:
    assert _arguments(_rendered.rendered(name))["--mode"] == [mode]


def test_the_pod_is_given_the_time_to_go_on_serving_and_to_drain(manifests: list[dict[str, Any]]) -> None:
    (delay,) = _arguments(manifests)["--shutdown-delay"]
    grace = _rendered.pod_template(manifests)["spec"]["terminationGracePeriodSeconds"]
    assert grace > float(delay) + listener.DRAIN_SECONDS


def test_a_rollout_adds_a_replica_before_it_takes_one_away(manifests: list[dict[str, Any]]) -> None:
    spec = _rendered.of_kind(manifests, "Deployment")["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_a_drain_leaves_a_replica_and_is_never_blocked(manifests: list[dict[str, Any]]) -> None:
    budget = _rendered.of_kind(manifests, "PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] < _rendered.of_kind(manifests, "Deployment")["spec"]["replicas"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_replicas_spread_over_nodes_and_zones_without_insisting(manifests: list[dict[str, Any]]) -> None:
    spread = _rendered.pod_template(manifests)["spec"]["topologySpreadConstraints"]
    assert {entry["topologyKey"] for entry in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert {entry["whenUnsatisfiable"] for entry in spread} == {"ScheduleAnyway"}


def test_memory_is_bounded_and_cpu_is_never_throttled(manifests: list[dict[str, Any]]) -> None:
    resources = _rendered.container(manifests)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}
    limit, request = (quantity.memory_bytes(resources[part]["memory"]) for part in ("limits", "requests"))
    assert limit >= request


def test_probes_ask_the_operations_port(manifests: list[dict[str, Any]]) -> None:
    container = _rendered.container(manifests)
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert named == {"https": OPTIONS["--port"].default, "ops": OPTIONS["--ops-port"].default}
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {entry["port"] for entry in asked.values()} == {"ops"}
    assert asked["readinessProbe"]["path"] == "/readyz"
    assert asked["livenessProbe"]["path"] == asked["startupProbe"]["path"] == "/livez"


def test_the_pages_are_off(manifests: list[dict[str, Any]]) -> None:
    assert _arguments(manifests)["--dashboard-port"] == ["0"]
    assert "--dashboard-host" not in _arguments(manifests)


def test_selectors_find_the_pods(manifests: list[dict[str, Any]]) -> None:
    labels = _rendered.pod_template(manifests)["metadata"]["labels"]
    found = {
        "Deployment": _rendered.of_kind(manifests, "Deployment")["spec"]["selector"]["matchLabels"],
        "Service": _rendered.of_kind(manifests, "Service")["spec"]["selector"],
        "PodDisruptionBudget": _rendered.of_kind(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": _rendered.of_kind(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    }
    assert {kind: selector.items() <= labels.items() for kind, selector in found.items()} == dict.fromkeys(found, True)


def test_the_network_policy_lets_nothing_out_but_calls_to_the_api_server(manifests: list[dict[str, Any]]) -> None:
    spec = _rendered.of_kind(manifests, "NetworkPolicy")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert [port["port"] for rule in spec["egress"] for port in rule["ports"]] == [443, 6443]
    everybody = [port["port"] for rule in spec["ingress"] if "from" not in rule for port in rule["ports"]]
    assert everybody == ["https"]


@pytest.mark.parametrize("name", ["base", "overlays/demo", "chart"])
def test_the_policies_that_are_mounted_load(name: str, tmp_path: Path) -> None:
    manifests = _rendered.default_chart() if name == "chart" else _rendered.rendered(name)
    for file, text in _rendered.of_kind(manifests, "ConfigMap", "podgate-policies")["data"].items():
        (tmp_path / file).write_text(text)
    loaded = assembly.load_policies(tmp_path)
    kinds = {document.kind for document in loaded.documents}
    assert kinds >= {"GuardrailPolicy", "PriceList"}
    assert ("Budget" in kinds) == (name == "overlays/demo")


def test_what_is_mounted_where_is_what_the_flags_say(manifests: list[dict[str, Any]]) -> None:
    mounts = {mount["mountPath"] for mount in _rendered.container(manifests)["volumeMounts"]}
    volumes = {volume["name"] for volume in _rendered.pod_template(manifests)["spec"]["volumes"]}
    assert {mount["name"] for mount in _rendered.container(manifests)["volumeMounts"]} == volumes
    given = _arguments(manifests)
    read = {value for flag in ("--policies", "--certs") for value in given.get(flag, ())}
    read |= {str(Path(value).parent) for value in given.get("--client-ca", ())}
    assert mounts == {*read, *WORKING_PATHS}
    assert ("--certs" in given) != ("--certs-secret" in given)


def test_the_namespace_holds_podgate_to_restricted() -> None:
    labels = _rendered.of_kind(_rendered.rendered("base"), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_components_go_with_any_overlay(tmp_path: Path) -> None:
    # Only relative paths are taken.
    overlay, client_ca, cert_manager = (
        os.path.relpath(_rendered.MANIFESTS / part, tmp_path.resolve())
        for part in ("overlays/managed", "components/client-ca", "components/cert-manager")
    )
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [{overlay}]\ncomponents: [{client_ca}, {cert_manager}]\n"
    )
    rendered = list(yaml.safe_load_all(_rendered.kustomize(tmp_path)))
    (flag,) = _arguments(rendered)["--client-ca"]
    mounts = {mount["name"]: mount["mountPath"] for mount in _rendered.container(rendered)["volumeMounts"]}
    assert flag == f"{mounts['client-ca']}/ca.crt"
    assert any(entry["kind"] == "Certificate" for entry in rendered)
