"""Amounts of resources as people read them; whatever a pod says stays short and on one line."""

from collections.abc import Iterable, Sequence
from typing import Final

from webhook.kube.quantity import format_memory
from webhook.pricing.book import is_measured_in_bytes

PRINTABLE: Final = 10**15
_NAME: Final = 80
"""Characters of a name. The API server takes no resource of a longer one than 317."""
_MOST: Final = 16


def size(bytes_: int) -> str:
    """Return a size in whole MiB or GiB: ``8Gi``."""
    rounded = bytes_ if bytes_ % (1 << 30) == 0 else -(-bytes_ >> 20) << 20
    return format_memory(rounded) if rounded < PRINTABLE << 10 else "over 900Ti"


def amount(name: str, units: int) -> str:
    """Return an amount of a resource: ``2 nvidia.com/mig-1g.5gb``, ``5Gi ephemeral-storage``."""
    if is_measured_in_bytes(name):
        return f"{size(units)} {short(name)}"
    return f"{units if units < PRINTABLE else 'over 10^15'} {short(name)}"


def gpus(whole: int, thousandths: int) -> str:
    """Return a number of GPUs: ``2 GPUs``, ``0.25 GPU``."""
    if whole >= PRINTABLE:
        return "over 10^15 GPUs"
    number = f"{whole}.{thousandths:03d}".rstrip("0") if thousandths else str(whole)
    return f"{number} GPU{'' if (whole, thousandths) <= (1, 0) else 's'}"


def amounts(found: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Return amounts, sorted as they are given; of very many the first, and how many there are beside them."""
    told = tuple(amount(name, units) for name, units in found[:_MOST])
    return told if len(found) <= _MOST else (*told, f"{len(found) - _MOST} more resources")


def short(name: str) -> str:
    """Return a name, cut where it is too long to be one."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 3]}..."


def listed(items: Iterable[str]) -> str:
    """Return items as a sentence has them: ``a, b and c``."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
