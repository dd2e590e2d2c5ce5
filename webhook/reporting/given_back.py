"""A pod that runs is judged as its successor would be, which comes once it is gone: what it uses of a ResourceQuota is
free by then."""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from webhook.cluster.view import ResourceQuota, View
from webhook.kube import pod_quota, pod_resources, quantity
from webhook.kube.objects import PodSpec, PodStatus, ResourceMap

_MOST: Final = 512
"""Quotas that are kept; pods of one template give back the same."""

_Used = tuple[tuple[str, int], ...]


class GivesBack:
    """Makes views in which one pod has given back what it uses. For use from one thread at a time."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: dict[tuple[int, _Used], tuple[ResourceQuota, ResourceQuota]] = {}

    def without(self, document: Mapping[str, Any], namespace: str) -> View:
        """Return the view without what a stored pod uses of quotas; the view itself where it uses nothing."""
        if not self._view.resource_quotas(namespace):
            return self._view
        try:
            spec = msgspec.convert(document.get("spec") or {}, PodSpec)
            status = msgspec.convert(document.get("status") or {}, PodStatus)
            resources = pod_resources.read(spec)
            used = tuple(sorted(pod_quota.usage(resources, status).items()))
            quality = pod_quota.quality(resources)
        except (msgspec.ValidationError, quantity.QuantityError):
            return self._view  # The judgement tells what is wrong with it.
        quotas = tuple(
            self._given_back(quota, used)
            if all(pod_quota.is_in_scope(each.name, each.operator, each.values, spec, quality) for each in quota.scopes)
            else quota
            for quota in self._view.resource_quotas(namespace)
        )
        return cast("View", _View(self._view, namespace, quotas))

    def _given_back(self, quota: ResourceQuota, used: _Used) -> ResourceQuota:
        key = id(quota), used
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            # The quota is held, so that no other object takes its identity.
            known = self._known[key] = quota, msgspec.structs.replace(quota, used=_less(quota.used, dict(used)))
        return known[1]


class _View:
    """A view that answers differently about the quotas of one namespace."""

    def __init__(self, view: View, namespace: str, quotas: tuple[ResourceQuota, ...]) -> None:
        self._view = view
        self._namespace = namespace
        self._quotas = quotas

    def __getattr__(self, name: str) -> object:
        return getattr(self._view, name)

    def resource_quotas(self, namespace: str) -> tuple[ResourceQuota, ...]:
        return self._quotas if namespace == self._namespace else tuple(self._view.resource_quotas(namespace))


def _less(counted: ResourceMap, given: Mapping[str, int]) -> ResourceMap:
    left = dict(counted)
    for key, amount in given.items():
        raw = counted.get(key)
        if raw is None:
            continue
        try:
            left[key] = f"{max(0, quantity.of(raw).nano - amount)}n"
        except quantity.QuantityError:
            continue  # What cannot be read says nothing of what is left.
    return left
