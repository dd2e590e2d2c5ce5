"""Devices: what claims and pods hold of each class, by what ResourceQuotas of Kubernetes count."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.conformance._cases import STORED, CaseFile, Json, compare, read_lines
from webhook.kube import device_claims, pod_resources
from webhook.kube.device_claims import ResourceClaimSpec
from webhook.kube.device_classes import IMPLICIT
from webhook.kube.objects import ObjectMeta, PodSpec, controller_of
from webhook.pricing import book
from webhook.pricing.pod import price_pod

_EXTENDED: Final = "resource.kubernetes.io/extended-resource-claim"
"""Annotation of a claim that was made for the extended resources of a pod."""
_CLASSES: Final[Mapping[str, str]] = {
    each["metadata"]["name"]: each["spec"].get("extendedResourceName", "")
    for each in json.loads((STORED / "devices" / "device_classes.json").read_text(encoding="utf-8"))
}


class _EveryClass(dict[str, int]):
    """Prices of all classes that there can be."""

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401, ARG002  as of a dictionary
        """Return the same price for every class."""
        return 1


_BOOK: Final = book.PriceBook(
    currency="USD",
    hours_per_month=730,
    on_demand=book.rates(Decimal(0), Decimal(0), Decimal(0))._replace(claims=_EveryClass(any=1)),
    spot=book.rates(Decimal(0), Decimal(0), Decimal(0)),
    assumed_cpu=0,
    assumed_memory=0,
)


def of_row(row: Json) -> list[str]:
    """Compare what a claim or a pod is counted with."""
    if row["kind"] == "pod":
        wanted = {name: amount for name, amount in row["usage"].items() if IMPLICIT in name}
        priced = price_pod(msgspec.convert(row["pod"]["spec"], PodSpec), _BOOK)
        found = {f"requests.{IMPLICIT}{name}": str(count) for name, count in priced.devices}
        return compare("usage", found, wanted)
    return compare("usage", {name: str(amount) for name, amount in _of_claim(row).items()}, row["usage"])


def _of_claim(row: Json) -> dict[str, int]:
    claim = row["claim"]
    resources = row.get("extendedResourceNames", _CLASSES)
    elsewhere = _counted_with_the_pod(row)
    usage = {"count/resourceclaims.resource.k8s.io": 1}
    requests = device_claims.read(msgspec.convert(claim["spec"], ResourceClaimSpec))
    for device_class, devices in device_claims.counted(requests).items():
        usage[f"{device_class}.deviceclass.resource.k8s.io/devices"] = devices
        for resource in (IMPLICIT + device_class, resources.get(device_class, "")):
            left = devices - elsewhere.get(resource, 0)
            if resource and left > 0:
                usage[f"requests.{resource}"] = left
    return usage


def _counted_with_the_pod(row: Json) -> Mapping[str, int]:
    """Return the extended resources that a quota has counted with the pod that the claim was made for."""
    metadata = msgspec.convert(row["claim"]["metadata"], ObjectMeta)
    pod = row.get("ownerPod")
    owner = controller_of(metadata)
    if pod is None or owner is None or (metadata.annotations or {}).get(_EXTENDED) != "true":
        return {}
    told = (pod.get("status") or {}).get("extendedResourceClaimStatus")
    if told is not None and told["resourceClaimName"] != metadata.name:
        return {}
    if told is None and row.get("ownedClaims"):
        return {}
    requests = pod_resources.requests(pod_resources.read(msgspec.convert(pod["spec"], PodSpec)))
    return {name: -(-nano // pod_resources.NANO) for name, nano in requests.items()}


def _rows(path: Path) -> list[Json]:
    """Return the rows that are about devices."""
    return [
        row
        for row in read_lines(path)
        if row["kind"] == "claim" or (row["kind"] == "pod" and any(IMPLICIT in name for name in row["usage"]))
    ]


FILES: Final = (
    CaseFile(
        "quota_usage.jsonl",
        "devices/quota_usage.jsonl.gz",
        of_row,
        expectation=("usage",),
        read=_rows,
    ),
)
