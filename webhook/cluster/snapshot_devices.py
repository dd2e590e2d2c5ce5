"""What a directory says of devices: ResourceClaims, their templates, DeviceClasses and ResourceSlices."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from webhook.cluster import pod_claims, typed_objects, view
from webhook.kube import device_classes
from webhook.kube.device_claims import Requests
from webhook.kube.objects import Pod

DEVICE_KINDS: Final = frozenset({"ResourceClaim", "ResourceClaimTemplate", "DeviceClass", "ResourceSlice"})


class SnapshotDevices:
    """The part of `webhook.cluster.snapshot.Snapshot` that answers about devices."""

    def __init__(self, items: Iterable[typed_objects.TypedObject], pods: Iterable[view.ClusterPod]) -> None:
        """Args:
        items: of `DEVICE_KINDS`.
        pods: that exist.
        """
        found: dict[str, dict[tuple[str, str], typed_objects.TypedObject]] = {kind: {} for kind in DEVICE_KINDS}
        for item in items:
            found[item.kind][item.namespace, item.name] = item
        self._device_claims: dict[tuple[str, str], view.DeviceClaim] = _values(found["ResourceClaim"])
        self._device_claim_templates: dict[tuple[str, str], Requests] = _values(found["ResourceClaimTemplate"])
        classes = _values(found["DeviceClass"])
        pools = [each for each in _values(found["ResourceSlice"]).values() if each is not None]
        self._inventory = device_classes.inventory(classes.values(), pools)
        self._device_sizes = {"deviceClasses": len(classes), "resourceSlices": len(pools)}
        pods = tuple(pods)
        self._device_users = _device_users(pods)
        self._labels = {each.uid: _labels_of(each.pod) for each in pods}

    def device_claim(self, namespace: str, name: str) -> view.DeviceClaim | None:
        """Return the ResourceClaim, or None where there is none."""
        return self._device_claims.get((namespace, name))

    def device_claim_template(self, namespace: str, name: str) -> Requests | None:
        """Return what the claims of a ResourceClaimTemplate ask for, or None where there is none."""
        return self._device_claim_templates.get((namespace, name))

    def device_claim_users(self, namespace: str, name: str) -> Iterator[view.ClaimUser]:
        """Yield the pods that use a ResourceClaim, the oldest first."""
        for created, uid in self._device_users.of(namespace, name):
            yield view.ClaimUser(created, uid, self._labels[uid])

    def device_inventory(self) -> device_classes.Inventory:
        """Return what DeviceClasses and ResourceSlices say."""
        return self._inventory

    def sizes_of_devices(self) -> Mapping[str, int]:
        """Return the number of objects by kind."""
        return {
            "resourceClaims": len(self._device_claims),
            "resourceClaimTemplates": len(self._device_claim_templates),
            **self._device_sizes,
        }


def _values(items: Mapping[tuple[str, str], typed_objects.TypedObject]) -> dict[tuple[str, str], Any]:
    return {key: item.value for key, item in items.items()}


def _device_users(pods: Iterable[view.ClusterPod]) -> pod_claims.Users:
    users = pod_claims.Users()
    for each in pods:
        metadata, spec = each.pod.metadata, each.pod.spec
        created = (metadata.creation_timestamp or "") if metadata is not None else ""
        names = pod_claims.names(spec.resource_claims if spec is not None else None, each.made_claims)
        users.add(each.namespace, names, (created, each.uid))
    return users


def _labels_of(pod: Pod) -> Mapping[str, str]:
    return (pod.metadata.labels or {}) if pod.metadata is not None else {}
