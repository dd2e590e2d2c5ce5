"""Price books: prices are exact, whatever their decimals."""

from decimal import Decimal

import pytest

from webhook.pricing import book


def test_prices_become_whole_pico_units() -> None:
    made = book.rates(Decimal("0.031611"), Decimal("0.000000000001"), Decimal("2"))
    assert made == book.Rates(cpu=31_611_000_000, memory=1, gpu=2 * book.PICO)


@pytest.mark.parametrize("price", ["-1", "0.0000000000001"])
def test_a_price_that_is_negative_or_too_fine_is_refused(price: str) -> None:
    with pytest.raises(ValueError, match="give a price that is not negative"):
        book.rates(Decimal(price), Decimal(0), Decimal(0))
