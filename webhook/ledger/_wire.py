"""A sheet as the status of a custom resource has it.

Money is text with all its decimals, in the currency per hour: exact, and readable to people. The seal is a digest of
all the rest, so that an edit by hand is noticed; it protects from mistakes, not from somebody who means it.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from webhook.ledger.balance import Accrual
from webhook.ledger.sheet import PERIODS, Reservation, Restored, Sheet

_MICROS: Final = 6
CONDITION: Final = "Restored"
"""Type of the condition that tells of a ledger that was made anew; its time is when that was last so."""


class Damaged(ValueError):  # noqa: N818  it is no failure of ours
    """The status is not what any writer has stored; one line."""


class _Reservation(msgspec.Struct, omit_defaults=True):
    rate: str
    at: datetime
    owner: str = ""
    replacement: bool = False
    held: str = ""


class _Spent(msgspec.Struct, rename="camel", omit_defaults=True):
    amount: str
    exact: str
    since: datetime
    until: datetime | None = None


class _Condition(msgspec.Struct, rename="camel"):
    type: str
    status: str
    reason: str
    message: str
    last_transition_time: datetime


class _Status(msgspec.Struct, rename="camel", omit_defaults=True):
    committed: str
    confirmed: str
    replacement: str
    reserved: int
    observed_at: datetime
    spent: dict[str, _Spent]
    reservations: dict[str, _Reservation] = {}
    seal: str = ""
    conditions: list[_Condition] = []


_SEAL: Final = re.compile(rb'"seal":("[0-9a-f]+")')
_DECODER = msgspec.json.Decoder(_Status)
_ENCODER = msgspec.json.Encoder(order="deterministic")


def encode(sheet: Sheet, now: datetime) -> bytes:
    """Return the JSON of a status."""
    status = _Status(
        committed=_text(sheet.committed),
        confirmed=_text(sheet.confirmed),
        replacement=_text(sheet.beside),
        reserved=len(sheet.reservations),
        observed_at=now,
        spent={
            period: _Spent(_text(accrual.spent_micros), str(accrual.spent), accrual.since, accrual.until)
            for period, accrual in sheet.accruals.items()
        },
        reservations={
            key: _Reservation(
                _text(each.rate), each.at, each.owner, each.is_replacement, (each.held and _text(each.held)) or ""
            )
            for key, each in sheet.reservations.items()
        },
    )
    status.seal = _seal(status)
    if sheet.restored is not None:
        told = sheet.restored
        status.conditions = [_Condition(CONDITION, "True", told.reason, told.message, told.at)]
    return _ENCODER.encode(status)


def decode(raw: bytes | msgspec.Raw) -> Sheet:
    """Read a status.

    Raises:
        Damaged: it was edited by hand.
    """
    try:
        status = _DECODER.decode(raw)
        conditions, status.conditions = status.conditions, []
        said, status.seal = status.seal, ""
        if said != _seal(status):
            raise Damaged("its numbers are not those that were written; the status is not to be edited")
        reservations = {key: _reservation(each) for key, each in status.reservations.items()}
        accruals = {period: _accrual(status.spent[period]) for period in PERIODS}
        beside = _micros(status.replacement) - sum(each.added for each in reservations.values() if each.is_replacement)
        sheet = Sheet(_micros(status.confirmed), beside, reservations, accruals, _restored(conditions))
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"the status does not decode: {' '.join(str(error).split())[:200]}") from None
    return sheet


def is_kept(sent: bytes, stored: bytes) -> bool:
    """Whether the API server stored what it was sent, and did not drop fields that its schema does not know."""
    found = _SEAL.search(sent)
    return found is not None and found[1] in stored


def salvage(raw: bytes | msgspec.Raw) -> Mapping[str, Reservation]:
    """Return the reservations of a status that was edited by hand, as far as each of them is one."""
    try:
        entries = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("reservations", msgspec.Raw(b"{}"))
        found = msgspec.json.decode(entries, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return {}
    kept: dict[str, Reservation] = {}
    for key, entry in found.items():
        try:
            kept[key] = _reservation(msgspec.json.decode(entry, type=_Reservation))._replace(held=0)
        except (msgspec.DecodeError, ValueError):
            continue
    return kept


def _seal(status: _Status) -> str:
    return hashlib.blake2b(_ENCODER.encode(status), digest_size=8).hexdigest()


def _text(micros: int) -> str:
    sign, digits = ("-" if micros < 0 else ""), str(abs(micros)).zfill(_MICROS + 1)
    return f"{sign}{digits[:-_MICROS]}.{digits[-_MICROS:]}"


def _micros(text: str) -> int:
    whole, point, decimals = text.partition(".")
    if not point or len(decimals) != _MICROS or not decimals.isascii() or not decimals.isdigit():
        raise ValueError(f"{text!r} is no amount with {_MICROS} decimals")
    return int(whole + decimals)


def _reservation(found: _Reservation) -> Reservation:
    if found.at.tzinfo is None:
        raise ValueError("the time of a reservation has no zone")
    rate, held = _micros(found.rate), _micros(found.held) if found.held else 0
    if rate < 0:
        raise ValueError("a reservation is below zero")
    return Reservation(rate, found.at, found.owner, found.replacement, held)


def _accrual(found: _Spent) -> Accrual:
    if found.since.tzinfo is None:
        raise ValueError("the time of what was spent has no zone")
    return Accrual(found.since, int(found.exact), found.until)


def _restored(conditions: list[_Condition]) -> Restored | None:
    found = next((each for each in conditions if each.type == CONDITION), None)
    return Restored(found.reason, found.message, found.last_transition_time) if found is not None else None
