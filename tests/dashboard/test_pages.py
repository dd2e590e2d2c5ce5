# ruff: noqa: ANN401  # values of every kind are spoiled
"""The pages as HTML: complete without a script, in order for readers of all kinds, and closed to what others write."""

import itertools
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.dashboard._scene import BUDGET, HOSTILE, POLICY, Scene, exception
from webhook.dashboard import pages, workloads
from webhook.dashboard.facts import Overview
from webhook.policy.model.problems import PolicyProblem
from webhook.reporting.journal import DecisionOwner, MonthlyMoney
from webhook.reporting.render.style import CSS

NOON = factories.NOON
ROOT = Path(__file__).parents[2]
VOID = {"meta", "link", "img", "br", "input"}
PROBLEM = PolicyProblem("policies/team.yaml", 12, 3, "spec.mode", "is nonsense", "Use audit.")


class Reader(HTMLParser):
    """Reads a page: its elements with their attributes, and whether they are closed as they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a tag."""
        return [attributes for name, attributes in self.elements if name == tag]


def full_scene() -> Scene:
    return Scene(POLICY, BUDGET, exception(), problems=[PROBLEM], notices=["the clock is late"]).busy()


def all_pages(scene: Scene) -> dict[str, str]:
    newest = scene.journal.newest()
    page = workloads.find(workloads.rows(newest), workloads.Query())
    detail = {
        f"workload {owner.name}": pages.workload(owner, workloads.decisions(scene.journal.of(*owner)), NOON)
        for owner, _ in newest
    }
    return {
        "overview": pages.overview(scene.facts()),
        "workloads": pages.workloads(page, NOON),
        "problem": pages.problem("Nothing", "is known", NOON),
        **detail,
    }


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return all_pages(full_scene())


def test_every_fact_is_in_the_page_without_a_script(made: dict[str, str]) -> None:
    words = " ".join(Reader(made["overview"]).words.split())
    for expected in (
        "Ready",
        "the clock is late",
        "policies/team.yaml:12",
        "spec.mode",
        "is nonsense",
        "Use audit.",
        "The last good set serves on. 1 Budget, 1 GuardrailPolicy, 1 PolicyException, 1 PriceList; set 3, loaded",
        "namespaces team-*",
        "$1,000.00",
        "team-alpha/importer",
        "9 days left",
        "serving certificate",
        "bin-packing-scheduler",
        "journal_bytes",
        "nothing is changed" if "audit mode" in words else "Overview",
    ):
        assert expected in words


def test_a_workload_leads_to_its_findings_cures_and_patch(made: dict[str, str]) -> None:
    listed = Reader(made["workloads"])
    assert "/workload?namespace=team-alpha&kind=Pod&name=rogue" in [each.get("href") for each in listed.all("a")]
    words = " ".join(Reader(made["workload rogue"]).words.split())
    assert "above the ceiling of $150.00" in words
    assert "PolicyException team-alpha/importer of payments" in words
    assert "To fix:" in words
    assert '{"op": "add", "path": "/metadata/labels/cost-center", "value": "shared"}' in words


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(made: dict[str, str]) -> None:
    for text in made.values():
        reader = Reader(text)
        assert [each.get("src", "").partition("?")[0] for each in reader.all("script")] == ["/static/dashboard.js"]  # type: ignore[union-attr]
        assert reader.all("style") == []
        for _, attributes in reader.elements:
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
            for name in ("src", "href", "action"):
                assert (attributes.get(name) or "/").startswith(("/", "#"))


def test_landmarks_headings_and_tables_are_in_order(made: dict[str, str]) -> None:
    for text in made.values():
        reader = Reader(text)
        tags = [tag for tag, _ in reader.elements]
        assert (tags.count("main"), tags.count("h1"), tags.count("header"), tags.count("footer")) == (1, 1, 1, 1)
        assert reader.all("html") == [{"lang": "en"}]
        ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        for _, attributes in reader.elements:
            for name in ("aria-labelledby", "aria-describedby"):
                assert set((attributes.get(name) or "").split()) <= set(ids)
        levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
        assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
        assert all(each.get("scope") in ("col", "row") for each in reader.all("th"))
        assert tags.count("caption") == tags.count("table")
        assert all("aria-labelledby" in each for each in reader.all("section"))


