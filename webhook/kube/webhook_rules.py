"""What our two webhook objects have to say so that every guardrail is asked, and what is missing in the live ones.

Pure: documents in, one line each out. Which namespaces are excluded, and what happens while nobody answers, is up to
whoever installs, so neither is judged here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit


class Called(NamedTuple):
    """One kind of call that an API server has to make."""

    group: str
    resource: str
    """With its subresource: ``pods/resize``."""
    operation: str


def _calls(group: str, operations: str, resources: str) -> frozenset[Called]:
    return frozenset(
        Called(group, resource, operation) for resource in resources.split() for operation in operations.split()
    )


_WORKLOADS: Final = (
    _calls("", "CREATE UPDATE", "replicationcontrollers")
    | _calls("apps", "CREATE UPDATE", "deployments statefulsets daemonsets replicasets")
    | _calls("batch", "CREATE UPDATE", "jobs cronjobs")
)
_PODS: Final = _calls("", "CREATE UPDATE", "pods")

REQUIRED: Final[Mapping[str, Mapping[str, frozenset[Called]]]] = {
    "mutatingwebhookconfigurations": {"/mutate": _calls("", "CREATE", "pods")},
    "validatingwebhookconfigurations": {
        "/validate/security": _PODS | _WORKLOADS | _calls("", "UPDATE", "pods/ephemeralcontainers"),
        "/validate/cost": _PODS
        | _WORKLOADS
        | _calls("", "UPDATE", "pods/resize replicationcontrollers/scale")
        | _calls("apps", "UPDATE", "deployments/scale statefulsets/scale replicasets/scale"),
    },
}
"""By resource and path: the calls that the path has to get."""

_EFFECTS: Final = {
    "mutatingwebhookconfigurations": "pods are not changed, and what Podgate would fill in is missing in them",
    "validatingwebhookconfigurations": "nothing is refused",
}
_BOTH_HALVES: Final = "/validate"
"""A path that gets what both halves of it need."""
_SHOWN: Final = 4


def problems(resource: str, name: str, document: Mapping[str, Any] | None) -> list[str]:
    """Return what keeps guardrails from being asked, one line each.

    Args:
        resource: a key of `REQUIRED`.
        name: of the object.
        document: the object; None where there is none.
    """
    where = f"{resource}/{name}"
    if document is None:
        return [f"{where} is missing, so {_EFFECTS[resource]}; apply the manifests of the installation again"]
    entries = [_Entry(each) for each in _dictionaries(document.get("webhooks"))]
    lines: list[str] = []
    for path, calls in REQUIRED[resource].items():
        asking = [each for each in entries if each.path in (path, _BOTH_HALVES)]
        missing = sorted(call for call in calls if not any(each.matches(call) for each in asking))
        if missing:
            lines.append(
                f"{where} does not call {path} for {_named(missing)}; apply the manifests of the installation again"
            )
    for each in entries:
        lines.extend(f"{where}: entry {each.name} {what}" for what in each.problems())
    return lines


class _Entry:
    """One entry of a webhook object."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self.name = str(content.get("name") or "without a name")
        config = content.get("clientConfig")
        self._config: Mapping[str, Any] = config if isinstance(config, dict) else {}
        self.path = _path(self._config)

    def matches(self, call: Called) -> bool:
        return any(_rule_matches(rule, call) for rule in _dictionaries(self._content.get("rules")))

    def problems(self) -> Iterator[str]:
        if not self._config.get("caBundle") and self._config.get("service"):
            yield "has no caBundle, so calls to it fail; the leader fills it in, or cert-manager does"
        selector = self._content.get("objectSelector")
        if isinstance(selector, dict) and (selector.get("matchLabels") or selector.get("matchExpressions")):
            yield "has an objectSelector, so whoever sets a label decides whether it is asked; remove it"
        if self._content.get("matchConditions"):
            yield "has matchConditions, so it is not asked about everything; exclude namespaces, or use policies"


def _rule_matches(rule: Mapping[str, Any], call: Called) -> bool:
    return (
        _holds(rule.get("apiGroups"), call.group)
        and _holds(rule.get("apiVersions"), "v1")
        and _holds(rule.get("operations"), call.operation)
        and any(_resource_matches(str(pattern), call.resource) for pattern in rule.get("resources") or ())
        and rule.get("scope") in (None, "*", "Namespaced")
    )


def _resource_matches(pattern: str, resource: str) -> bool:
    if pattern in (resource, "*/*"):
        return True
    kind, _, sub = pattern.partition("/")
    wanted_kind, _, wanted_sub = resource.partition("/")
    return (kind in ("*", wanted_kind)) and (sub == wanted_sub or (sub == "*" and bool(wanted_sub)))


def _holds(values: Any, wanted: str) -> bool:  # noqa: ANN401  whatever the document holds
    return isinstance(values, list) and ("*" in values or wanted in values)


def _path(config: Mapping[str, Any]) -> str:
    service = config.get("service")
    if isinstance(service, dict):
        return str(service.get("path") or "/")
    return urlsplit(str(config.get("url") or "")).path


def _dictionaries(values: Any) -> list[dict[str, Any]]:  # noqa: ANN401  whatever the document holds
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _named(calls: Iterable[Called]) -> str:
    texts = [f"{call.operation} {call.resource}" for call in calls]
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
