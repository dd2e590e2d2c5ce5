"""Pod Security check `appArmorProfile` (baseline, since v1.0).

Rule: where AppArmor is used, neither the pod nor a container may switch it off.
Fields: ``spec.securityContext.appArmorProfile.type``, the same of all containers, and annotations
``container.apparmor.security.beta.kubernetes.io/<container>``, whether or not that container exists.
Allowed: no profile, or type ``RuntimeDefault`` or ``Localhost`` (a profile without a type is forbidden); annotations
empty, ``runtime/default`` or ``localhost/<profile>``. Fields and annotations are judged at every version.
Example: ``forbidden AppArmor profile (container "web" must not set AppArmor profile type to "Unconfined")``.
Comply: remove the profile, or set its type to RuntimeDefault.
Source: Pod Security Standards, Baseline, "AppArmor".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation
from webhook.guardrails.pod_security._visitor import PodView

_ID = "appArmorProfile"
_ALLOWED_TYPES = frozenset({"RuntimeDefault", "Localhost"})
_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"


def app_armor_profile_1_0(visit: PodView) -> Violation | None:
    """Forbid profiles other than the runtime's and local ones, in fields and in annotations."""
    bad = [
        (seat, profile.type or "")
        for seat in visit.seats
        if (profile := seat.context.app_armor_profile) is not None and profile.type not in _ALLOWED_TYPES
    ]
    pod_profile = visit.pod_context.app_armor_profile
    is_pod_bad = pod_profile is not None and pod_profile.type not in _ALLOWED_TYPES
    annotations = _forbidden_annotations(visit)
    if not (bad or is_pod_bad or annotations):
        return None
    types = {kind for _, kind in bad}
    if is_pod_bad and pod_profile is not None:
        types.add(pod_profile.type or "")
    seats = [seat for seat, _ in bad]
    names = _text.names(seats)
    values = sorted(types) + [f"{key}={_text.go_quote(visit.annotations[key])}" for key in annotations]
    who = _text.setters(is_pod_bad, names, len(annotations))
    field = "securityContext.appArmorProfile.type"
    return Violation(
        check=_ID,
        reason=_text.plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(values)),
        detail=f"{who} must not set AppArmor profile type to {_text.quote_list(values)}",
        cure="remove the AppArmor profile or set it to RuntimeDefault",
        paths=_text.paths(seats, field, f"spec.{field}" if is_pod_bad else "")
        + tuple(f"metadata.annotations[{key}]" for key in annotations),
        containers=names,
    )


def _forbidden_annotations(visit: PodView) -> list[str]:
    """Return the keys of forbidden annotations, sorted; those of exempt containers do not count."""
    forbidden = []
    for key, value in visit.annotations.items():
        if key.startswith(_ANNOTATION) and _is_forbidden(value) and key[len(_ANNOTATION) :] not in visit.exempt:
            forbidden.append(key)
    return sorted(forbidden) if forbidden else forbidden


def _is_forbidden(value: str) -> bool:
    return value not in ("", "runtime/default") and not value.startswith("localhost/")


CHECK = Check(_ID, "baseline", (Revision(0, app_armor_profile_1_0),))
