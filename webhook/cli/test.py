"""`podgate test`: runs case files, the unit tests of policies."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import click
from rich.table import Table

from webhook import assembly
from webhook.cli import _terminal
from webhook.cli._fault import InputError
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyErrors
from webhook.simulate.cases import coverage, reading
from webhook.simulate.cases.running import CaseError, Result, Runner
from webhook.simulate.formats.junit import case_element, clean, suite_element

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_FAILED = 1
_WRONG_INPUT = 2


class _Ran(NamedTuple):
    results: list[Result]
    problems: list[str]
    """One line each: files and cases that could not be run."""
    rows: list[coverage.CoverageRow]

    @property
    def uncovered(self) -> list[coverage.CoverageRow]:
        return [row for row in self.rows if not row.is_covered]


@click.command(
    "test",
    short_help="Run case files: policies, objects, and what is expected of them.",
    help="Run the case files at PATH, a file or a directory; the format is in docs/testing-policies.md.\n\n"
    "Exit status: 0 all cases pass, 1 some do not, 2 the files or the flags are wrong.",
)
@click.argument("path", type=click.Path(path_type=Path), default=".", metavar="[PATH]")
@click.option(
    "--policies",
    type=_DIRECTORY,
    metavar="DIR",
    help="Count the coverage of the policies of this directory; without it, of all policies that cases load.",
)
@click.option(
    "--require-coverage", is_flag=True, help="Exit with 1 where a policy's guardrail has no passing or failing case."
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "junit", "json"]),
    default="text",
    show_default=True,
    help="text for people, junit for build servers, json for programs.",
)
def COMMAND(path: Path, policies: Path | None, require_coverage: bool, output: str) -> None:  # noqa: N802
    ran = _run(path, policies)
    _OUTPUTS[output](ran)
    for problem in ran.problems:
        click.echo(f"podgate: {problem}", err=True)
    if ran.problems:
        sys.exit(_WRONG_INPUT)
    failed = any(result.differences for result in ran.results)
    sys.exit(_FAILED if failed or (require_coverage and ran.uncovered) else 0)


def _run(path: Path, policies: Path | None) -> _Ran:
    found = reading.find(path)
    problems = [str(problem) for problem in found.problems]
    loaded: list[PolicySet] = []
    if policies is not None:
        try:
            loaded.append(assembly.load_policies(policies))
        except PolicyErrors as error:
            raise InputError("\n".join(str(problem) for problem in error.problems)) from None
    runner = Runner()
    results: list[Result] = []
    for file in _terminal.progress(found.files, "Testing"):
        try:
            world = runner.world(file)
        except CaseError as error:
            problems += str(error).splitlines()
            continue
        if policies is None:
            loaded.append(world.policies)
        results += runner.run(file, world)
    return _Ran(results, problems, coverage.coverage(loaded, results))


def _text(ran: _Ran) -> None:
    out = _terminal.console()
    failed = [result for result in ran.results if result.differences]
    for result in failed:
        out.print(f"[bold red]✗ failed[/] {_place(result)}  ", end="")
        out.print(f"{result.file.name}: {result.name}", markup=False, soft_wrap=True)
        for line in result.differences:
            out.print(f"    {line}", markup=False, soft_wrap=True)
    if out.is_terminal and ran.rows:
        out.print(_table(ran.rows))
    for row in ran.uncovered:
        out.print(
            f"· not covered: policy {row.policy}, {row.guardrail} ({row.mode}) has no {row.lacks} case",
            markup=False,
            soft_wrap=True,
        )
    if ran.rows:
        out.print(f"coverage: {len(ran.rows) - len(ran.uncovered)} of {len(ran.rows)} guardrails of policies")
    passed = len(ran.results) - len(failed)
    style = "bold red" if failed else "bold green"
    out.print(f"{len(ran.results)} cases: {passed} passed, {len(failed)} failed", style=style, markup=False)


def _table(rows: Sequence[coverage.CoverageRow]) -> Table:
    table = Table(title="Coverage of policies", title_justify="left", header_style="bold")
    for name in ("policy", "guardrail", "mode"):
        table.add_column(name, no_wrap=True)
    for name in ("passing", "failing"):
        table.add_column(name, justify="right")
    for row in rows:
        counts = [str(count) if count else "[red]0[/]" for count in (row.passing, row.failing)]
        table.add_row(row.policy, row.guardrail, row.mode, *counts)
    return table


def _place(result: Result) -> str:
    return f"{result.file.path}:{result.line}"


def _json(ran: _Ran) -> None:
    cases = [
        {
            "file": str(result.file.path),
            "line": result.line,
            "suite": result.file.name,
            "name": result.name,
            "passed": not result.differences,
            "verdict": result.verdict,
            "differences": list(result.differences),
        }
        for result in ran.results
    ]
    rows = [{**row._asdict(), "covered": row.is_covered} for row in ran.rows]
    click.echo(json.dumps({"cases": cases, "coverage": rows, "problems": ran.problems}, indent=2, ensure_ascii=False))


def _junit(ran: _Ran) -> None:
    when = assembly.utc_now().strftime("%Y-%m-%dT%H:%M:%S")
    root = ET.Element("testsuites")
    suites: dict[tuple[str, str], list[Result]] = {}
    for result in ran.results:
        suites.setdefault((str(result.file.path), result.file.name), []).append(result)
    for number, ((path, name), results) in enumerate(suites.items()):
        failures = sum(1 for result in results if result.differences)
        suite = suite_element(
            number, f"{path}: {name}", "podgate test", when, tests=len(results), failures=failures, errors=0
        )
        ET.SubElement(suite, "properties")
        for result in results:
            case = case_element(result.name, path)
            if result.differences:
                told = {"message": clean(result.differences[0]), "type": "difference"}
                ET.SubElement(case, "failure", told).text = clean("\n".join((_place(result), *result.differences)))
            suite.append(case)
        ET.SubElement(suite, "system-out")
        ET.SubElement(suite, "system-err")
        root.append(suite)
    if ran.problems:
        root.append(_problems(len(suites), ran.problems, when))
    ET.indent(root)
    click.echo(f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}')


def _problems(number: int, problems: Sequence[str], when: str) -> ET.Element:
    suite = suite_element(
        number, "unusable files", "podgate test", when, tests=len(problems), failures=0, errors=len(problems)
    )
    ET.SubElement(suite, "properties")
    for problem in problems:
        case = case_element(problem.partition(": ")[0], "podgate test")
        ET.SubElement(case, "error", {"message": clean(problem), "type": "unusable"})
        suite.append(case)
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err").text = clean("\n".join(problems))
    return suite


_OUTPUTS = {"text": _text, "json": _json, "junit": _junit}
