"""How to comply: what to change, and where it can be changed.

In a new pod, or in the template of a workload, everything can. Of a pod that exists nothing of this can be changed but
what comes with the request: its security context and its containers' are immutable, and ephemeral containers can be
neither changed nor removed. So the cure of a debug container is about that container, and of all else it is to create
the pod anew.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from webhook.guardrails.base.contract import Context, is_creation
from webhook.guardrails.pod_security._check import Violation
from webhook.guardrails.pod_security._text import containers
from webhook.kube.objects import Pod, controller_of


def cure_of(violations: Sequence[Violation], context: Context) -> str:
    """Return how to comply with all of them, each said once, and where: fields are those of a pod."""
    if not is_creation(context):
        return _of_existing(violations, context)
    cures = _joined(violations)
    return f"in the pod template, {cures}" if context.scale is not None or _is_made(context.pod) else cures


def _of_existing(violations: Sequence[Violation], context: Context) -> str:
    present = _debug_containers(context.pod)
    earlier = {name for name, image in _debug_containers(context.old_pod).items() if present.get(name) == image}
    added = present.keys() - earlier
    parts: list[str] = []
    of_added = [each for each in violations if not added.isdisjoint(each.containers)]
    if of_added:
        concerned = list(dict.fromkeys(name for each in of_added for name in each.containers if name in added))
        # A field of the pod would do for a new pod; here the container's own has to.
        cures = _joined(of_added).replace("spec.securityContext.", "securityContext.")
        whose = f"debug {containers(concerned)}"
        parts.append(f"in {whose}, {cures} (kubectl debug --profile=restricted does it)")
    rest = [each for each in violations if not each.containers or not added.issuperset(each.containers)]
    if rest:
        parts.append(_of_rest(rest, added, earlier, context))
    return "; and ".join(parts)


def _of_rest(
    violations: Sequence[Violation], added: AbstractSet[str], earlier: AbstractSet[str], context: Context
) -> str:
    """Return the cure of what was there before the request."""
    names = dict.fromkeys(name for each in violations for name in each.containers if name not in added)
    if names and all(name in earlier for name in names):
        what = f"earlier debug {containers(list(names))} can be neither changed nor removed"
        return f"recreate the pod, whose {what}"
    # Every other cure is about the pod as it was made, and the fields it names cannot be changed while the pod exists.
    where = "in the pod template, " if _is_made(context.pod) else ""
    return f"recreate the pod, as it cannot be changed in place: {where}{_joined(violations)}"


def _joined(violations: Sequence[Violation]) -> str:
    return "; ".join(dict.fromkeys([violation.cure for violation in violations]))


def _is_made(pod: Pod) -> bool:
    """Whether a controller makes the pod, from a template."""
    return controller_of(pod.metadata) is not None


def _debug_containers(pod: Pod | None) -> dict[str, str]:
    """Return the images of the ephemeral containers, by name."""
    spec = pod.spec if pod is not None else None
    return {each.name: each.image or "" for each in (spec.ephemeral_containers or () if spec is not None else ())}
