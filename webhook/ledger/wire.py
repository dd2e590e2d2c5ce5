"""A sheet as the status of a custom resource has it.

Money is text with all its decimals, in the currency per hour: exact, and readable to people. The seal is a digest of
all the rest, so that an edit by hand is noticed; it protects from mistakes, not from somebody who means it.

Lists are texts of one line an entry. An API server judges each value of a structured list by the schema, several times
a write, and reviews wait for that; a text is one value, and ``kubectl get -o yaml`` shows it line by line:

    reservations   <UID of the pod> <rate> <when it was admitted> [owner=<UID>@<namespace>] [replacement]
                   [held=<part confirmed>]
                   share:<replica> <rate> <when it was written>
    spent.days     <day, UTC> <amount, rounded up> <amount in millionths times microseconds per hour, exact>
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from webhook.ledger.balance import Spending, whole_micros
from webhook.ledger.ledger_state import EscrowShare, LedgerState, Reservation, Restored

_MICROS: Final = 6
CONDITION: Final = "Restored"
"""Type of the condition that tells of a ledger that was made anew; its time is when that was last so."""


class Damaged(ValueError):  # noqa: N818  it is no failure of ours
    """The status is not what any writer has stored; one line."""


class _Spent(msgspec.Struct, rename="camel"):
    until: datetime
    days: str


class _Condition(msgspec.Struct, rename="camel"):
    type: str
    status: str
    reason: str
    message: str
    last_transition_time: datetime


class _Salvaged(msgspec.Struct):
    reservations: str = ""


class _LedgerStatus(msgspec.Struct, rename="camel", omit_defaults=True):
    committed: str
    confirmed: str
    replacement: str
    reserved: int
    observed_at: datetime
    spent: _Spent
    reservations: str = ""
    seal: str = ""
    conditions: list[_Condition] = []


_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_OWNER: Final = "owner="
_REPLACEMENT: Final = "replacement"
_HELD: Final = "held="
_SHARE: Final = "share:"
"""A share has the form of a reservation, so that replicas of an older version count it as what it is."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/-]+")
_SEAL: Final = re.compile(rb'"seal":("[0-9a-f]+")')
_DECODER = msgspec.json.Decoder(_LedgerStatus)
_ENCODER = msgspec.json.Encoder(order="deterministic")


def encode(sheet: LedgerState, now: datetime) -> bytes:
    """Return the JSON of a status."""
    status = _LedgerStatus(
        committed=_text(sheet.committed),
        confirmed=_text(sheet.confirmed),
        replacement=_text(sheet.beside),
        reserved=len(sheet.reservations),
        observed_at=now,
        spent=_Spent(sheet.spending.since, _days(sheet.spending)),
        reservations="".join(_line(key, each) for key, each in _lines(sheet)),
    )
    status.seal = _seal(status)
    if sheet.restored is not None:
        told = sheet.restored
        status.conditions = [_Condition(CONDITION, "True", told.reason, told.message, told.at)]
    return _ENCODER.encode(status)


def decode(raw: bytes | msgspec.Raw) -> LedgerState:
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
        reservations, shares = _entries(map(_reservation, status.reservations.splitlines()))
        beside = _micros(status.replacement) - sum(each.added for each in reservations.values() if each.is_replacement)
        spending = _spending(status.spent)
        sheet = LedgerState(_micros(status.confirmed), beside, reservations, spending, _restored(conditions), shares)
    except (msgspec.DecodeError, ValueError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"the status does not decode: {' '.join(str(error).split())[:200]}") from None
    return sheet


def is_kept(sent: bytes, stored: bytes) -> bool:
    """Whether the API server stored what it was sent, and did not drop fields that its schema does not know."""
    found = _SEAL.search(sent)
    return found is not None and found[1] in stored


