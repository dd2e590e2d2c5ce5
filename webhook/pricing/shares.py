"""Shares of GPUs: pods that ask for a part of a device beside the device itself.

Device plugins that divide GPUs (HAMi, Volcano) take a number of devices and, in resources beside it, the part of each
in per cent: ``nvidia.com/gpu: 2`` with ``nvidia.com/gpucores: 25`` is half a GPU. Cores and memory are two parts of one
device, and the larger one counts, since nobody else can have it. Where a part is given in MiB alone, nobody here knows
how large the device is, and it counts as a whole one. A share without a number of devices is of one device, as those
plugins have it.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

_WHOLE: Final = 1000
"""Thousandths of a device."""


class Family(NamedTuple):
    """The resources of one way to divide devices, by the ends of their names."""

    devices: str
    percent: tuple[str, ...]
    sizes: tuple[str, ...]


FAMILIES: Final = (
    Family("/gpu", ("/gpucores", "/gpumem-percentage"), ("/gpumem",)),
    Family("/vgpu-number", ("/vgpu-cores", "/vgpu-memory-percentage"), ("/vgpu-memory",)),
)

_ENDS: Final = tuple(end for family in FAMILIES for end in (*family.percent, *family.sizes))


def has_shares(names: Mapping[str, int]) -> bool:
    """Whether any resource is a part of a device."""
    return any(name.endswith(_ENDS) for name in names)


def divided(asked: Mapping[str, int], priced: Mapping[str, int]) -> dict[str, int]:
    """Return what a container asks for with parts of devices taken together.

    Args:
        asked: thousandths of units by resource name.
        priced: resources that a price list names; a part that has a price of its own is paid for by that price.

    Returns:
        Devices in thousandths, as they are divided; the parts themselves are gone.
    """
    found = dict(asked)
    for family in FAMILIES:
        ends = (*family.percent, *family.sizes)
        for vendor in sorted({name.rpartition("/")[0] for name in asked if name.endswith(ends)}):
            parts = {end: found.pop(vendor + end, 0) for end in ends if vendor + end not in priced}
            name = vendor + family.devices
            devices = found.get(name) or (_WHOLE if any(parts.values()) else 0)
            if devices:
                found[name] = _part(devices, max(parts.get(end, 0) for end in family.percent))
    return found


def _part(devices: int, percent: int) -> int:
    """Return the part of devices; `percent` in thousandths of a per cent, zero where it is not known."""
    if not 0 < percent < 100 * _WHOLE:
        return devices
    return -(-devices * percent // (100 * _WHOLE))
