"""Quantities: the upstream cases, the arithmetic, and what a hostile manifest may try."""

import time
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webhook.kube import caches, quantity
from webhook.kube.objects import RawQuantity
from webhook.kube.quantity import Quantity, QuantityError


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("1e999999", "numeric", id="absurd exponent"),
        pytest.param("1e-999999", "numeric", id="absurd negative exponent"),
        pytest.param("1e" + "9" * 100, "numeric", id="exponent of a hundred digits"),
        pytest.param("9" * 1_000_000, "numeric", id="a megabyte of digits"),
        pytest.param("0." + "0" * 1_000_000 + "1", "numeric", id="a megabyte of decimals"),
        pytest.param("1Ki i", "format", id="blank inside the suffix"),
        pytest.param("1\n", "format", id="line break"),
        pytest.param("\u0661", "format", id="arabic digit"),
        pytest.param("1" + "m" * 100, "suffix", id="long suffix"),
    ],
)
def test_hostile_text_is_refused_at_once_with_a_short_line(text: str, kind: str) -> None:
    # Time of this thread alone: what squares the length takes seconds, and a busy machine adds nothing.
    begin = time.thread_time()
    with pytest.raises(QuantityError) as caught:
        quantity.parse(text)
    assert time.thread_time() - begin < 0.5
    assert caught.value.kind == kind
    assert len(str(caught.value)) < 240
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [10**5000, -(10**5000), float("nan"), float("inf"), True, [], {}, b"1"],
    ids=["huge", "huge negative", "nan", "infinity", "bool", "list", "map", "bytes"],
)
def test_what_is_no_number_on_the_wire_is_refused(raw: object) -> None:
    with pytest.raises(QuantityError):
        quantity.of(raw)  # type: ignore[arg-type]  # the wire is not typed


@pytest.mark.parametrize(
    "read", [quantity.of, quantity.cpu_milli, quantity.memory_bytes], ids=lambda read: read.__name__
)
@pytest.mark.parametrize("text", [" " * 128 + "1", "1" + "\n" * 4_000_000, " " * 2_000_000 + "1Gi" + "\t" * 2_000_000])
def test_white_space_without_end_is_refused_before_any_cache_sees_it(read: Callable[[str], object], text: str) -> None:
    before = caches.sizes()

    with pytest.raises(QuantityError, match="shorten it") as caught:
        read(text)

    assert len(str(caught.value)) < 200
    assert caches.sizes() == before


@pytest.mark.parametrize("text", [" 1", "1 ", "\t1Gi\n", " " * 127 + "1"])
def test_some_white_space_is_trimmed(text: str) -> None:
    assert quantity.of(text) == quantity.of(text.strip())


def test_refused_text_is_not_kept_in_the_cache() -> None:
    before = caches.sizes()["quantities"]
    with pytest.raises(QuantityError):
        quantity.parse("7" * 200)
    assert caches.sizes()["quantities"] == before


@pytest.mark.parametrize(
    ("raw", "milli", "whole"),
    [
        (None, 0, 0),
        ("500m", 500, 1),
        (" 2 ", 2000, 2),
        (2, 2000, 2),
        (0.5, 500, 1),
        (1e22, 10**25, 10**22),
        ("1.0001", 1001, 2),
        ("128Mi", 134217728000, 134217728),
        ("-1.5m", -2, -1),
    ],
)
def test_wire_values_are_read_in_millicores_and_bytes(raw: RawQuantity | None, milli: int, whole: int) -> None:
    assert quantity.cpu_milli(raw) == milli
    assert quantity.memory_bytes(raw) == whole


@pytest.mark.parametrize(
    ("milli", "text"), [(0, "0"), (1, "1m"), (999, "999m"), (1000, "1"), (1500, "1500m"), (64000, "64")]
)
def test_cpu_is_written_in_whole_cores_or_millicores(milli: int, text: str) -> None:
    assert quantity.format_cpu(milli) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (1, "1"), (1024, "1Ki"), (128 << 20, "128Mi"), (3 << 29, "1536Mi"), (2 << 40, "2048Gi"), (1000, "1000")],
)
def test_memory_is_written_in_whole_units_or_bytes(number: int, text: str) -> None:
    assert quantity.format_memory(number) == text


_quantities = st.builds(
    Quantity,
    st.integers(-(2**63) * 10**9, 2**63 * 10**9),
    st.sampled_from(("DecimalSI", "BinarySI", "DecimalExponent")),
)


@settings(max_examples=150, deadline=None)
@given(_quantities)
@example(Quantity(15_625_000 * 10**9, "BinarySI"))
def test_canonical_text_reads_back_as_the_same_value(given_: Quantity) -> None:
    again = quantity.parse(str(given_))
    if given_.format == "BinarySI" and abs(given_.nano) > quantity.MAX_BINARY * 10**9:
        assert abs(again.nano) <= abs(given_.nano)
    else:
        assert again.cmp(given_) == 0
        # A number without a suffix is decimal to its reader, and 15625000 is 15625k then.
        assert str(again) == str(Quantity(given_.nano, again.format))


@settings(max_examples=100, deadline=None)
@given(_quantities, _quantities, st.integers(-9, 12))
def test_sums_are_exact_and_rounding_goes_away_from_zero(a: Quantity, b: Quantity, scale: int) -> None:
    assert a.add(b).sub(b).nano == a.nano
    assert a.add(b).nano == b.add(a).nano
    rounded, is_exact = a.round_up(scale)
    assert abs(rounded.nano) >= abs(a.nano)
    assert rounded.nano % 10 ** (scale + 9) == 0
    assert abs(rounded.nano - a.nano) < 10 ** (scale + 9)
    assert is_exact is (rounded.nano == a.nano)
    assert a.scaled_value(scale) * 10 ** (scale + 9) == rounded.nano


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 2**50))
def test_formatted_numbers_read_back_exactly(milli: int, number: int) -> None:
    assert quantity.cpu_milli(quantity.format_cpu(milli)) == milli
    assert quantity.memory_bytes(quantity.format_memory(number)) == number


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789.+-eEkKMGTPinum ", max_size=14))
def test_any_text_is_a_quantity_or_a_one_line_error(text: str) -> None:
    try:
        parsed = quantity.parse(text)
    except QuantityError as error:
        assert "\n" not in str(error)  # noqa: PT017  either branch is fine, both are checked
    else:
        assert quantity.parse(str(parsed)).cmp(parsed) == 0