def test_every_cell_of_a_row_names_its_column(made: dict[str, str]) -> None:
    # On a phone a row is a card, and the head of the table is not seen.
    for text in made.values():
        for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
            heads = re.findall(r'scope="col"[^>]*>(.*?)</th>', table)
            for row in re.findall(r"<tbody.*?</tbody>", table, re.DOTALL)[0].split("<tr")[1:]:
                named = re.findall(r'data-label="([^"]*)"', row)
                assert named == heads


def spoiled(value: Any, depth: int = 0) -> Any:
    """Return a value in which every text is hostile."""
    if isinstance(value, str):
        return f"{value}{HOSTILE}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(spoiled(each, depth + 1) for each in value))
    if isinstance(value, dict):
        return type(value)({key: spoiled(each, depth + 1) for key, each in value.items()})
    if isinstance(value, list | tuple):
        return type(value)(spoiled(each, depth + 1) for each in value)
    return value


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)
    else:
        assert value is None or isinstance(value, int | datetime | date | Decimal), type(value)


def is_closed(text: str) -> bool:
    """Whether a page has none but its own elements and attributes."""
    reader = Reader(text)
    own = {"img": 1, "script": 1}
    counted = {tag: len(reader.all(tag)) for tag in own}
    return counted == own and not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)


def test_hostile_texts_stay_texts_in_every_field_of_the_overview() -> None:
    facts: Overview = spoiled(full_scene().facts())
    assert sum(HOSTILE in text for text in texts(facts)) > 40
    text = pages.overview(facts)
    assert is_closed(text)
    assert "<img src=x" not in text
    assert Reader(text).words.count(HOSTILE) > 30


def test_hostile_texts_stay_texts_in_the_list_and_in_a_workload() -> None:
    scene = full_scene()
    page = spoiled(workloads.find(workloads.rows(scene.journal.newest()), workloads.Query()))
    text = pages.workloads(page, NOON)
    assert is_closed(text)
    assert HOSTILE in Reader(text).words
    for owner, _ in scene.journal.newest():
        decided = spoiled(workloads.decisions(scene.journal.of(*owner)))
        text = pages.workload(DecisionOwner(HOSTILE, HOSTILE, HOSTILE), decided, NOON)
        assert is_closed(text)
        assert HOSTILE in Reader(text).words
    assert is_closed(pages.problem(HOSTILE, HOSTILE, NOON))


def test_a_page_that_forgot_to_escape_would_be_noticed() -> None:
    text = pages.problem("Nothing", "here", NOON)
    assert is_closed(text)
    assert not is_closed(text.replace("here", HOSTILE.partition("'")[0] + "'yes'\">"))


def test_an_amount_that_is_none_is_shown_as_it_is() -> None:
    scene = full_scene()
    ((owner, _), *_) = scene.journal.newest()
    (first, *_) = workloads.decisions(scene.journal.of(*owner))
    odd = first._replace(explained=first.explained._replace(before="much", after="more", last="yesterday"))
    words = Reader(pages.workload(owner, [odd], NOON)).words
    assert "much USD a month as written" in " ".join(words.split())
    assert "yesterday" in words


def test_an_idle_process_says_so() -> None:
    words = Reader(pages.overview(Scene().facts())).words
    assert "Nothing was decided yet." in words
    assert "Nothing was found yet." in words


def test_every_file_of_the_pages_is_packed() -> None:
    patterns = re.findall(r'"(dashboard/[^"]+)"', (ROOT / "pyproject.toml").read_text())
    package = ROOT / "webhook"
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    directory = package / "dashboard"
    assert packed == {*(directory / "templates").iterdir(), *(directory / "static").iterdir()} != set()


def _luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_both_schemes(scheme: str) -> None:
    light, _, rest = CSS.partition("@media (prefers-color-scheme: dark)")
    block = light if scheme == "light" else rest.partition("* {")[0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    for ink in ("ink", "soft", "saved", "refused", "changed", "warn"):
        for ground in ("ground", "card"):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    # The words on the button.
    assert _contrast(colours["card"], colours["changed"]) >= 4.5


def test_amounts_of_nothing_are_a_dash_with_a_name() -> None:
    scene = Scene().busy()
    scene.journal.money["team-zero"] = MonthlyMoney()
    assert 'aria-label="nothing"' in pages.overview(scene.facts())
