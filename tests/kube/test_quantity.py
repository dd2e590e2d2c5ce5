"""Quantities: the upstream cases, the arithmetic, and what a hostile manifest may try."""

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.kube import quantity
from webhook.kube.objects import RawQuantity
from webhook.kube.quantity import Quantity, QuantityError

_DATA = Path(__file__).parent.parent / "data" / "quantity"
_STRICT = frozenset({"scanner_accepts_no_digits", "exponent_wraps_int32"})
"""Quirks of the upstream scanner that are errors here."""


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_DATA / name).read_text().splitlines()]


_CASES = _lines("cases.jsonl")
_OPERATIONS = _lines("operations.jsonl")
_ACCEPTED = [case for case in _CASES if case["ok"] and case.get("quirk") not in _STRICT]
_REFUSED = [case for case in _CASES if not case["ok"]]
_REFUSED_HERE = [case for case in _CASES if case["ok"] and case.get("quirk") in _STRICT]
_FORMATS: dict[str, quantity.Format] = {"DecimalSI": "DecimalSI", "BinarySI": "BinarySI"}
"""What is unknown counts as DecimalExponent upstream."""


def _of_value(operand: str | dict[str, str]) -> Quantity:
    """Make a quantity of an operand: text, or an exact value with a format."""
    if isinstance(operand, str):
        return quantity.parse(operand)
    nano = int(Decimal(operand["value"]).scaleb(9))
    return Quantity(nano, _FORMATS.get(operand["format"], "DecimalExponent"))


@pytest.mark.parametrize("case", _ACCEPTED, ids=lambda case: repr(case["in"]))
def test_text_that_kubernetes_accepts_has_its_value_and_prints_canonically(case: dict[str, Any]) -> None:
    parsed = quantity.parse(case["in"])
    assert str(parsed) == case.get("canonical_strict", case["canonical"])
    assert parsed.format == case["format"]
    if case["exact"] is not None:
        assert Decimal(parsed.nano).scaleb(-9) == Decimal(case["exact"])
        assert (parsed.milli(), parsed.value()) == (case["milli"], case["bytes"])


@pytest.mark.parametrize("case", _REFUSED, ids=lambda case: repr(case["in"]))
def test_text_that_kubernetes_refuses_is_refused_for_the_same_reason(case: dict[str, Any]) -> None:
    with pytest.raises(QuantityError) as caught:
        quantity.parse(case["in"])
    assert caught.value.kind == case["error"]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", _REFUSED_HERE, ids=lambda case: repr(case["in"]))
def test_text_that_only_a_lax_scanner_accepts_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(QuantityError) as caught:
        quantity.parse(case["in"])
    assert caught.value.kind == "numeric"


def test_no_case_is_left_out() -> None:
    assert len(_ACCEPTED) + len(_REFUSED) + len(_REFUSED_HERE) == len(_CASES)
    assert {case["op"] for case in _OPERATIONS} == set(_CHECKS)


def _check_arithmetic(case: dict[str, Any], result: Quantity) -> None:
    if "expect_string" in case:
        assert str(result) == case["expect_string"]
    else:
        assert Decimal(result.nano).scaleb(-9) == Decimal(case["expect"])
    if "expect_format" in case:
        assert result.format == case["expect_format"]


def _check_add(case: dict[str, Any]) -> None:
    _check_arithmetic(case, _of_value(case["a"]).add(_of_value(case["b"])))


def _check_sub(case: dict[str, Any]) -> None:
    _check_arithmetic(case, _of_value(case["a"]).sub(_of_value(case["b"])))


def _check_mul(case: dict[str, Any]) -> None:
    _check_arithmetic(case, _of_value(case["a"]).mul(case["b"]))


def _check_neg(case: dict[str, Any]) -> None:
    _check_arithmetic(case, _of_value(case["a"]).neg())


def _check_cmp(case: dict[str, Any]) -> None:
    left, right = quantity.parse(case["a"]), quantity.parse(case["b"])
    assert left.cmp(right) == case["expect"]
    assert right.cmp(left) == -case["expect"]


