"""Money: exact whole micro-units inside, decimal text outside.

A rate is a whole number of micro-units of the currency per hour, so that rates add up exactly whatever the order. What
people read is an amount over a period, rounded to cents; what programs read is a decimal string, never a float.
"""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

MICRO: Final = 10**6
"""Micro-units in one unit of currency."""

_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£"}
_EXACT: Final = Context(prec=80, rounding=ROUND_HALF_UP)
_LARGEST: Final = 10**15


def over_hours(micros: int, hours: int) -> Decimal:
    """Return what a rate of `micros` per hour comes to in `hours`, exactly, in units of the currency."""
    return Decimal(micros * hours).scaleb(-6, _EXACT)


def to_micros(amount: Decimal) -> int:
    """Return an amount in whole micro-units, rounded down.

    A whole number of micro-units is above `amount` exactly where it is above the result, so a comparison with ``>``
    loses nothing.
    """
    numerator, denominator = amount.as_integer_ratio()
    return numerator * MICRO // denominator


def format_money(amount: Decimal, currency: str, *, places: int = 2) -> str:
    """Return an amount as people read it: ``$1,411.20``, ``-€3.00``, ``411.20 CHF``; half a cent is rounded up.

    An amount that is not zero is never shown as zero (``under $0.01``), and one of 10^15 or more is not spelled out.
    """
    sign = "-" if amount < 0 else ""
    numerator, denominator = abs(amount).as_integer_ratio()
    if numerator >= _LARGEST * denominator:
        return f"over {sign}{_with_currency(f'{_LARGEST:,}', currency)}"
    unit = 10**places
    parts = (2 * numerator * unit + denominator) // (2 * denominator)
    if parts == 0 and numerator:
        return f"under {sign}{_with_currency(f'0.{1:0{places}d}', currency)}"
    return sign + _with_currency(f"{parts // unit:,}.{parts % unit:0{places}d}", currency)


def format_apart(amount: Decimal, bound: Decimal, currency: str) -> tuple[str, str]:
    """Return two different amounts with as many places as it takes to tell them apart, at least 2 and at most 6."""
    for places in range(2, 7):
        texts = format_money(amount, currency, places=places), format_money(bound, currency, places=places)
        if texts[0] != texts[1] or amount == bound:
            break
    return texts


def _with_currency(digits: str, currency: str) -> str:
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{digits}" if symbol is not None else f"{digits} {currency}"


def decimal_text(amount: Decimal) -> str:
    """Return the form for programs: plain decimal digits, at least 2 places, at most 6, half rounded up."""
    text = f"{amount.quantize(Decimal('0.000001'), context=_EXACT):f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
