"""Pod Security check `hostProbesAndHostLifecycle` (baseline, since v1.34).

Rule: a probe or lifecycle handler must not name a host, because the kubelet would send the request from the node.
Fields: ``host`` of ``httpGet`` and ``tcpSocket`` in ``livenessProbe``, ``readinessProbe``, ``startupProbe``,
``lifecycle.postStart`` and ``lifecycle.preStop`` of all containers.
Allowed: absent or empty; even localhost is forbidden. HTTP headers, grpc and exec are free.
Example: ``probe or lifecycle host (container "web" uses probe or lifecycle host "10.0.0.1")``; names are sorted and
said once.
Comply: remove host, so that the pod's own address is used; send a Host header through ``httpHeaders``.
Source: Pod Security Standards, Baseline, "Host Probes / Lifecycle Hooks".
"""

from collections.abc import Iterator

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView
from webhook.kube.objects import Container
from webhook.kube.security_objects import ProbeHandler

_ID = "hostProbesAndHostLifecycle"


def host_probes_and_host_lifecycle_1_34(visit: PodView) -> Violation | None:
    """Forbid hosts in probes and lifecycle handlers."""
    for seat in visit.seats:
        container = seat.container
        if (
            _has_host(container.liveness_probe)
            or _has_host(container.readiness_probe)
            or _has_host(container.startup_probe)
            or (container.lifecycle is not None and next(_hosts(container), None) is not None)
        ):
            return _violation(visit)
    return None


def _has_host(handler: ProbeHandler | None) -> bool:
    if handler is None:
        return False
    get, socket = handler.http_get, handler.tcp_socket
    return bool((get is not None and get.host) or (socket is not None and socket.host))


def _hosts(container: Container) -> Iterator[tuple[str, str]]:
    """Yield (field, host) for every action of a container that names a host."""
    lifecycle = container.lifecycle
    handlers = (
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
        ("lifecycle.postStart", lifecycle.post_start if lifecycle is not None else None),
        ("lifecycle.preStop", lifecycle.pre_stop if lifecycle is not None else None),
    )
    for field, handler in handlers:
        if handler is not None:
            for name, action in (("httpGet", handler.http_get), ("tcpSocket", handler.tcp_socket)):
                if action is not None and action.host:
                    yield f"{field}.{name}.host", action.host


def _violation(visit: PodView) -> Violation:
    found = [(seat, field, host) for seat in visit.seats for field, host in _hosts(seat.container)]
    names = tuple(sorted({seat.name for seat, _, _ in found}))
    hosts = sorted({host for _, _, host in found})
    uses = _text.plural("uses", "use", len(names))
    noun = _text.plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    return Violation(
        check=_ID,
        reason="probe or lifecycle host",
        detail=f"{_text.containers(names)} {uses} {noun} {_text.quote_list(hosts)}",
        cure="remove host from probes and lifecycle handlers",
        paths=tuple(f"{seat.path}.{field}" for seat, field, _ in found),
        containers=names,
    )


CHECK = Check(_ID, "baseline", (Revision(34, host_probes_and_host_lifecycle_1_34),))