def _check_cmp_exact(case: dict[str, Any]) -> None:
    if any(-Decimal(case[side]).as_tuple().exponent > 9 for side in "ab"):  # type: ignore[operator]  # finite texts
        # Finer than nano: both are rounded away from zero first, which may make them equal but never turns them round.
        assert quantity.parse(case["a"]).cmp(quantity.parse(case["b"])) in (case["expect"], 0)
    else:
        _check_cmp(case)


def _check_round_up(case: dict[str, Any]) -> None:
    rounded, is_exact = quantity.parse(case["a"]).round_up(case["scale"])
    assert rounded.cmp(quantity.parse(case["expect"])) == 0
    assert is_exact is case["exact"]


def _check_scaled_value(case: dict[str, Any]) -> None:
    given_ = Quantity(int(Decimal(case["value"]).scaleb(case["from_scale"] + 9)), "DecimalSI")
    assert given_.scaled_value(case["to_scale"]) == case["expect"]


def _check_divide(case: dict[str, Any]) -> None:
    given_ = Quantity(case["value"] * 10**9, "DecimalSI")
    assert given_.scaled_value(case["power_of_ten"]) == case["expect"]
    assert given_.round_up(case["power_of_ten"])[1] is case["exact"]


def _check_new(case: dict[str, Any]) -> None:
    scale = {"new": 0, "new_milli": -3}.get(case["op"], case.get("scale", 0))
    value = {"value": str(Decimal(case["value"]).scaleb(scale)), "format": case.get("format", "DecimalSI")}
    assert str(_of_value(value)) == case["expect"]


def _check_mantissa(case: dict[str, Any]) -> None:
    nano = int(Decimal(case["value"]).scaleb(case["scale"] + 9))
    exponent = case["expect_exponent"]
    expected = f"{case['expect']}e{exponent}" if exponent else case["expect"]
    assert str(Quantity(nano, "DecimalExponent")) == expected


def _check_json(case: dict[str, Any]) -> None:
    raw = json.loads(case["json"])
    if not case["ok"]:
        with pytest.raises(QuantityError):
            quantity.of(raw)
    else:
        # A JSON decoder has turned a bare 1e3 into 1000.0, so the value is compared and not the notation.
        assert quantity.of(raw).cmp(quantity.parse(case["canonical"])) == 0


_CHECKS = {
    "add": _check_add,
    "sub": _check_sub,
    "mul": _check_mul,
    "neg": _check_neg,
    "cmp": _check_cmp,
    "cmp_exact": _check_cmp_exact,
    "round_up": _check_round_up,
    "scaled_value": _check_scaled_value,
    "divide_round_away": _check_divide,
    "new": _check_new,
    "new_milli": _check_new,
    "new_scaled": _check_new,
    "format_value": _check_new,
    "canonical_mantissa": _check_mantissa,
    "json": _check_json,
}


@pytest.mark.parametrize("case", _OPERATIONS, ids=lambda case: json.dumps({**case, "source": ""})[:80])
def test_operation_has_the_upstream_result(case: dict[str, Any]) -> None:
    _CHECKS[case["op"]](case)


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
    begin = time.perf_counter()
    with pytest.raises(QuantityError) as caught:
        quantity.parse(text)
    assert time.perf_counter() - begin < 0.1
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


def test_refused_text_is_not_kept_in_the_cache() -> None:
    before = quantity.parse.cache_info().currsize
    with pytest.raises(QuantityError):
        quantity.parse("7" * 200)
    assert quantity.parse.cache_info().currsize == before
    assert all(f.cache_info().maxsize for f in (quantity.parse, quantity.cpu_milli, quantity.memory_bytes))


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
def test_canonical_text_reads_back_as_the_same_value(given_: Quantity) -> None:
    again = quantity.parse(str(given_))
    if given_.format == "BinarySI" and abs(given_.nano) > quantity.MAX_BINARY * 10**9:
        assert abs(again.nano) <= abs(given_.nano)
    else:
        assert again.cmp(given_) == 0
        assert str(again) == str(given_)


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
