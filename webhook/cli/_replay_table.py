"""The table of a replay: what was refused, warned about and changed, why, and what that is worth a month."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from webhook.admission.decision import summary
from webhook.cli import _terminal
from webhook.pricing import money
from webhook.simulate.replay import Replayed

_ORDER: Final = ("refused", "warned", "changed", "would refuse", "would change")
_REASON_LENGTH: Final = 230
_FIX: Final = "; to fix: "


class _Row(NamedTuple):
    verdict: str
    namespace: str
    what: str
    text: str
    gain: Decimal
    """Monthly money saved by a change, or refused with the object."""
    currency: str
    times: int


def show(console: Console, results: Sequence[Replayed], most: int | None) -> None:
    """Print the table and the totals.

    Args:
        console: where to.
        results: of the replay.
        most: rows at most; None for all.
    """
    rows = _folded(results)
    table = Table(title="What Podgate decided", title_justify="left", header_style="bold", expand=console.is_terminal)
    table.add_column("verdict", no_wrap=True)
    table.add_column("namespace", no_wrap=True)
    table.add_column("object", overflow="fold", ratio=2)
    table.add_column("what and why", overflow="fold", ratio=5)
    table.add_column("monthly", justify="right", no_wrap=True)
    shown = rows if most is None else _first_of_each(rows, most)
    for row in shown:
        style = _terminal.STYLES.get(row.verdict, "")
        times = f"  x{row.times}" if row.times > 1 else ""
        table.add_row(
            f"[{style}]{row.verdict}[/]" if style else row.verdict,
            escape(row.namespace),
            escape(row.what + times),
            escape(_shortened(row.text)),
            _money(row),
        )
    console.print(table)
    if len(rows) > len(shown):
        console.print(f"... and {len(rows) - len(shown)} more rows: podgate replay --all", markup=False)
    _totals(console, results)


def _folded(results: Sequence[Replayed]) -> list[_Row]:
    """Fold objects that were treated alike (the pods of one owner) into one row, dearest first within a verdict."""
    folded: dict[tuple[str, str, str, str], _Row] = {}
    for item in results:
        if item.verdict not in _ORDER:
            continue
        text = item.text or summary(item.patch)
        verb = "" if item.operation == "CREATE" else f" {item.operation}"
        what = f"{item.kind} {item.name}{verb}"
        key = (item.verdict, item.namespace, what, text)
        before = folded.get(key)
        gain = _gain(item) + (before.gain if before is not None else 0)
        times = 1 + (before.times if before is not None else 0)
        folded[key] = _Row(item.verdict, item.namespace, what, text, gain, item.currency, times)
    return sorted(folded.values(), key=lambda row: (_ORDER.index(row.verdict), -row.gain, row.namespace, row.what))


def _first_of_each(rows: Sequence[_Row], most: int) -> list[_Row]:
    """Take the first rows of every verdict, so that none hides another."""
    verdicts = [verdict for verdict in _ORDER if any(row.verdict == verdict for row in rows)]
    share = max(1, most // max(1, len(verdicts)))
    return [row for verdict in verdicts for row in [row for row in rows if row.verdict == verdict][:share]]


def _gain(item: Replayed) -> Decimal:
    if item.verdict in ("refused", "would refuse"):
        # An update that is refused leaves a pod, and its cost, as they are.
        return Decimal(item.after or 0) if item.operation == "CREATE" else Decimal(0)
    return Decimal(item.before or 0) - Decimal(item.after or 0)


def _money(row: _Row) -> str:
    if row.gain == 0:
        return ""
    amount = money.format_money(abs(row.gain), row.currency)
    if row.verdict in ("refused", "would refuse"):
        return f"{amount} refused" if row.verdict == "refused" else f"{amount} at stake"
    return f"[green]{amount} saved[/]" if row.gain > 0 else f"{amount} more"


def _shortened(text: str) -> str:
    """Cut a long text so that neither what is wrong nor how to mend it goes missing."""
    message, fix, cure = text.partition(_FIX)
    if not fix:
        return _cut(text, _REASON_LENGTH)
    room = _REASON_LENGTH - len(fix)
    said = _cut(message, max(room // 2, room - len(cure)))
    return f"{said}{fix}{_cut(cure, room - len(said))}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _totals(console: Console, results: Sequence[Replayed]) -> None:
    counts = Counter(item.verdict for item in results)
    words = ", ".join(f"{counts[name]} {name}" for name in (*_ORDER, "passed", "not judged") if counts[name])
    console.print(f"{len(results)} recorded objects: {words}", markup=False)
    currency = next((item.currency for item in results if item.currency), "USD")
    pods = [item for item in results if item.kind == "Pod" and item.operation == "CREATE"]
    saved = [_gain(item) for item in pods if item.verdict in ("changed", "warned") and item.patch]
    refused = [_gain(item) for item in pods if item.verdict == "refused"]
    before = [Decimal(item.before or 0) for item in pods if item.patch]
    console.print(
        f"pods only, a month: {_terminal.total(saved, currency)} saved of {_terminal.total(before, currency)} "
        f"on the pods that were changed, {_terminal.total(refused, currency)} refused",
        style="bold",
        markup=False,
    )
