"""``make conformance``: run all cases against this code and print how many agree.

``--data DIR`` runs files of the same names and kinds from another directory. The exit status is 1 where a row differs
for no reason that is written down in docs/conformance.md, and 2 where there is nothing to run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.conformance._cases import CaseError, CaseFile, Json, Report, rows_of, run, stored_rows
from tests.conformance._files import FILES, REASONS

_MOST = 20
"""Differences that are printed of one file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="make conformance", description="Compare Podgate with Kubernetes, case by case."
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="files of the same names in another directory")
    parser.add_argument("--explain", action="store_true", help="print the rows that differ for a written reason too")
    options = parser.parse_args(arguments)
    try:
        chosen = [(file, rows) for file in FILES if (rows := _rows(file, options.data)) is not None]
    except CaseError as error:
        print(error, file=sys.stderr)
        return 2
    if not chosen:
        names = ", ".join(file.name for file in FILES)
        print(f"{options.data}: holds none of {names}; name the directory that does", file=sys.stderr)
        return 2
    reports = [run(file, rows) for file, rows in chosen]
    _print(reports, with_explained=options.explain)
    return 1 if any(report.unexplained for report in reports) else 0


def _rows(file: CaseFile, directory: Path | None) -> list[Json] | None:
    return stored_rows(file) if directory is None else rows_of(file, directory)


def _print(reports: Sequence[Report], *, with_explained: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    table = Table("cases", box=None, header_style="bold", pad_edge=False)
    for title in ("run", "agreed", "explained", "differed"):
        table.add_column(title, justify="right")
    for report in reports:
        table.add_row(report.name, *_counts(report))
    total = Report(
        "all", sum(each.run for each in reports), tuple(found for each in reports for found in each.differences)
    )
    table.add_section()
    table.add_row("[bold]all[/]", *_counts(total))
    console.print(table)
    for report in reports:
        _print_differences(console, report, with_explained=with_explained)
    used = {found.reason for found in total.differences}
    for name, reason in REASONS:
        if reason.key in used:
            console.print(f"[dim]{reason.key} ({name}): {reason.text}[/]", soft_wrap=True)


def _counts(report: Report) -> tuple[str, str, str, str]:
    differed = len(report.unexplained)
    last = f"[red]{differed}[/]" if differed else "[green]0[/]"
    return str(report.run), str(report.agreed), str(report.explained), last


def _print_differences(console: Console, report: Report, *, with_explained: bool) -> None:
    found = [each for each in report.differences if with_explained or not each.reason]
    for each in found[:_MOST]:
        mark = f"explained by {each.reason}" if each.reason else "differs"
        # Rows hold brackets, which are no markup.
        console.print(f"{report.name}: {each.case} {mark}: {'; '.join(each.texts)}", markup=False, soft_wrap=True)
    if len(found) > _MOST:
        console.print(f"{report.name}: {len(found) - _MOST} more", markup=False)


if __name__ == "__main__":
    raise SystemExit(main())
