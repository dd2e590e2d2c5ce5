"""All cases agree with Kubernetes but for the reasons that docs/conformance.md gives, and a wrong answer is noticed."""

import json
import re
from pathlib import Path

import pytest

from tests.conformance import __main__ as command
from tests.conformance._cases import CaseFile, Json, Report, read_lines, run, spoiled, stored_rows
from tests.conformance._files import FILES, REASONS

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
FEWEST = {
    "psa_fixtures_dedup.jsonl": 262,
    "psa_edge.jsonl": 171,
    "psa_admission_edge.jsonl": 73,
    "psa_truth.jsonl.gz": 1_089,
    "vpa_cases.jsonl": 189,
    "quantity_cases.jsonl": 410,
    "quantity_op_cases.jsonl": 145,
    "quota_usage.jsonl": 263,
    "pod_resources.jsonl.gz": 277,
    "quota_usage.jsonl.gz": 194,
    "limit_ranger.jsonl.gz": 194,
    "pod_validation.jsonl.gz": 110,
    "pod_admission.jsonl.gz": 90,
}


@pytest.fixture(params=FILES, ids=[file.name for file in FILES], scope="module")
def file(request: pytest.FixtureRequest) -> CaseFile:
    """Return each file in turn."""
    found: CaseFile = request.param
    return found


@pytest.fixture(scope="module")
def report(file: CaseFile) -> Report:
    """Return what came of the file."""
    return run(file, stored_rows(file))


def test_no_case_differs_without_a_reason(report: Report) -> None:
    assert report.unexplained == ()
    assert report.agreed + report.explained == report.run


def test_no_case_is_left_out(report: Report) -> None:
    assert report.run >= FEWEST[report.name]


def test_every_reason_is_needed(file: CaseFile, report: Report) -> None:
    assert {found.reason for found in report.differences} == {reason.key for reason in file.reasons}


def test_no_case_agrees_with_a_wrong_expectation(file: CaseFile) -> None:
    rows = [row for row in stored_rows(file) if not run(file, [row]).differences]
    assert rows
    blind = [row for row in rows if not run(file, [spoiled(file, row)]).differences]
    assert blind == []


def test_a_row_that_cannot_be_run_differs_and_the_others_are_run(file: CaseFile) -> None:
    rows = [{"id": "broken"}, *stored_rows(file)[:3]]
    broken = run(file._replace(reasons=()), rows)
    assert broken.run == 4
    assert broken.differences[0].case == "broken (line 1)"


def test_the_document_lists_these_reasons_and_no_others() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| `([a-z_.]+)` \| (.+) \|$", text, re.MULTILINE)
    assert sorted(rows) == sorted((reason.key, name, reason.text) for name, reason in REASONS)


def test_the_document_has_the_figures_of_the_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| .+ \| ([0-9,]+) \| ([0-9,]+) \| ([0-9,]+) \|$", text, re.MULTILINE)
    found = {name: tuple(int(number.replace(",", "")) for number in numbers) for name, *numbers in rows}
    reports = (run(each, stored_rows(each)) for each in FILES)
    assert found == {each.name: (each.run, each.agreed, each.explained) for each in reports}


# --- the command ----------------------------------------------------------------------------------------------------


def write(directory: Path, name: str, *rows: Json) -> None:
    """Write a file of cases."""
    (directory / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


WRONG = {"in": "1", "ok": True, "canonical": "2", "format": "DecimalSI", "exact": None}


def test_the_command_prints_a_line_for_each_file_and_leaves_in_peace(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    out = capsys.readouterr().out
    for name, count in FEWEST.items():
        assert re.search(rf"^{re.escape(name)} +{count} +[0-9]+ +[0-9]+ +0 *$", out, re.MULTILINE)
    assert "differs:" not in out


def test_the_command_says_what_differs_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "quantity_cases.jsonl", WRONG, {**WRONG, "canonical": "1"})
    assert command.main(["--data", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "quantity_cases.jsonl: 1 (line 1) differs: canonical: '1', expected '2'" in out
    assert "psa_edge" not in out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("unknown.jsonl", "{}", "holds none of"),
        ("quantity_cases.jsonl", "{}\nno json", "quantity_cases.jsonl:2: is no JSON"),
        ("psa_truth.jsonl", "{}", "reviews.jsonl.gz is not beside it"),
    ],
)
def test_the_command_says_in_one_line_what_it_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert command.main(["--data", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_verdicts_of_an_api_server_are_read_beside_the_reviews_that_they_are_about(tmp_path: Path) -> None:
    file = next(each for each in FILES if each.read is not None)
    bare = {"containers": [{"name": "c", "securityContext": {"privileged": True}}]}
    debugged = {"containers": [], "ephemeralContainers": bare["containers"]}
    text = 'violates PodSecurity "baseline:latest": privileged (container "c" must not set '
    refusal = f'pods "p" is forbidden: {text}securityContext.privileged=true)'
    objects = [
        {"kind": "Pod", "spec": bare},
        {"kind": "Deployment", "spec": {"template": {"spec": bare}}},
        {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": bare}}}}},
        {"kind": "Pod", "spec": debugged},
        {"kind": "Pod", "spec": {}},
    ]
    write(tmp_path, "reviews.jsonl", *({"request": {"object": each}} for each in objects))
    verdict = {"level": "baseline", "allowed": False, "message": refusal}
    write(
        tmp_path,
        "psa_truth.jsonl",
        *({**verdict, "line": line} for line in (1, 2, 3, 4)),
        {"line": 5, "level": "baseline", "allowed": None, "message": None},
    )
    assert file.read is not None
    rows = file.read(tmp_path / "psa_truth.jsonl")
    assert len(rows) == 4
    assert run(file, rows).unexplained == ()
    assert len(read_lines(tmp_path / "reviews.jsonl")) == 5
