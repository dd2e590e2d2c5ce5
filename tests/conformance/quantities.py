"""Quantities: text, canonical form, exact value and arithmetic, by the cases of Kubernetes' own tests."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from tests.conformance._cases import CaseFile, Json, Reason, compare
from webhook.kube import quantity
from webhook.kube.quantity import Quantity, QuantityError

_LAX: Final = frozenset({"scanner_accepts_no_digits", "exponent_wraps_int32"})
_FORMATS: Final[dict[str, quantity.Format]] = {"DecimalSI": "DecimalSI", "BinarySI": "BinarySI"}
"""What is unknown counts as DecimalExponent upstream."""


def of_text(row: Json) -> list[str]:
    """Compare a text with its value and canonical form, or with the kind of error."""
    try:
        parsed = quantity.parse(row["in"])
    except QuantityError as error:
        found = compare("error", error.kind, row.get("error") if not row["ok"] else None)
        return found + compare("one line", "\n" in str(error), False)
    if not row["ok"]:
        return [f"accepted as {parsed}, expected an error: {row['error']}"]
    found = compare("canonical", str(parsed), row.get("canonical_strict", row["canonical"]))
    found += compare("format", parsed.format, row["format"])
    if row["exact"] is not None:
        found += compare("exact", Decimal(parsed.nano).scaleb(-9), Decimal(row["exact"]))
        found += compare("milli and bytes", (parsed.milli(), parsed.value()), (row["milli"], row["bytes"]))
    return found


def of_operation(row: Json) -> list[str]:
    """Compare the result of an operation."""
    check = CHECKS.get(row["op"])
    return check(row) if check is not None else [f"no operation {row['op']}"]


def _of_value(operand: str | dict[str, str]) -> Quantity:
    """Make a quantity of an operand: text, or an exact value with a format."""
    if isinstance(operand, str):
        return quantity.parse(operand)
    nano = int(Decimal(operand["value"]).scaleb(9))
    return Quantity(nano, _FORMATS.get(operand["format"], "DecimalExponent"))


def _arithmetic(row: Json, result: Quantity) -> list[str]:
    if "expect_string" in row:
        found = compare("result", str(result), row["expect_string"])
    else:
        found = compare("result", Decimal(result.nano).scaleb(-9), Decimal(row["expect"]))
    return found + compare("format", result.format, row.get("expect_format", result.format))


def _cmp(row: Json) -> list[str]:
    left, right = quantity.parse(row["a"]), quantity.parse(row["b"])
    return compare("order", left.cmp(right), row["expect"]) + compare("turned", right.cmp(left), -row["expect"])


def _round_up(row: Json) -> list[str]:
    rounded, is_exact = quantity.parse(row["a"]).round_up(row["scale"])
    return compare("order", rounded.cmp(quantity.parse(row["expect"])), 0) + compare("exact", is_exact, row["exact"])


def _scaled_value(row: Json) -> list[str]:
    given = Quantity(int(Decimal(row["value"]).scaleb(row["from_scale"] + 9)), "DecimalSI")
    return compare("value", given.scaled_value(row["to_scale"]), row["expect"])


def _divide(row: Json) -> list[str]:
    given = Quantity(row["value"] * 10**9, "DecimalSI")
    found = compare("value", given.scaled_value(row["power_of_ten"]), row["expect"])
    return found + compare("exact", given.round_up(row["power_of_ten"])[1], row["exact"])


def _new(row: Json) -> list[str]:
    scale = {"new": 0, "new_milli": -3}.get(row["op"], int(row.get("scale", 0)))
    value = {"value": str(Decimal(row["value"]).scaleb(scale)), "format": row.get("format", "DecimalSI")}
    return compare("text", str(_of_value(value)), row["expect"])


def _mantissa(row: Json) -> list[str]:
    nano = int(Decimal(row["value"]).scaleb(row["scale"] + 9))
    exponent = row["expect_exponent"]
    expected = f"{row['expect']}e{exponent}" if exponent else row["expect"]
    return compare("text", str(Quantity(nano, "DecimalExponent")), expected)


def _json(row: Json) -> list[str]:
    raw = json.loads(row["json"])
    try:
        found = quantity.of(raw)
    except QuantityError as error:
        return [f"refused: {error}"] if row["ok"] else []
    # A JSON decoder has turned a bare 1e3 into 1000.0, so the value is compared and not the notation.
    if not row["ok"]:
        return [f"accepted as {found}"]
    return compare("order", found.cmp(quantity.parse(row["canonical"])), 0)


CHECKS: Final[Mapping[str, Callable[[Json], list[str]]]] = {
    "add": lambda row: _arithmetic(row, _of_value(row["a"]).add(_of_value(row["b"]))),
    "sub": lambda row: _arithmetic(row, _of_value(row["a"]).sub(_of_value(row["b"]))),
    "mul": lambda row: _arithmetic(row, _of_value(row["a"]).mul(row["b"])),
    "neg": lambda row: _arithmetic(row, _of_value(row["a"]).neg()),
    "cmp": _cmp,
    "cmp_exact": _cmp,
    "round_up": _round_up,
    "scaled_value": _scaled_value,
    "divide_round_away": _divide,
    "new": _new,
    "new_milli": _new,
    "new_scaled": _new,
    "format_value": _new,
    "canonical_mantissa": _mantissa,
    "json": _json,
}


def _is_finer_than_nano(row: Json) -> bool:
    return row["op"] == "cmp_exact" and any(_decimals(row[side]) > 9 for side in "ab")


def _decimals(text: str) -> int:
    exponent = Decimal(text).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


FILES: Final = (
    CaseFile(
        name="quantity_cases.jsonl",
        stored="quantity/cases.jsonl",
        differences=of_text,
        expectation=("ok", "canonical", "canonical_strict", "exact", "error", "format"),
        reasons=(
            Reason(
                "lax-scanner",
                "Go accepts a suffix without digits, and exponents that wrap around 32 bits; both are errors here, as "
                "the grammar has it.",
                lambda row: bool(row["ok"]) and row.get("quirk") in _LAX,
            ),
        ),
    ),
    CaseFile(
        name="quantity_op_cases.jsonl",
        stored="quantity/operations.jsonl",
        differences=of_operation,
        expectation=("expect", "expect_string", "exact", "ok", "expect_exponent", "canonical"),
        reasons=(
            Reason(
                "finer-than-nano",
                "Two amounts that differ by less than a billionth are equal here: what is stored is rounded up to "
                "billionths first, as the API server itself does when it reads them.",
                _is_finer_than_nano,
            ),
        ),
    ),
)
