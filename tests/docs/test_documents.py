"""What README and docs name exists: files, headings, commands, flags, variables, policies, modules."""

import gzip
import re
import tomllib
from pathlib import Path

import click
import pytest

from tests.docs import _markdown
from tests.docs._markdown import ROOT
from webhook import assembly, cli, settings
from webhook.admission.ruleset import check_section
from webhook.policy.loading import loader

FILES = _markdown.files()
README = ROOT / "README.md"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
GROUP = cli._podgate
COMMANDS = {name: GROUP.get_command(click.Context(GROUP), name) for name in GROUP.list_commands(click.Context(GROUP))}
TARGETS = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
HELP = {"--help", "-h"}

each_file = pytest.mark.parametrize("file", FILES, ids=_markdown.name)


def flags(command: click.Command | None) -> set[str]:
    assert command is not None
    return {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)} | HELP


def test_the_documents_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/policies.md"} <= set(
        map(_markdown.name, FILES)
    )


@each_file
def test_links_lead_to_files_and_headings_that_exist(file: Path) -> None:
    broken = []
    for link in _markdown.links(file.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        there = target.is_relative_to(ROOT) and target.exists()
        if not there or (fragment and fragment not in _markdown.anchors(target.read_text())):
            broken.append(link)
    assert broken == []


@each_file
def test_commands_that_are_named_exist_with_their_flags(file: Path) -> None:
    unknown = []
    for words in _markdown.commands(file.read_text()):
        if Path(words[0]).name == "make":
            unknown += [f"make {word}" for word in words[1:] if word not in TARGETS]
        elif Path(words[0]).name == "podgate" and len(words) > 1:
            unknown += _unknown_of_podgate(words[1:])
    assert unknown == []


def _unknown_of_podgate(words: list[str]) -> list[str]:
    if words[0].startswith("-"):
        return [f"podgate {words[0]}" for _ in "x" if words[0] not in flags(GROUP)]
    if words[0] not in COMMANDS:
        return [f"podgate {words[0]}"]
    command = COMMANDS[words[0]]
    known = flags(command)
    if isinstance(command, click.Group) and words[1:] and not words[1].startswith("-"):
        if words[1] not in command.commands:
            return [f"podgate {words[0]} {words[1]}"]
        known = flags(command.commands[words[1]])
    given = [word.partition("=")[0] for word in words[1:] if word.startswith("-") and word != "-"]
    return [f"podgate {words[0]} {flag}" for flag in given if flag not in known]


def test_an_invented_command_or_flag_would_be_noticed() -> None:
    assert _unknown_of_podgate(["serv"]) == ["podgate serv"]
    assert _unknown_of_podgate(["review", "-", "-o", "json", "--colour=no"]) == ["podgate review --colour"]
    assert _unknown_of_podgate(["--colour"]) == ["podgate --colour"]
    assert _unknown_of_podgate(["--version"]) == []
    assert _unknown_of_podgate(["prices", "import", "--csv", "p.csv"]) == []
    assert _unknown_of_podgate(["prices", "export"]) == ["podgate prices export"]
    assert _unknown_of_podgate(["prices", "import", "--cluster", "live"]) == ["podgate prices --cluster"]
    assert "make" not in TARGETS
    assert {"run", "test", "check", "docs"} <= TARGETS


def test_every_target_is_phony_and_has_a_help_line() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    assert phony == TARGETS == set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))


@each_file
def test_flags_and_variables_in_the_text_belong_to_a_command(file: Path) -> None:
    groups = [command for command in COMMANDS.values() if isinstance(command, click.Group)]
    inner = [command for group in groups for command in group.commands.values()]
    known = set().union(*map(flags, [*COMMANDS.values(), *inner]))
    spans = _markdown.spans(file.read_text())
    named = {span.split()[0].partition("=")[0] for span in spans if span.startswith("--")}
    variables = {word for span in spans for word in re.findall(r"PODGATE_[A-Z_]+", span)}
    assert named - known == set()
    assert variables - {option.variable for option in settings.OPTIONS} == set()


