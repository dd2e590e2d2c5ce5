"""Pod Security check `restrictedVolumes` (restricted, since v1.0; replaces `hostPathVolumes`).

Rule: a pod may only use volumes that the cluster provides, not ones that name outside storage or the host directly.
Fields: the source of every entry of ``spec.volumes``.
Allowed: configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret. A volume
with one of them is fine whatever else it holds; one without any source has the type unknown.
Example: ``restricted volume types (volume "data" uses restricted volume type "nfs")``.
Comply: mount a persistentVolumeClaim instead.
Source: Pod Security Standards, Restricted, "Volume Types".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView
from webhook.kube.objects import PodVolume

_ID = "restrictedVolumes"

_FORBIDDEN = (
    ("hostPath", "host_path"),
    ("gcePersistentDisk", "gce_persistent_disk"),
    ("awsElasticBlockStore", "aws_elastic_block_store"),
    ("gitRepo", "git_repo"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("rbd", "rbd"),
    ("flexVolume", "flex_volume"),
    ("cinder", "cinder"),
    ("cephfs", "cephfs"),
    ("flocker", "flocker"),
    ("fc", "fc"),
    ("azureFile", "azure_file"),
    ("vsphereVolume", "vsphere_volume"),
    ("quobyte", "quobyte"),
    ("azureDisk", "azure_disk"),
    ("photonPersistentDisk", "photon_persistent_disk"),
    ("portworxVolume", "portworx_volume"),
    ("scaleIO", "scale_io"),
    ("storageos", "storageos"),
)
"""Sources by name on the wire and attribute; the first that is present names the type of a volume."""


def restricted_volumes_1_0(visit: PodView) -> Violation | None:
    """Allow only the sources of the list."""
    bad = [(index, volume) for index, volume in enumerate(visit.volumes) if not _is_allowed(volume)]
    if not bad:
        return None
    found = [(index, volume.name, _type_of(volume)) for index, volume in bad]
    types = sorted({kind for _, _, kind in found})
    uses = _text.plural("uses", "use", len(found))
    noun = _text.plural("restricted volume type", "restricted volume types", len(types))
    return Violation(
        check=_ID,
        reason="restricted volume types",
        detail=f"{_text.volumes([name for _, name, _ in found])} {uses} {noun} {_text.quote_list(types)}",
        cure="use configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected or secret",
        paths=tuple(
            f"spec.volumes[{index}]" if kind == "unknown" else f"spec.volumes[{index}].{kind}"
            for index, _, kind in found
        ),
    )


def _is_allowed(volume: PodVolume) -> bool:
    """Whether any allowed source is present; the most frequent ones are asked for first."""
    return (
        volume.projected is not None
        or volume.config_map is not None
        or volume.secret is not None
        or volume.empty_dir is not None
        or volume.persistent_volume_claim is not None
        or volume.csi is not None
        or volume.downward_api is not None
        or volume.ephemeral is not None
        or volume.image is not None
    )


def _type_of(volume: PodVolume) -> str:
    for kind, attribute in _FORBIDDEN:
        if getattr(volume, attribute) is not None:
            return kind
    return "unknown"


CHECK = Check(_ID, "restricted", (Revision(0, restricted_volumes_1_0),), overrides=("hostPathVolumes",))
