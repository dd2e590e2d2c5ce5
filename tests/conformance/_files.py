"""All files of cases, in the order in which they are printed."""

from typing import Final

from tests.conformance import devices, limits, pod_security, quantities, resources, sizes, vpa
from tests.conformance._cases import CaseFile, Reason

FILES: Final[tuple[CaseFile, ...]] = (
    *pod_security.FILES,
    *vpa.FILES,
    *quantities.FILES,
    *resources.FILES,
    *limits.FILES,
    *sizes.FILES,
    *devices.FILES,
)

REASONS: Final[tuple[tuple[str, Reason], ...]] = tuple((file.name, reason) for file in FILES for reason in file.reasons)
"""Every reason, with the file that it is about."""
