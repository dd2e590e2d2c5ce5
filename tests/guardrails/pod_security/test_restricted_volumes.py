"""Tables of the Pod Security check `restrictedVolumes`: what it lets pass, and what it says otherwise."""

import pytest

from tests.guardrails.pod_security.tables import Json, judge, pod, said

CHECK = "restrictedVolumes"

PASSES = [
    pytest.param(pod(volumes=[{"name": "v", "configMap": {}}]), "v1.0", id="configMap"),
    pytest.param(pod(volumes=[{"name": "v", "csi": {}}]), "v1.0", id="csi"),
    pytest.param(pod(volumes=[{"name": "v", "downwardAPI": {}}]), "v1.0", id="downwardAPI"),
    pytest.param(pod(volumes=[{"name": "v", "emptyDir": {}}]), "v1.0", id="emptyDir"),
    pytest.param(pod(volumes=[{"name": "v", "ephemeral": {}}]), "v1.0", id="ephemeral"),
    pytest.param(pod(volumes=[{"name": "v", "image": {}}]), "v1.0", id="image"),
    pytest.param(pod(volumes=[{"name": "v", "persistentVolumeClaim": {}}]), "v1.0", id="persistentVolumeClaim"),
    pytest.param(pod(volumes=[{"name": "v", "projected": {}}]), "v1.0", id="projected"),
    pytest.param(pod(volumes=[{"name": "v", "secret": {}}]), "v1.0", id="secret"),
    pytest.param(
        pod(volumes=[{"name": "v", "hostPath": {}, "emptyDir": {}}]),
        "latest",
        id="an allowed source beside a forbidden one",
    ),
]

FAILS = [
    pytest.param(
        pod(volumes=[{"name": "v", "hostPath": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "hostPath")',
        ("spec.volumes[0].hostPath",),
        id="hostPath",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "gcePersistentDisk": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "gcePersistentDisk")',
        ("spec.volumes[0].gcePersistentDisk",),
        id="gcePersistentDisk",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "awsElasticBlockStore": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "awsElasticBlockStore")',
        ("spec.volumes[0].awsElasticBlockStore",),
        id="awsElasticBlockStore",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "gitRepo": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "gitRepo")',
        ("spec.volumes[0].gitRepo",),
        id="gitRepo",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "nfs": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "nfs")',
        ("spec.volumes[0].nfs",),
        id="nfs",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "iscsi": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "iscsi")',
        ("spec.volumes[0].iscsi",),
        id="iscsi",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "glusterfs": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "glusterfs")',
        ("spec.volumes[0].glusterfs",),
        id="glusterfs",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "rbd": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "rbd")',
        ("spec.volumes[0].rbd",),
        id="rbd",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "flexVolume": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "flexVolume")',
        ("spec.volumes[0].flexVolume",),
        id="flexVolume",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "cinder": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "cinder")',
        ("spec.volumes[0].cinder",),
        id="cinder",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "cephfs": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "cephfs")',
        ("spec.volumes[0].cephfs",),
        id="cephfs",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "flocker": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "flocker")',
        ("spec.volumes[0].flocker",),
        id="flocker",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "fc": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "fc")',
        ("spec.volumes[0].fc",),
        id="fc",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "azureFile": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "azureFile")',
        ("spec.volumes[0].azureFile",),
        id="azureFile",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "vsphereVolume": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "vsphereVolume")',
        ("spec.volumes[0].vsphereVolume",),
        id="vsphereVolume",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "quobyte": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "quobyte")',
        ("spec.volumes[0].quobyte",),
        id="quobyte",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "azureDisk": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "azureDisk")',
        ("spec.volumes[0].azureDisk",),
        id="azureDisk",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "photonPersistentDisk": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "photonPersistentDisk")',
        ("spec.volumes[0].photonPersistentDisk",),
        id="photonPersistentDisk",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "portworxVolume": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "portworxVolume")',
        ("spec.volumes[0].portworxVolume",),
        id="portworxVolume",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "scaleIO": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "scaleIO")',
        ("spec.volumes[0].scaleIO",),
        id="scaleIO",
    ),
    pytest.param(
        pod(volumes=[{"name": "v", "storageos": {}}]),
        "v1.0",
        'restricted volume types (volume "v" uses restricted volume type "storageos")',
        ("spec.volumes[0].storageos",),
        id="storageos",
    ),
    pytest.param(
        pod(volumes=[{"name": "v"}]),
        "latest",
        'restricted volume types (volume "v" uses restricted volume type "unknown")',
        ("spec.volumes[0]",),
        id="no source",
    ),
    pytest.param(
        pod(volumes=[{"name": "b", "nfs": {}}, {"name": "a", "hostPath": {}}, {"name": "c", "nfs": {}}]),
        "latest",
        'restricted volume types (volumes "b", "a", "c" use restricted volume types "hostPath", "nfs")',
        ("spec.volumes[0].nfs", "spec.volumes[1].hostPath", "spec.volumes[2].nfs"),
        id="types sorted, volumes in order",
    ),
]


@pytest.mark.parametrize(("document", "version"), PASSES)
def test_restricted_volumes_lets_pass(document: Json, version: str) -> None:
    assert judge(CHECK, document, version) is None


@pytest.mark.parametrize(("document", "version", "text", "paths"), FAILS)
def test_restricted_volumes_forbids(document: Json, version: str, text: str, paths: tuple[str, ...]) -> None:
    violation = judge(CHECK, document, version)
    assert said(violation) == text
    assert violation is not None
    assert (violation.check, violation.paths) == (CHECK, paths)
    assert violation.cure
    assert "\n" not in violation.cure
