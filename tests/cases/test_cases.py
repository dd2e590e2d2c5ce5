"""Runs the case files of the shipped policies, each case a test, and asks that every guardrail of them is covered."""

import functools
from pathlib import Path

import pytest

from webhook import assembly
from webhook.policy.model import discovery
from webhook.simulate.cases import coverage, reading
from webhook.simulate.cases.running import Result, Runner

HERE = Path(__file__).parent
POLICIES = HERE.parents[1] / "policies"
FOUND = reading.find(HERE)
RUNNER = Runner()


@functools.cache
def results(path: Path) -> tuple[Result, ...]:
    """Run all cases of one file."""
    files = [file for file in FOUND.files if file.path == path]
    return tuple(result for file in files for result in RUNNER.run(file, RUNNER.world(file)))


CASES = [
    pytest.param(file.path, file.name, case.name, id=f"{file.path.parent.name}: {case.name} ({file.name})")
    for file in FOUND.files
    for case in file.spec.cases
]


def test_every_case_file_can_be_read() -> None:
    assert FOUND.problems == []
    assert len(CASES) > 80


@pytest.mark.parametrize(("path", "suite", "name"), CASES)
def test_the_case_comes_out_as_expected(path: Path, suite: str, name: str) -> None:
    (result,) = [item for item in results(path) if (item.file.name, item.name) == (suite, name)]
    assert result.differences == ()


def test_every_guardrail_of_every_shipped_policy_has_a_passing_and_a_failing_case() -> None:
    ran = [result for path in {file.path for file in FOUND.files} for result in results(path)]
    rows = coverage.coverage([assembly.load_policies(POLICIES)], ran)
    assert len(rows) > 30
    assert [row for row in rows if not row.is_covered] == []


def test_cases_lie_in_the_directory_of_a_guardrail() -> None:
    names = {item.attribute for item in discovery.sections().values()} | {"budget"}
    assert {file.path.parent.name for file in FOUND.files} == names | {"exceptions"}
