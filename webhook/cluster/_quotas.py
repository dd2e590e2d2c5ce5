"""From a ResourceQuota's manifest to what is enforced, what is used, and whom it counts."""

from typing import Any

import msgspec

from webhook.cluster.view import QuotaScope, ResourceQuota
from webhook.kube.objects import Object, ResourceMap


class _ScopeRequirement(Object):
    scope_name: str = ""
    operator: str = ""
    values: list[str] | None = None


class _ScopeSelector(Object):
    match_expressions: list[_ScopeRequirement] | None = None


class _QuotaSpec(Object):
    hard: ResourceMap | None = None
    scopes: list[str] | None = None
    scope_selector: _ScopeSelector | None = None


class _QuotaStatus(Object):
    hard: ResourceMap | None = None
    used: ResourceMap | None = None


class _QuotaDocument(Object):
    spec: _QuotaSpec | None = None
    status: _QuotaStatus | None = None


def read(namespace: str, name: str, document: dict[str, Any]) -> ResourceQuota:
    """Return the quota of a manifest.

    Raises:
        msgspec.ValidationError: the API server would refuse the manifest.
    """
    found = msgspec.convert(document, _QuotaDocument)
    spec, status = found.spec or _QuotaSpec(), found.status or _QuotaStatus()
    requirements = (spec.scope_selector.match_expressions if spec.scope_selector is not None else None) or ()
    return ResourceQuota(
        namespace=namespace,
        name=name,
        # The API server refuses by the status, which follows the specification.
        hard=status.hard or spec.hard or {},
        used=status.used or {},
        scopes=(
            *(QuotaScope(scope) for scope in spec.scopes or ()),
            *(QuotaScope(each.scope_name, each.operator, tuple(each.values or ())) for each in requirements),
        ),
    )
