"""`podgate report`: what runs, what it costs, and what the policies save of it."""

import sys
from pathlib import Path
from typing import Any

import click

from webhook import assembly
from webhook.cli import _audit_table, _scanning
from webhook.cli._fault import InputError
from webhook.cli._scanning import with_options
from webhook.reporting import from_log
from webhook.reporting.report import AuditReport


@click.command(
    "report",
    short_help="Cost and savings, of a cluster or of a decision log.",
    help="Report what runs, what it costs a month, and what the policies save of it: by namespace, cost-center and "
    "department, with the workloads that save most and the state of the budgets. With --log the decisions that were "
    "made are added up instead of what runs.\n\n"
    "Exit status: 0, or 2 where the flags are wrong or something could not be read.",
)
@with_options
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Decision log of `serve` (.jsonl or .jsonl.gz), or - for standard input; needs neither policies nor cluster.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "json", "markdown", "html"]),
    default="table",
    show_default=True,
    help="table for people, html for a report in one file, the others for programs.",
)
@click.option("--all", "everything", is_flag=True, help="Table: every workload.")
def COMMAND(  # noqa: N802  the name by which the command line finds it
    log: Path | None,
    output: str,
    everything: bool,
    **flags: Any,  # noqa: ANN401  what `with_options` adds
) -> None:
    report = _scanning.scan("report", _scanning.Flags.build(**flags)) if log is None else _of_log(log)
    if output == "table":
        _audit_table.show_money(report, None if everything else _audit_table.MOST)
    else:
        _scanning.write(report, output)
    _scanning.print_failures(report)
    if report.has_failures:
        sys.exit(2)


def _of_log(log: Path) -> AuditReport:
    try:
        return from_log.of_file(log, assembly.utc_now())
    except OSError as error:
        raise InputError(f"--log: {log}: {error.strerror or error}; give the file of `serve --log-file`") from None
