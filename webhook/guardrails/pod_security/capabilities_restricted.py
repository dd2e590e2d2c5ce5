"""Pod Security check `capabilities_restricted` (restricted, since v1.22; replaces `capabilities_baseline`).

Rule: a container must drop all capabilities, and may add back only the right to bind ports below 1024.
Fields: ``spec.{initContainers,containers,ephemeralContainers}[*].securityContext.capabilities.{drop,add}``.
Allowed: ``drop`` contains ``ALL``, in capitals; ``add`` is empty or ``NET_BIND_SERVICE``. Since v1.25 a pod whose
``spec.os.name`` is windows is exempt.
Example: ``unrestricted capabilities (container "web" must set securityContext.capabilities.drop=["ALL"])``.
Comply: set ``securityContext.capabilities.drop: ["ALL"]`` in every container.
Source: Pod Security Standards, Restricted, "Capabilities".
"""

from webhook.guardrails.pod_security import _text
from webhook.guardrails.pod_security._check import Check, Revision, Violation, silent
from webhook.guardrails.pod_security._visitor import ContainerView, PodView

_ID = "capabilities_restricted"
ALL = "ALL"
_ALLOWED = frozenset({"NET_BIND_SERVICE"})
_SILENT = silent(_ID)


def drops_all(seat: ContainerView) -> bool:
    """Whether a container drops all capabilities."""
    capabilities = seat.context.capabilities
    return capabilities is not None and capabilities.drop is not None and ALL in capabilities.drop


def added_beyond(seat: ContainerView) -> frozenset[str]:
    """Return the capabilities that a container adds and must not."""
    capabilities = seat.context.capabilities
    return frozenset(capabilities.add or ()) - _ALLOWED if capabilities is not None else frozenset()


def capabilities_restricted_1_22(visit: PodView) -> Violation | None:
    """Demand that all capabilities are dropped and none but NET_BIND_SERVICE is added."""
    for seat in visit.seats:
        capabilities = seat.context.capabilities
        if (
            capabilities is None
            or not capabilities.drop
            or ALL not in capabilities.drop
            or (capabilities.add and not _ALLOWED.issuperset(capabilities.add))
        ):
            return _SILENT if visit.is_silent else _violation(visit.seats)
    return None


def _violation(seats: list[ContainerView]) -> Violation:
    missing = [seat for seat in seats if not drops_all(seat)]
    adding = [(seat, added) for seat in seats if (added := added_beyond(seat))]
    details, cures = [], []
    if missing:
        details.append(f'{_text.containers(_text.names(missing))} must set securityContext.capabilities.drop=["ALL"]')
        cures.append('set securityContext.capabilities.drop: ["ALL"]')
    adders = [seat for seat, _ in adding]
    if adding:
        forbidden = _text.quote_list(sorted({item for _, added in adding for item in added}))
        who = _text.containers(_text.names(adders))
        details.append(f"{who} must not include {forbidden} in securityContext.capabilities.add")
        cures.append(f"remove {forbidden} from securityContext.capabilities.add")
    return Violation(
        check=_ID,
        reason="unrestricted capabilities",
        detail="; ".join(details),
        cure=" and ".join(cures),
        paths=_text.paths(missing, "securityContext.capabilities.drop")
        + _text.paths(adders, "securityContext.capabilities.add"),
        containers=_text.names([seat for seat in seats if not drops_all(seat) or added_beyond(seat)]),
    )


def capabilities_restricted_1_25(visit: PodView) -> Violation | None:
    """Exempt Windows pods, which have no Linux capabilities."""
    return None if visit.is_windows else capabilities_restricted_1_22(visit)


CHECK = Check(
    _ID,
    "restricted",
    (Revision(22, capabilities_restricted_1_22), Revision(25, capabilities_restricted_1_25)),
    overrides=("capabilities_baseline",),
)