def salvage(raw: bytes | msgspec.Raw) -> tuple[dict[str, Reservation], dict[str, EscrowShare]]:
    """Return reservations and shares of a status that was edited by hand, as far as each of them is one."""
    try:
        text = msgspec.json.decode(raw, type=_Salvaged).reservations
    except ValueError:  # It is no JSON, or no text at all.
        return {}, {}
    kept: list[tuple[str, Reservation]] = []
    for line in text.splitlines():
        try:
            key, found = _reservation(line)
        except ValueError:
            continue
        kept.append((key, found._replace(held=0)))
    return _entries(kept)


def _lines(sheet: LedgerState) -> Iterator[tuple[str, Reservation]]:
    yield from sheet.reservations.items()
    for holder, each in sheet.shares.items():
        yield _SHARE + holder, Reservation(each.rate, each.at)


def _entries(found: Iterable[tuple[str, Reservation]]) -> tuple[dict[str, Reservation], dict[str, EscrowShare]]:
    reservations: dict[str, Reservation] = {}
    shares: dict[str, EscrowShare] = {}
    for key, each in found:
        if key.startswith(_SHARE):
            shares[key.removeprefix(_SHARE)] = EscrowShare(each.rate, each.at)
        else:
            reservations[key] = each
    return reservations, shares


def _seal(status: _LedgerStatus) -> str:
    return hashlib.blake2b(_ENCODER.encode(status), digest_size=8).hexdigest()


def _text(micros: int) -> str:
    sign, digits = ("-" if micros < 0 else ""), str(abs(micros)).zfill(_MICROS + 1)
    return f"{sign}{digits[:-_MICROS]}.{digits[-_MICROS:]}"


def _micros(text: str) -> int:
    whole, point, decimals = text.partition(".")
    if not point or len(decimals) != _MICROS or not decimals.isascii() or not decimals.isdigit():
        raise ValueError(f"{text!r} is no amount with {_MICROS} decimals")
    return int(whole + decimals)


def _line(key: str, each: Reservation) -> str:
    parts = [_word(key), _text(each.rate), each.at.astimezone(UTC).strftime(_TIME)]
    if each.owner or each.namespace:
        place = f"@{_word(each.namespace)}" if each.namespace else ""
        parts.append(_OWNER + _word(each.owner) + place)
    if each.is_replacement:
        parts.append(_REPLACEMENT)
    if each.held:
        parts.append(_HELD + _text(each.held))
    return " ".join(parts) + "\n"


def _reservation(line: str) -> tuple[str, Reservation]:
    key, amount, moment, *more = line.split(" ")
    rate, at = _micros(amount), _moment(moment)
    owner, is_replacement, held, namespace = "", False, 0, ""
    for part in more:
        if part.startswith(_OWNER):
            owner, _, namespace = map(unquote, part.removeprefix(_OWNER).partition("@"))
        elif part == _REPLACEMENT:
            is_replacement = True
        elif part.startswith(_HELD):
            held = _micros(part.removeprefix(_HELD))
        else:
            raise ValueError(f"{part[:40]!r} says nothing about a reservation")
    if rate < 0 or held < 0:
        raise ValueError("a reservation is below zero")
    return unquote(key), Reservation(rate, at, owner, is_replacement, held, namespace)


def _word(text: str) -> str:
    """Return a UID; what is none, as anybody can send it by hand, never looks like more than one word of a line."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("the time of a reservation has no zone")
    return found


def _days(spending: Spending) -> str:
    days = (*spending.days, (spending.since.date(), spending.today))
    return "".join(f"{day} {_text(whole_micros(spent))} {spent}\n" for day, spent in days)


def _spending(found: _Spent) -> Spending:
    days: list[tuple[date, int]] = []
    for line in found.days.splitlines():
        day, _, exact = line.split(" ")
        days.append((date.fromisoformat(day), int(exact)))
    if found.until.tzinfo is None or not days or days[-1][0] != found.until.date():
        raise ValueError("what was spent does not end on the day up to which it is counted")
    return Spending(found.until, days[-1][1], tuple(days[:-1]))


def _restored(conditions: list[_Condition]) -> Restored | None:
    found = next((each for each in conditions if each.type == CONDITION), None)
    return Restored(found.reason, found.message, found.last_transition_time) if found is not None else None
