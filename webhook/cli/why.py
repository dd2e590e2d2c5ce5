"""`podgate why`: what was decided about a workload lately, and how it is mended."""

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import httpx
import msgspec

from webhook.cli import _terminal
from webhook.cli._fault import InputError
from webhook.pricing import money
from webhook.reporting import entries, why
from webhook.reporting.why import Explained

_TIMEOUT_SECONDS: Final = 5.0
_STYLES: Final = {"refused": "bold red", "would be refused": "red", "allowed": "green"}
_CALLS: Final = {
    "/mutate": "on the way in",
    "/validate": "verdict",
    "/validate/security": "verdict on security",
    "/validate/cost": "verdict on cost",
}


@click.command(
    "why",
    short_help="Explain the last decisions about a workload.",
    help="Explain the last decisions about KIND/NAME, such as deploy/shop, and about its pods: what was found, what "
    "was changed, and how it is mended. They come from the operations port of a running `podgate serve`, or with --log "
    "from its decision log. In a cluster: kubectl -n podgate port-forward deploy/podgate 8080. Each replica knows its "
    "own decisions.\n\n"
    "Exit status: 0 the last verdict let it in, 1 it refused, 2 nothing is known or the flags are wrong.",
)
@click.argument("workload", metavar="KIND/NAME")
@click.option("--namespace", "-n", default="default", show_default=True, metavar="NS", help="Its namespace.")
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Decision log of `serve` (.jsonl or .jsonl.gz), or - for standard input.",
)
@click.option(
    "--from",
    "address",
    default="http://localhost:8080",
    show_default=True,
    metavar="URL",
    help="Operations port of a running `serve`, on this machine.",
)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
def COMMAND(  # noqa: N802  the name by which the command line finds it
    workload: str, namespace: str, log: Path | None, address: str, output: str
) -> None:
    word, slash, name = workload.partition("/")
    if not slash or not word or not name or "/" in name:
        raise InputError(f"{workload}: is no KIND/NAME; write it as kubectl does, such as deploy/shop")
    kind = why.kind_of(word)
    found = _of_log(log, namespace, kind, name) if log is not None else _of_server(address, namespace, kind, name)
    if not found:
        source = str(log) if log is not None else address
        raise InputError(
            f"{kind} {namespace}/{name}: {source} knows no decision about it; check the namespace (-n), ask every "
            "replica, or give the decision log with --log"
        )
    if output == "json":
        click.echo(json.dumps([_document(each) for each in found], indent=2, ensure_ascii=False))
    else:
        _show(f"{kind} {namespace}/{name}", found)
    verdicts = [each for each in found if each.path != "/mutate"] or found
    sys.exit(1 if verdicts[-1].verdict == "refused" else 0)


def _of_log(log: Path, namespace: str, kind: str, name: str) -> list[Explained]:
    try:
        found, bad = why.of_log(entries.read_file(log), namespace, kind, name)
    except OSError as error:
        raise InputError(f"--log: {log}: {error.strerror or error}; give the file of `serve --log-file`") from None
    if bad:
        click.echo(f"podgate: {log}: {bad} line{'s are' if bad > 1 else ' is'} no decision and left out", err=True)
    return found


class _LogLine(msgspec.Struct):
    times: int
    first: str
    last: str
    entry: entries.LoggedDecision


class _Answer(msgspec.Struct):
    decisions: list[_LogLine]


def _of_server(address: str, namespace: str, kind: str, name: str) -> list[Explained]:
    wanted = {"namespace": namespace, "kind": kind, "name": name}
    cure = "is `podgate serve` running, and is that its --ops-port?"
    try:
        answer = httpx.get(f"{address.rstrip('/')}/journal", params=wanted, timeout=_TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputError(f"--from: {address}: no answer ({error}); {cure}") from None
    if answer.status_code != 200:
        raise InputError(f"--from: {address}: HTTP {answer.status_code}: {answer.text.strip()[:200]}")
    try:
        kept = msgspec.json.decode(answer.content, type=_Answer).decisions
    except msgspec.DecodeError as error:
        raise InputError(f"--from: {address}: the answer is no journal ({error}); {cure}") from None
    return [why.explain(each.entry, each.times, each.first, each.last) for each in kept]


def _show(title: str, found: Sequence[Explained]) -> None:
    out = _terminal.console()
    out.print(title, style="bold", markup=False)
    for each in found:
        style = _STYLES[each.verdict]
        when = each.last if each.times == 1 else f"{each.last}, {each.times} times since {each.first}"
        dry = ", dry run" if each.dry_run else ""
        out.print(f"\n[{style}]{each.verdict}[/]  ", end="")
        out.print(f"{each.what} ({_CALLS.get(each.path, each.path)}{dry}), {when}", markup=False, soft_wrap=True)
        for row in _rows(each):
            out.print(f"    {row}", markup=False, soft_wrap=True)


def _rows(each: Explained) -> list[str]:
    rows = []
    for line in each.lines:
        mark = "✗" if line.refuses else "·"
        rows.append(f"{mark} policy {line.policy}, {line.guardrail}: {line.text}")
        if line.cure:
            rows.append(f"  to fix: {line.cure}")
    if each.changes:
        rows.append(f"✎ set {each.changes}")
    if each.held_back:
        rows.append(f"✎ would set {each.held_back}")
    if each.before and each.after:
        before, after = (money.format_money(Decimal(text), each.currency) for text in (each.before, each.after))
        rows.append(f"$ {after} a month" if before == after else f"$ {before} -> {after} a month")
    rows.append(f"  decision {each.id}, asked by {each.user or 'nobody named'}")
    return rows


def _document(each: Explained) -> dict[str, Any]:
    fields = each._asdict()
    fields["lines"] = [line._asdict() for line in each.lines]
    return fields
