"""Defaults of the API server that change a verdict: volumes, ports of the host network, AppArmor annotations."""

from typing import Any

import msgspec
import pytest

from webhook.kube.defaults import apply_pod_defaults
from webhook.kube.objects import Container, Pod, PodSpec, PodVolume

KEY = "container.apparmor.security.beta.kubernetes.io/"


def stored(document: dict[str, Any], *, template: bool = False) -> tuple[PodSpec, list[Container]]:
    """Return the spec as the API server stores it, and its containers; applying twice must equal once."""
    pod = msgspec.convert(document, Pod)
    apply_pod_defaults(pod, template=template)
    once = msgspec.to_builtins(pod)
    apply_pod_defaults(pod, template=template)
    assert msgspec.to_builtins(pod) == once
    assert pod.spec is not None
    return pod.spec, pod.spec.containers or []


@pytest.mark.parametrize("template", [False, True])
def test_a_volume_without_a_source_becomes_an_empty_directory(template: bool) -> None:
    sources: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "secret": {}}, {"name": "c", "nfs": None}]
    spec, _ = stored({"spec": {"volumes": sources}}, template=template)
    volumes: list[PodVolume] = spec.volumes or []
    assert [volume.empty_dir is not None for volume in volumes] == [True, False, True]


def test_ports_of_the_host_network_are_taken_on_the_host() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 81, "hostPort": 8081}, {"containerPort": 82, "hostPort": 0}]
    document = {"hostNetwork": True, "containers": [{"ports": ports}], "initContainers": [{"ports": ports[:1]}]}
    spec, containers = stored({"spec": document})
    assert [port.host_port for port in containers[0].ports or []] == [80, 8081, 82]
    assert spec.init_containers is not None
    assert [port.host_port for port in spec.init_containers[0].ports or []] == [80]


@pytest.mark.parametrize(("host_network", "template"), [(False, False), (True, True)], ids=["own network", "template"])
def test_other_ports_stay_as_written(host_network: bool, template: bool) -> None:
    document = {"hostNetwork": host_network, "containers": [{"ports": [{"containerPort": 80}]}]}
    _, containers = stored({"spec": document}, template=template)
    assert [port.host_port for port in containers[0].ports or []] == [None]


def _profile(annotation: str, *, template: bool = False, container: str = "c", **spec: Any) -> str | None:  # noqa: ANN401
    document = {
        "metadata": {"annotations": {KEY + container: annotation}},
        "spec": {"containers": [{"name": "c"}], **spec},
    }
    _, containers = stored(document, template=template)
    context = containers[0].security_context
    profile = context.app_armor_profile if context is not None else None
    return profile.type if profile is not None else None


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("unconfined", "Unconfined"),
        ("runtime/default", "RuntimeDefault"),
        ("localhost/x", "Localhost"),
        ("localhost/", None),
        ("", None),
        ("bogus", None),
    ],
)
def test_an_app_armor_annotation_becomes_the_field_of_its_container(annotation: str, expected: str | None) -> None:
    assert _profile(annotation) == expected


def test_an_app_armor_annotation_is_not_copied_where_it_must_not_be() -> None:
    field = {"name": "c", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}
    assert _profile("unconfined", template=True) is None
    assert _profile("unconfined", container="other") is None
    assert _profile("unconfined", os={"name": "windows"}) is None
    assert _profile("unconfined", containers=[field]) == "RuntimeDefault"
    assert _profile("unconfined", securityContext={"appArmorProfile": {"type": "Unconfined"}}) is None
    assert _profile("unconfined", securityContext={"appArmorProfile": {"type": "RuntimeDefault"}}) == "Unconfined"


def test_a_pod_without_a_spec_stays_empty() -> None:
    pod = Pod()
    apply_pod_defaults(pod)
    assert pod == Pod()
