"""Pod Security check `hostPorts` (baseline, since v1.0).

Rule: a container must not take ports of the host.
Fields: ``spec.{initContainers,containers,ephemeralContainers}[*].ports[*].hostPort``.
Allowed: absent or 0. With hostNetwork the API server copies containerPort into hostPort, so such a pod breaks this too.
Example: ``hostPort (container "web" uses hostPorts 80, 8080)``; the ports are sorted as text.
Comply: remove hostPort and expose the port through a Service.
Source: Pod Security Standards, Baseline, "Host Ports".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import ContainerView, PodView

_ID = "hostPorts"


def host_ports_1_0(visit: PodView) -> Violation | None:
    """Forbid host ports."""
    for seat in visit.seats:
        ports = seat.container.ports
        if ports:
            for port in ports:
                if port.host_port:
                    return _violation(visit)
    return None


def _violation(visit: PodView) -> Violation:
    bad: list[ContainerView] = []
    ports: set[str] = set()
    paths: list[str] = []
    for seat in visit.seats:
        found = [(index, port.host_port) for index, port in enumerate(seat.container.ports or ()) if port.host_port]
        if found:
            bad.append(seat)
            ports.update(str(number) for _, number in found)
            paths.extend(f"{seat.path}.ports[{index}].hostPort" for index, _ in found)
    uses = _text.plural("uses", "use", len(bad))
    noun = _text.plural("hostPort", "hostPorts", len(ports))
    names = _text.names(bad)
    return Violation(
        check=_ID,
        reason="hostPort",
        detail=f"{_text.containers(names)} {uses} {noun} {_text.listed(sorted(ports))}",
        cure="remove hostPort and expose the port through a Service",
        paths=tuple(paths),
        containers=names,
    )


CHECK = Check(_ID, "baseline", (Revision(0, host_ports_1_0),))
