"""Pod Security check `seLinuxOptions` (baseline, since v1.0).

Rule: the SELinux type may only be one of the container types, and user and role may not be chosen.
Fields: ``type``, ``user`` and ``role`` of ``securityContext.seLinuxOptions`` of the pod and of all containers.
Allowed: type empty, ``container_t``, ``container_init_t``, ``container_kvm_t``, since v1.31 also
``container_engine_t``; user and role empty. ``level`` is free.
Example: ``seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; role may not be set)``.
Comply: remove user and role, and use an allowed type.
Source: Pod Security Standards, Baseline, "SELinux".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView
from webhook.kube.security_objects import SELinuxOptions

_ID = "seLinuxOptions"
_TYPES_1_0 = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_TYPES_1_31 = _TYPES_1_0 | {"container_engine_t"}


def se_linux_options_1_0(visit: PodView) -> Violation | None:
    """Allow the three container types known from the start."""
    return _judge(visit, _TYPES_1_0)


def se_linux_options_1_31(visit: PodView) -> Violation | None:
    """Allow the type of containers that run containers, too."""
    return _judge(visit, _TYPES_1_31)


def _is_bad(options: SELinuxOptions, types: frozenset[str]) -> bool:
    return bool(options.user or options.role or (options.type or "") not in types)


def _judge(visit: PodView, types: frozenset[str]) -> Violation | None:
    pod_options = visit.pod_context.se_linux_options
    is_pod_bad = pod_options is not None and _is_bad(pod_options, types)
    bad = [
        (seat, options)
        for seat in visit.seats
        if (options := seat.context.se_linux_options) is not None and _is_bad(options, types)
    ]
    if not (bad or is_pod_bad):
        return None
    seats = [seat for seat, _ in bad]
    all_bad = [options for _, options in bad]
    if is_pod_bad and pod_options is not None:
        all_bad.append(pod_options)
    forbidden = sorted({options.type or "" for options in all_bad} - types)
    parts, cures = [], []
    if forbidden:
        parts.append(f"{_text.plural('type', 'types', len(forbidden))} {_text.quote_list(forbidden)}")
        cures.append("use an allowed type such as container_t")
    if any(options.user for options in all_bad):
        parts.append("user may not be set")
        cures.append("remove user")
    if any(options.role for options in all_bad):
        parts.append("role may not be set")
        cures.append("remove role")
    names = _text.names(seats)
    field = "securityContext.seLinuxOptions"
    return Violation(
        check=_ID,
        reason="seLinuxOptions",
        detail=f"{_text.setters(is_pod_bad, names)} set forbidden {field}: {'; '.join(parts)}",
        cure=f"in {field}, {' and '.join(cures)}",
        paths=_text.paths(seats, field, f"spec.{field}" if is_pod_bad else ""),
        containers=names,
    )


CHECK = Check(_ID, "baseline", (Revision(0, se_linux_options_1_0), Revision(31, se_linux_options_1_31)))
