"""From manifests of Dynamic Resource Allocation to the values of the cluster view."""

from typing import Any

import msgspec

from webhook.cluster import view
from webhook.kube import device_claims, device_classes
from webhook.kube.objects import DEFAULT_NAMESPACE, Object, ObjectMeta, controller_of


class _DeviceClaim(Object):
    spec: device_claims.ResourceClaimSpec | None = None
    status: device_claims.ClaimStatus | None = None


class _Template(Object):
    spec: device_claims.TemplateSpec | None = None


class _Class(Object):
    spec: device_classes.ClassSpec | None = None


def claim(metadata: ObjectMeta, document: dict[str, Any]) -> view.DeviceClaim:
    """Read a ResourceClaim."""
    read = msgspec.convert(document, _DeviceClaim)
    owner = controller_of(metadata)
    return view.DeviceClaim(
        namespace=metadata.namespace or DEFAULT_NAMESPACE,
        name=metadata.name or "",
        requests=device_claims.read(read.spec, read.status),
        owner=owner.uid if owner is not None and owner.kind == "Pod" else "",
    )


def claim_template(_metadata: ObjectMeta, document: dict[str, Any]) -> device_claims.Requests:
    """Read a ResourceClaimTemplate."""
    spec = msgspec.convert(document, _Template).spec
    return device_claims.read(spec.spec if spec is not None else None)


def device_class(metadata: ObjectMeta, document: dict[str, Any]) -> device_classes.DeviceClass:
    """Read a DeviceClass."""
    spec = msgspec.convert(document, _Class).spec
    return device_classes.DeviceClass(
        name=metadata.name or "",
        extended_resource=(spec.extended_resource_name or "") if spec is not None else "",
        driver=device_classes.driver_of(spec),
        created=metadata.creation_timestamp or "",
    )


def pool(_metadata: ObjectMeta, document: dict[str, Any]) -> device_classes.DevicePool | None:
    """Read a ResourceSlice; None for one that offers nothing."""
    return device_classes.pool_of(msgspec.convert(document, device_classes.Slice))
