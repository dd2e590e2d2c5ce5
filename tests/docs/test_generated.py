"""The generated pages are what the code says of itself today, and say all of it."""

from pathlib import Path

import pytest

from tests.docs import generate
from webhook.admission.ruleset import check_section
from webhook.guardrails.pod_security._registry import REGISTRY
from webhook.policy.loading import loader
from webhook.policy.model import discovery

PAGES = generate.pages()
GUARDRAILS = generate.ROOT / "docs" / "guardrails"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(generate.ROOT)))
def test_a_page_is_up_to_date(page: Path) -> None:
    written = page.read_text() if page.exists() else ""
    assert written == PAGES[page], f"{page.relative_to(generate.ROOT)} is out of date; run `make docs`"


def test_no_page_is_left_of_a_guardrail_that_is_gone() -> None:
    assert set(GUARDRAILS.glob("*")) == {page for page in PAGES if page.parent == GUARDRAILS}


def test_every_section_and_the_budget_have_a_page() -> None:
    attributes = {item.attribute for item in discovery.sections().values()}
    assert {page.stem for page in PAGES if page.parent == GUARDRAILS} == {*attributes, generate.BUDGET}


def test_every_field_of_a_section_stands_in_its_page() -> None:
    for name, item in discovery.sections().items():
        text = PAGES[GUARDRAILS / f"{item.attribute}.md"]
        fields = {model.alias or "" for model in item.model.model_fields.values()}
        assert fields
        assert [field for field in sorted(fields) if f"| `{field}` |" not in text] == [], name


def test_every_kind_and_every_field_of_its_spec_stand_in_the_page_of_policies() -> None:
    text = PAGES[generate.ROOT / "docs" / "policies.md"]
    sections = discovery.sections()
    for kind in discovery.kinds().values():
        part = text.partition(f"\n## {kind.name}\n")[2].partition("\n## ")[0]
        fields = {model.alias or "" for model in kind.spec.model_fields.values()} - set(sections)
        assert fields
        assert [field for field in sorted(fields) if f"| `spec.{field}` |" not in part] == [], kind.name


def test_all_checks_stand_in_the_table_and_have_their_manual() -> None:
    text = PAGES[GUARDRAILS / "pod_security.md"]
    assert REGISTRY.checks
    for name, check in REGISTRY.checks.items():
        since = ", ".join(f"v1.{revision.since_minor}" for revision in check.revisions)
        assert f"| [`{name}`](#{name.lower()}) | {check.level} | {since} | " in text
        manual = text.partition(f"\n### {name}\n")[2].partition("\n#")[0]
        kept = [line.split(":")[0] for line in manual.splitlines() if line.startswith("* ")]
        assert kept == ["* Fields", "* Allowed", "* Example", "* Comply", "* Source"], name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page: Path) -> None:
    rows = [line.replace(r"\|", "") for line in PAGES[page].splitlines() if line.startswith("|")]
    assert rows
    assert {row.count("|") for row in rows} == {5}


@pytest.mark.parametrize("section", discovery.sections())
def test_the_example_of_a_section_configures_it_alone(section: str) -> None:
    example = generate.section_example(section).partition("```yaml\n")[2].removesuffix("```")
    (policy,) = loader.load_text(example, section, check=check_section).policies
    assert list(policy.spec.sections) == [section]


def test_a_docstring_becomes_markdown_in_either_of_its_styles() -> None:
    indented = "name: first ``x``.\n\nRule\n    A rule.\n\n    * item\n      more\n\nSource\n    Here.\n"
    assert generate.manual(indented) == ("First `x`.", "## Rule\n\nA rule.\n\n* item\n  more\n\n## Source\n\nHere.")
    inline = "Name: what it does.\n\nRule: a rule\ngoes on.\nFields: ``a``.\nSource: https://example.com/.\n"
    assert generate.manual(inline) == (
        "What it does.",
        "**Rule.** A rule\ngoes on.\n\n**Fields.** `a`.\n\nSource: https://example.com/.",
    )
