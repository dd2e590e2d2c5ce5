"""Money: exact amounts, readable text."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.pricing import money


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("411.2", "USD", "$411.20"),
        ("0", "USD", "$0.00"),
        ("1234567.891", "USD", "$1,234,567.89"),
        ("0.005", "USD", "$0.01"),
        ("0.015", "USD", "$0.02"),
        ("0.004", "USD", "under $0.01"),
        ("-0.004", "USD", "under -$0.01"),
        ("-1234.5", "EUR", "-€1,234.50"),
        ("9.999", "GBP", "£10.00"),
        ("411.2", "CHF", "411.20 CHF"),
        ("1e20", "USD", "over $1,000,000,000,000,000"),
    ],
)
def test_money_is_shown_with_symbol_separators_and_cents(amount: str, currency: str, text: str) -> None:
    assert money.format_money(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("amount", "bound", "texts"),
    [
        ("412.3", "300", ("$412.30", "$300.00")),
        ("300.004", "300", ("$300.004", "$300.000")),
        ("300.00000001", "300", ("$300.000000", "$300.000000")),
        ("300", "300", ("$300.00", "$300.00")),
    ],
)
def test_an_amount_just_above_a_bound_is_shown_with_enough_places(
    amount: str, bound: str, texts: tuple[str, str]
) -> None:
    assert money.format_apart(Decimal(amount), Decimal(bound), "USD") == texts


@pytest.mark.parametrize(
    ("amount", "text"), [("411.2", "411.20"), ("0", "0.00"), ("0.0316115", "0.031612"), ("1e3", "1000.00")]
)
def test_programs_get_plain_decimal_digits(amount: str, text: str) -> None:
    assert money.decimal_text(Decimal(amount)) == text


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**63), st.integers(1, 744))
def test_a_rate_over_hours_is_exact(micros: int, hours: int) -> None:
    assert int(money.over_hours(micros, hours).scaleb(6)) == micros * hours


@settings(max_examples=100, deadline=None)
@given(st.decimals(0, 10**9, places=9), st.integers(0, 10**15))
def test_rounding_a_bound_down_to_micros_changes_no_comparison(bound: Decimal, micros: int) -> None:
    assert (micros > money.to_micros(bound)) == (Decimal(micros).scaleb(-6) > bound)