@each_file
def test_paths_of_the_repository_that_are_named_exist(file: Path) -> None:
    text = file.read_text()
    words = {word for words in _markdown.commands(text) for word in words}
    tops = ("certs/", "docs/", "manifests/", "policies/", "tests/", "webhook/")
    named = {word for word in words if word.startswith(tops) and not re.search(r"[<*{]", word)}
    assert [word for word in sorted(named) if not (ROOT / word).exists()] == []


@each_file
def test_policies_in_documents_load(file: Path) -> None:
    for block in _markdown.blocks(file.read_text()):
        if block.language == "yaml" and "apiVersion: podgate.dev" in block.text and "kind: Case" not in block.text:
            assert loader.load_text(block.text, file.name, check=check_section).documents


def test_the_readme_shows_a_policy() -> None:
    assert any("apiVersion: podgate.dev" in block.text for block in _markdown.blocks(README.read_text()))


def test_the_shipped_policies_load_as_one_set() -> None:
    documents = assembly.load_policies(ROOT / "policies").documents
    assert {document.kind for document in documents} == {"Budget", "GuardrailPolicy", "PolicyException", "PriceList"}


def test_the_edit_that_the_readme_proposes_changes_a_policy() -> None:
    found = re.findall(r"^sed -i 's/([^/]+)/([^/]+)/' (\S+)$", README.read_text(), re.MULTILINE)
    assert found
    for old, new, path in found:
        text = (ROOT / path).read_text()
        assert old in text
        assert loader.load_text(text.replace(old, new), path, check=check_section).documents


def test_the_readme_counts_the_recorded_reviews() -> None:
    with gzip.open(ROOT / "manifests" / "recorded" / "reviews.jsonl.gz") as lines:
        count = sum(1 for _ in lines)
    assert re.findall(r"replays (\d+) AdmissionReviews", README.read_text()) == [str(count)]


# --- the map of the code --------------------------------------------------------------------------------------------


def listed(directory: Path) -> set[str]:
    """Public modules of a package as ``name.py``, and its packages as ``name/``."""
    modules = {entry.name for entry in directory.glob("*.py") if not entry.name.startswith("_")}
    return modules | {f"{entry.parent.name}/" for entry in directory.glob("*/__init__.py")}


def test_the_map_of_the_code_names_exactly_what_is_there() -> None:
    tree = next(block.text for block in _markdown.blocks(ARCHITECTURE) if block.text.startswith("webhook/"))
    assert set(re.findall(r"^  ([a-z_]+(?:/|\.py)) ", tree, re.MULTILINE)) == listed(ROOT / "webhook")
    assert [top for top in re.findall(r"^([a-z]+/)", tree, re.MULTILINE) if not (ROOT / top).is_dir()] == []


def test_the_pipeline_in_the_map_names_modules_that_exist() -> None:
    (pipeline,) = re.findall(r"^ +(request -> .+)$", ARCHITECTURE, re.MULTILINE)
    steps = re.split(r" -> |, ", pipeline)
    assert len(steps) > 5
    assert [step for step in steps if f"{step}.py" not in listed(ROOT / "webhook" / "admission")] == []


def test_modules_in_the_text_of_the_map_exist() -> None:
    packages = {name.rstrip("/") for name in listed(ROOT / "webhook") if name.endswith("/")}
    named = [span for span in _markdown.spans(ARCHITECTURE) if re.fullmatch(r"[a-z]+/[a-z_]+(\.py)?", span)]
    inside = [span.removesuffix(".py") for span in named if span.partition("/")[0] in packages]
    assert inside
    assert [span for span in inside if not (ROOT / "webhook" / f"{span}.py").exists()] == []


def test_the_layers_in_the_map_are_those_that_are_checked() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    # A layer in brackets is one that need not exist.
    layers = [re.sub(r"\([a-z]+\)( \| )?", "", layer) for layer in contract["layers"]]
    assert f"`{' > '.join(layer for layer in layers if layer)}`" in ARCHITECTURE
