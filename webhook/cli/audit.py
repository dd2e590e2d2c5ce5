"""`podgate audit`: what enforcing the policies would do to what already runs."""

import sys
from typing import Any

import click

from webhook.cli import _audit_table, _scanning
from webhook.cli._scanning import with_options


@click.command(
    "audit",
    short_help="Judge what already runs.",
    help="Judge everything that runs, as if it were created again now with every policy enforced, folded into the "
    "workloads that own it. Nothing is changed anywhere.\n\n"
    "Exit status: 0 nothing would be refused, 1 something would be, 2 the flags are wrong or something could not be "
    "judged.",
)
@with_options
@click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "json", "markdown", "sarif", "junit", "html"]),
    default="table",
    show_default=True,
    help="table for people, html for a report in one file, the others for programs.",
)
@click.option("--all", "everything", is_flag=True, help="Table: every workload, not the first of each verdict.")
def COMMAND(  # noqa: N802  the name by which the command line finds it
    output: str,
    everything: bool,
    **flags: Any,  # noqa: ANN401  what `with_options` adds
) -> None:
    report = _scanning.scan("audit", _scanning.Flags.build(**flags))
    if output == "table":
        _audit_table.show(report, None if everything else _audit_table.MOST)
    else:
        _scanning.write(report, output)
    _scanning.print_failures(report)
    if report.has_failures:
        sys.exit(2)
    sys.exit(1 if report.total.refused else 0)
