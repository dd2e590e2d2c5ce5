"""Kubernetes quantities (``500m``, ``1.5Gi``, ``1e3``), read exactly and printed the way Kubernetes prints them.

A quantity is kept as a whole number of 10^-9 parts, so sums, comparisons and prices never meet a float. The grammar and
the rounding are those of ``apimachinery/pkg/api/resource``; where its parser is lax, this one is strict:

* text without a digit (``m``, ``.``, ``-``) is refused, not read as zero;
* exponents beyond three digits and texts beyond 128 characters are refused, so a hostile manifest costs nothing;
* integers are unbounded: nothing wraps around or turns to zero;
* the text that comes out is always canonical, never the text as it was typed (``1.500`` is printed ``1500m``).
"""

import re
from typing import Final, Literal, NamedTuple

from webhook.kube.caches import remembered
from webhook.kube.objects import RawQuantity

Format = Literal["BinarySI", "DecimalSI", "DecimalExponent"]
ErrorKind = Literal["format", "suffix", "numeric"]

MAX_TEXT: Final = 128
"""Longest text that is read, in characters. Kubernetes itself prints at most about 30."""
MAX_EXPONENT: Final = 999
"""Largest exponent, either sign, of the ``1e3`` notation."""
MAX_BINARY: Final = 2**63 - 1
"""Values with a binary suffix are cut to this, as in Kubernetes."""

_NANO: Final = 10**9
_CACHE: Final = 4096
_SHAPE: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[+-]?[0-9]*)", re.ASCII)
_EXPONENT: Final = re.compile(r"[eE]([+-]?[0-9]+)", re.ASCII)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_NAMES: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_NAMES: Final = ("", *_BINARY)


class QuantityError(ValueError):
    """A text that is no quantity. The message is one line and says what to write instead.

    Attributes:
        kind: ``format`` (not a number followed by a suffix), ``suffix`` (unknown suffix) or ``numeric`` (no digits, or
            too large to be meant).
    """

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind


