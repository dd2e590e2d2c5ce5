"""Which volumes are paid for with a pod, so that each is counted once.

* A generic ephemeral volume lives and dies with its pod: the pod pays for it.
* A persistent volume claim is paid for by one of the pods that mount it: the oldest. So a new pod pays for a claim that
  no pod mounts yet, as those of a StatefulSet's pods are, and pays nothing for one that another pod mounts already.
* A StatefulSet, judged as a workload, pays for the claims of its ``volumeClaimTemplates``, one of each a pod. Claims
  that a template mounts by name are counted with its pods, since they are there once however many pods there are.

A claim is as large as its volume, else as it asks to be. One that the cluster has not shown yet is as its StatefulSet
makes it; where that is not known either, its price is not known, and the verdict says so.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from webhook.guardrails.base.contract import Context
from webhook.kube.objects import ClaimTemplate, PodSpec, RawQuantity
from webhook.kube.quantity import QuantityError, memory_bytes
from webhook.pricing.pod import PricedVolume


class Volumes(NamedTuple):
    """What is paid for."""

    known: Sequence[PricedVolume] = ()
    unknown: str = ""
    """What is not: ``1 volume claim``; empty for nearly every pod."""


NO_VOLUMES: Final = Volumes()


def volumes_of(context: Context, spec: PodSpec) -> Volumes:
    """Return the volumes that are paid for with a pod, or with each pod of a workload.

    Raises:
        QuantityError: a size is malformed or negative; the text names the volume.
    """
    known: list[PricedVolume] = []
    claims: list[str] = []
    for volume in spec.volumes or ():
        if volume.ephemeral is not None:
            known.append(_made(volume.ephemeral.volume_claim_template, f"spec.volumes[{volume.name}]"))
        elif volume.persistent_volume_claim is not None:
            claims.append(volume.persistent_volume_claim.claim_name)
    if not known and not claims and context.running is None and not context.claim_templates:
        return NO_VOLUMES
    if context.scale is not None:
        known.extend(_made(each, "spec.volumeClaimTemplates") for each in context.claim_templates)
        return Volumes(known)
    if context.running is not None:
        claims.extend(context.running.claims if not claims else ())
    missing = 0
    for name in dict.fromkeys(claims):
        if not _pays(context, name):
            continue
        found = _claim(context, name)
        if found is None:
            missing += 1
        else:
            known.append(found)
    return Volumes(known, f"{missing} volume claim{'' if missing == 1 else 's'}" if missing else "")


def _pays(context: Context, claim: str) -> bool:
    payer = context.view.claim_payer(context.namespace, claim)
    if payer is None:
        return True
    metadata = context.pod.metadata
    own = context.running.uid if context.running is not None else metadata.uid if metadata is not None else None
    return payer == own


def _claim(context: Context, name: str) -> PricedVolume | None:
    claim = context.view.claim(context.namespace, name)
    if claim is not None:
        return PricedVolume(_size(claim.storage, f"PersistentVolumeClaim {name}"), claim.storage_class)
    controller = context.controller
    metadata = context.pod.metadata
    if controller is None or controller.kind != "StatefulSet" or metadata is None or not metadata.name:
        return None
    owner = context.view.workload(context.namespace, controller.kind, controller.name)
    templates = (owner.spec.volume_claim_templates or ()) if owner is not None and owner.spec is not None else ()
    for template in templates:
        if template.metadata is not None and name == f"{template.metadata.name}-{metadata.name}":
            return _made(template, "spec.volumeClaimTemplates")
    return None


def _made(template: ClaimTemplate | None, where: str) -> PricedVolume:
    spec = template.spec if template is not None else None
    if spec is None:
        return PricedVolume(0, "")
    requests = (spec.resources.requests or {}) if spec.resources is not None else {}
    return PricedVolume(_size(requests.get("storage"), where), spec.storage_class_name or "")


def _size(raw: RawQuantity | None, where: str) -> int:
    try:
        size = memory_bytes(raw)
    except QuantityError as error:
        raise QuantityError(error.kind, f"{where}, storage: {error}") from None
    if size < 0:
        raise QuantityError("numeric", f"{where}, storage: a size must not be negative; remove the minus sign")
    return size
