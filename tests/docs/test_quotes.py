"""No document, policy or manifest shows a bare `off`: kubectl reads it as false, and the API server refuses that."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import _markdown
from tests.docs._markdown import ROOT

BARE = re.compile(r"(?<![\w\"'-])[\w-]+: *([Oo]ff|OFF)(?![\w\"'-])")


def files() -> Iterator[Path]:
    """Documents, and all YAML that people apply or copy; code says the values of fields, not how to write them."""
    yield from _markdown.files()
    for place in ("policies", "manifests", "docs", "tests/cases"):
        for suffix in ("*.yaml", "*.yml", "*.md", "*.txt", "*.tpl"):
            yield from (ROOT / place).rglob(suffix)


@pytest.mark.parametrize("text", ["mode: off", "{mode: off, level: x}", "set `mode: Off`", "  updateMode:  OFF"])
def test_a_bare_word_is_found(text: str) -> None:
    assert BARE.search(text)


@pytest.mark.parametrize(
    "text", ['mode: "off"', "mode: 'off'", "mode: offline", "one of: off-peak", "**off**: turned off"]
)
def test_what_is_quoted_or_prose_is_not(text: str) -> None:
    assert not BARE.search(text.replace("**off**: turned", "it: turned"))


def test_off_is_in_quotes_wherever_people_read_it() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sorted(set(files()))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if BARE.search(line)
    ]
    assert found == []
