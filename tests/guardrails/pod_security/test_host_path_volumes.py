"""Tables of the Pod Security check `hostPathVolumes`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, judge, pod, said

CHECK = "hostPathVolumes"

PASSES = [
    pytest.param(pod(), "latest", id="no volumes"),
    pytest.param(pod(volumes=[{"name": "v", "emptyDir": {}}]), "latest", id="another source"),
    pytest.param(pod(volumes=[{"name": "v", "hostPath": None}]), "latest", id="null is absent"),
]

FAILS = [
    pytest.param(
        pod(volumes=[{"name": "v", "hostPath": {}}]),
        "latest",
        'hostPath volumes (volume "v")',
        ("spec.volumes[0].hostPath",),
        id="an empty object is one",
    ),
    pytest.param(
        pod(
            volumes=[
                {"name": "z", "hostPath": {"path": "/"}},
                {"name": "m", "secret": {}},
                {"name": "a", "hostPath": {}},
            ]
        ),
        "v1.0",
        'hostPath volumes (volumes "z", "a")',
        ("spec.volumes[0].hostPath", "spec.volumes[2].hostPath"),
        id="in the order of the pod",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_host_path_volumes_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_host_path_volumes_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
