"""The parts of pods that are about claims for devices, as typed structs; see `webhook.kube.device_claims`."""

from webhook.kube._object import Object


class PodResourceClaim(Object):
    """A claim for devices: one that exists, or a template of which the pod gets one of its own."""

    name: str = ""
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodClaimStatus(Object):
    """Which ResourceClaim was made for an entry of ``spec.resourceClaims``; none where none is needed."""

    name: str = ""
    resource_claim_name: str | None = None


class ExtendedClaimStatus(Object):
    """The ResourceClaim that was made for the extended resources of a pod."""

    resource_claim_name: str = ""
