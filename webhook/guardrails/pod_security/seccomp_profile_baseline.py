"""Pod Security check `seccompProfile_baseline` (baseline, since v1.0; at level restricted `seccompProfile_restricted`
replaces it from v1.19).

Rule: neither the pod nor a container may switch seccomp off.
Fields: before v1.19 the annotations ``seccomp.security.alpha.kubernetes.io/pod`` and
``container.seccomp.security.alpha.kubernetes.io/<container>`` of containers that exist; since v1.19
``securityContext.seccompProfile.type`` of the pod and of all containers, and the annotations no longer count.
Allowed: annotations absent, ``runtime/default``, ``docker/default`` or ``localhost/<profile>`` (an empty one is
forbidden); no profile, or type ``RuntimeDefault`` or ``Localhost`` (a profile without a type is forbidden).
Example: ``seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")``.
Comply: remove the profile, or set its type to RuntimeDefault.
Source: Pod Security Standards, Baseline, "Seccomp".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "seccompProfile_baseline"
_POD_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
_CONTAINER_ANNOTATION = "container.seccomp.security.alpha.kubernetes.io/"
ALLOWED_TYPES = frozenset({"RuntimeDefault", "Localhost"})
FIELD = "securityContext.seccompProfile.type"


def seccomp_profile_baseline_1_0(visit: PodView) -> Violation | None:
    """Judge the alpha annotations, the only way to choose a profile before v1.19."""
    annotations = visit.annotations
    bad: set[str] = set()
    containers = []
    if annotations:
        if _is_forbidden(annotations.get(_POD_ANNOTATION)):
            bad.add(_POD_ANNOTATION)
        for seat in visit.seats:
            key = _CONTAINER_ANNOTATION + seat.name
            if _is_forbidden(annotations.get(key)):
                bad.add(key)
                containers.append(seat)
    if not bad:
        return None
    noun = _text.plural("annotation", "annotations", len(bad))
    pairs = sorted(f"{key}={_text.go_quote(annotations[key])}" for key in bad)
    return Violation(
        check=_ID,
        reason="seccompProfile",
        detail=f"forbidden {noun} {_text.listed(pairs)}",
        cure="set the seccomp annotations to runtime/default",
        paths=tuple(f"metadata.annotations[{key}]" for key in sorted(bad)),
        containers=_text.names(containers),
    )


def _is_forbidden(value: str | None) -> bool:
    return (
        value is not None and value not in ("runtime/default", "docker/default") and not value.startswith("localhost/")
    )


def seccomp_profile_baseline_1_19(visit: PodView) -> Violation | None:
    """Judge the fields of the pod and of its containers."""
    pod_profile = visit.pod_context.seccomp_profile
    is_pod_bad = pod_profile is not None and pod_profile.type not in ALLOWED_TYPES
    bad = [
        (seat, profile.type or "")
        for seat in visit.seats
        if (profile := seat.context.seccomp_profile) is not None and profile.type not in ALLOWED_TYPES
    ]
    if not (bad or is_pod_bad):
        return None
    types = {kind for _, kind in bad}
    if is_pod_bad and pod_profile is not None:
        types.add(pod_profile.type or "")
    seats = [seat for seat, _ in bad]
    names = _text.names(seats)
    who = _text.setters(is_pod_bad, names)
    return Violation(
        check=_ID,
        reason="seccompProfile",
        detail=f"{who} must not set {FIELD} to {_text.quote_list(sorted(types))}",
        cure=f"set {FIELD} to RuntimeDefault",
        paths=_text.paths(seats, FIELD, f"spec.{FIELD}" if is_pod_bad else ""),
        containers=names,
    )


CHECK = Check(_ID, "baseline", (Revision(0, seccomp_profile_baseline_1_0), Revision(19, seccomp_profile_baseline_1_19)))
