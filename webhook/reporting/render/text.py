"""How numbers of a report are said."""

from decimal import Decimal

from webhook.pricing import money


def amount(micros: int) -> Decimal:
    """Return micro-units as units of the currency."""
    return money.over_hours(micros, 1)


def format_money(micros: int, currency: str) -> str:
    """Return an amount as people read it."""
    return money.format_money(amount(micros), currency)


def exact(micros: int) -> str:
    """Return an amount as programs read it: a decimal string."""
    return money.decimal_text(amount(micros))


def times(count: int, one: str, many: str = "") -> str:
    """Return a count with its word: ``1 pod``, ``2 pods``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
