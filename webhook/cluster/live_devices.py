"""What a live cluster says of devices: ResourceClaims, their templates, DeviceClasses and ResourceSlices."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from webhook.cluster import pod_claims, view
from webhook.cluster.pod_records import PodRecord
from webhook.kube import device_classes
from webhook.kube.device_claims import Requests
from webhook.kube.pod_devices import PodResourceClaim
from webhook.kube.stores import Store


class LiveDevices:
    """The part of `webhook.cluster.live.LiveView` that answers about devices."""

    def __init__(self, pods: Store[PodRecord], users_of: Callable[[str, str], Iterator[pod_claims.User]]) -> None:
        """Args:
        pods: by UID.
        users_of: the pods that use a claim, by its namespace and name.
        """
        self._pods = pods
        self._users_of = users_of
        self.device_claims: Store[view.DeviceClaim] = Store()
        self.device_claim_templates: Store[Requests] = Store()
        self.device_classes: Store[device_classes.DeviceClass] = Store()
        self.device_pools: Store[device_classes.DevicePool] = Store()
        self._inventory: tuple[int, int, device_classes.Inventory] = (0, 0, device_classes.NO_INVENTORY)

    def device_claim(self, namespace: str, name: str) -> view.DeviceClaim | None:
        """Return the ResourceClaim, or None where it is not known (yet)."""
        return self.device_claims.items.get(f"{namespace}/{name}")

    def device_claim_template(self, namespace: str, name: str) -> Requests | None:
        """Return what the claims of a ResourceClaimTemplate ask for, or None where it is not known (yet)."""
        return self.device_claim_templates.items.get(f"{namespace}/{name}")

    def device_claim_users(self, namespace: str, name: str) -> Iterator[view.ClaimUser]:
        """Yield the pods that use a ResourceClaim, the oldest first."""
        for created, uid in self._users_of(namespace, name):
            record = self._pods.items.get(uid)
            yield view.ClaimUser(created, uid, (record.labels or {}) if record is not None else {})

    def device_inventory(self) -> device_classes.Inventory:
        """Return what DeviceClasses and ResourceSlices say."""
        classes, pools, found = self._inventory
        if classes != self.device_classes.changes or pools != self.device_pools.changes:
            classes, pools = self.device_classes.changes, self.device_pools.changes
            found = device_classes.inventory(self.device_classes.values(), self.device_pools.values())
            self._inventory = classes, pools, found
        return found

    def lacks_of_devices(self, namespace: str, claims: Iterable[PodResourceClaim]) -> tuple[str, ...]:
        """Return what the claims of a pod need and is not known yet, as kinds."""
        missing: set[str] = set()
        for each in claims:
            if each.resource_claim_name:
                if self.device_claim(namespace, each.resource_claim_name) is None:
                    missing.add("ResourceClaim")
                continue
            template = each.resource_claim_template_name
            if template and self.device_claim_template(namespace, template) is None:
                missing.add("ResourceClaimTemplate")
        return tuple(sorted(missing))

    def changes_of_devices(self) -> tuple[int, ...]:
        """Return what grows with every change of what pods are priced with."""
        stores = (self.device_claims, self.device_claim_templates, self.device_classes, self.device_pools)
        return tuple(store.changes for store in stores)

    def sizes_of_devices(self) -> Mapping[str, int]:
        """Return the number of entries of each cache."""
        return {
            "resourceClaims": len(self.device_claims),
            "resourceClaimTemplates": len(self.device_claim_templates),
            "deviceClasses": len(self.device_classes),
            "resourceSlices": len(self.device_pools),
        }