class Quantity(NamedTuple):
    """An exact quantity. Compare with `cmp`: ``==`` looks at the format as well."""

    nano: int
    """The value times 10^9, rounded away from zero where it is finer."""
    format: Format
    """The notation it was written in, and is printed in."""

    def scaled_value(self, scale: int) -> int:
        """Return the value in units of ``10**scale``, rounded away from zero."""
        return _divide(self.nano, 10 ** (9 + scale)) if scale > -9 else self.nano * 10 ** (-9 - scale)

    def milli(self) -> int:
        """Return the value in thousandths (millicores), rounded away from zero."""
        return _divide(self.nano, 1_000_000)

    def value(self) -> int:
        """Return the value in whole units (bytes, cores), rounded away from zero."""
        return _divide(self.nano, _NANO)

    def add(self, other: "Quantity") -> "Quantity":
        """Return the sum, in this quantity's format, or the other's where this one is zero."""
        return Quantity(self.nano + other.nano, self.format if self.nano else other.format)

    def sub(self, other: "Quantity") -> "Quantity":
        """Return the difference, in this quantity's format, or the other's where this one is zero."""
        return Quantity(self.nano - other.nano, self.format if self.nano else other.format)

    def mul(self, factor: int) -> "Quantity":
        """Return the product with a whole number."""
        return Quantity(self.nano * factor, self.format)

    def neg(self) -> "Quantity":
        """Return the quantity with the other sign."""
        return Quantity(-self.nano, self.format)

    def cmp(self, other: "Quantity") -> int:
        """Return -1, 0 or 1; the format does not count."""
        return (self.nano > other.nano) - (self.nano < other.nano)

    def round_up(self, scale: int) -> tuple["Quantity", bool]:
        """Round away from zero to a multiple of ``10**scale``; also say whether it was one already."""
        if scale <= -9:
            return self, True
        unit: int = 10 ** (9 + scale)
        rounded = _divide(self.nano, unit) * unit
        return Quantity(rounded, self.format), rounded == self.nano

    def __str__(self) -> str:
        """Return the canonical text: no fraction, and the largest suffix that leaves a whole mantissa."""
        nano = self.nano
        if nano == 0:
            return "0"
        if self.format == "BinarySI" and abs(nano) >= 1024 * _NANO and nano % _NANO == 0:
            return _binary_text(nano // _NANO)
        return _decimal_text(nano, is_exponent=self.format == "DecimalExponent")


def _divide(number: int, unit: int) -> int:
    """Divide, rounding away from zero."""
    return -(-number // unit) if number >= 0 else number // unit


def _binary_text(whole: int) -> str:
    step = 0
    while step < 6 and whole % 1024 == 0:
        whole //= 1024
        step += 1
    return f"{whole}{_BINARY_NAMES[step]}"


def _decimal_text(nano: int, *, is_exponent: bool) -> str:
    exponent = -9
    while nano % 1000 == 0 and (is_exponent or exponent < 18):
        nano //= 1000
        exponent += 3
    if is_exponent:
        return f"{nano}e{exponent}" if exponent else str(nano)
    return f"{nano}{_DECIMAL_NAMES[exponent]}"


def shown(text: str) -> str:
    """Return a text as it is quoted in messages: one line, ASCII, at most 40 characters of it."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")


@remembered("quantities", _CACHE)
def parse(text: str) -> Quantity:
    """Read a quantity.

    Raises:
        QuantityError: the text is no quantity; white space around it counts as wrong (`of` trims it).
    """
    # Failures are not cached (results are kept, errors are not), and whatever is long fails: the cache stays small.
    if len(text) > MAX_TEXT:
        raise _too_long(text)
    match = _SHAPE.fullmatch(text)
    if match is None or not text:
        raise QuantityError(
            "format", f"{shown(text)} is not a quantity; write a number and a suffix, such as 500m, 2 or 128Mi"
        )
    sign, whole, fraction, suffix = match.group(1), match.group(2), match.group(3) or "", match.group(4)
    style: Format
    if suffix in _DECIMAL:
        exponent, shift, style = _DECIMAL[suffix], 0, "DecimalSI"
    elif suffix in _BINARY:
        exponent, shift, style = 0, _BINARY[suffix], "BinarySI"
    else:
        exponent, shift, style = _exponent(text, suffix), 0, "DecimalExponent"
    if not whole and not fraction:
        raise QuantityError("numeric", f"quantity {shown(text)} has no digits; write a number before the suffix")
    magnitude = _nano(int(whole + fraction), exponent - len(fraction), shift)
    if style == "BinarySI":
        magnitude = min(magnitude, MAX_BINARY * _NANO)
        if 0 < magnitude < _NANO:
            style = "DecimalSI"
    return Quantity(-magnitude if sign == "-" else magnitude, style)


def _too_long(text: str) -> QuantityError:
    return QuantityError("numeric", f"quantity {shown(text)} is longer than {MAX_TEXT} characters; shorten it")


def _exponent(text: str, suffix: str) -> int:
    match = _EXPONENT.fullmatch(suffix)
    if match is None:
        raise QuantityError(
            "suffix",
            f"quantity {shown(text)} has the unknown suffix {shown(suffix)}; use one of n u m k M G T P E"
            " Ki Mi Gi Ti Pi Ei, or an exponent such as e3",
        )
    exponent = int(match.group(1))
    if abs(exponent) > MAX_EXPONENT:
        raise QuantityError("numeric", f"the exponent of quantity {shown(text)} is absurd; use at most {MAX_EXPONENT}")
    return exponent


def _nano(digits: int, exponent: int, shift: int) -> int:
    """Return ``digits * 10**exponent * 2**shift`` in units of 10^-9, rounded up."""
    power = exponent + 9
    scaled = digits << shift
    ten: int = 10 ** abs(power)
    return scaled * ten if power >= 0 else -(-scaled // ten)


def of(raw: RawQuantity | None) -> Quantity:
    """Read a quantity as it stands on the wire: text (white space around it is trimmed), a bare number, or null.

    Raises:
        QuantityError: as `parse`.
    """
    if isinstance(raw, str):
        # Before it is trimmed: the caches keep the text as it came.
        if len(raw) > MAX_TEXT:
            raise _too_long(raw)
        return parse(raw.strip())
    if raw is None:
        return Quantity(0, "DecimalSI")
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise QuantityError("format", f"a quantity cannot be a {type(raw).__name__}; write text such as 500m or 128Mi")
    if isinstance(raw, int) and abs(raw) >= 10**MAX_TEXT:
        # str() of it might be refused by the interpreter, or take long.
        raise QuantityError("numeric", f"a quantity of more than {MAX_TEXT} digits is refused; write a smaller number")
    return parse(str(raw))


@remembered("cpu_quantities", _CACHE)
def cpu_milli(raw: RawQuantity | None) -> int:
    """Return millicores, rounded up (away from zero). Raises QuantityError as `parse`."""
    return of(raw).milli()


@remembered("memory_quantities", _CACHE)
def memory_bytes(raw: RawQuantity | None) -> int:
    """Return bytes, rounded up (away from zero). Raises QuantityError as `parse`."""
    return of(raw).value()


def format_cpu(milli: int) -> str:
    """Return millicores as Kubernetes text: ``1500m``, or ``2`` for whole cores."""
    return f"{milli}m" if milli % 1000 else str(milli // 1000)


def format_memory(bytes_: int) -> str:
    """Return bytes as Kubernetes text: whole ``Gi``, ``Mi`` or ``Ki`` where exact, plain bytes otherwise."""
    if bytes_ == 0:
        return "0"
    for suffix in ("Gi", "Mi", "Ki"):
        if bytes_ % (1 << _BINARY[suffix]) == 0:
            return f"{bytes_ >> _BINARY[suffix]}{suffix}"
    return str(bytes_)
