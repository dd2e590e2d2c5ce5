"""What a core, a GiB and a GPU cost per hour, as frozen plain numbers.

A book is compiled once per policy load from a price list; pricing a pod then is a few integer multiplications.
"""

from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

PICO: Final = 10**12
"""Pico-units in one unit of currency: the finest price that a price list may state."""


class Rates(NamedTuple):
    """Prices of one capacity type, in whole pico-units of the currency."""

    cpu: int
    """Per core and hour."""
    memory: int
    """Per GiB (2^30 bytes) and hour."""
    gpu: int
    """Per GPU and hour."""


class PriceBook(msgspec.Struct, frozen=True):
    """A compiled price list."""

    currency: str
    """ISO 4217 code: ``USD``."""
    hours_per_month: int
    """Hours that a monthly figure stands for; 730 by convention."""
    on_demand: Rates
    spot: Rates
    assumed_cpu: int
    """Millicores that a container with neither cpu request nor limit is priced with."""
    assumed_memory: int
    """Bytes that a container with neither memory request nor limit is priced with."""


def rates(cpu_core_hour: Decimal, memory_gib_hour: Decimal, gpu_hour: Decimal) -> Rates:
    """Turn decimal prices into whole pico-units.

    Raises:
        ValueError: a price is negative, or finer than 12 decimal places.
    """
    return Rates(_pico(cpu_core_hour), _pico(memory_gib_hour), _pico(gpu_hour))


def _pico(price: Decimal) -> int:
    numerator, denominator = price.as_integer_ratio()
    pico, rest = divmod(numerator * PICO, denominator)
    if rest or pico < 0:
        raise ValueError(f"price {price} cannot be used; give a price that is not negative, with at most 12 decimals")
    return pico
