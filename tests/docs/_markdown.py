"""What the tests look for in documents: files, code blocks, code spans, headings, links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    text: str


def files() -> list[Path]:
    """All Markdown files of the repository, those of hidden directories left out."""
    tops = [entry for entry in ROOT.iterdir() if not entry.name.startswith(".")]
    found = [entry for entry in tops if entry.suffix == ".md"]
    for top in tops:
        if top.is_dir() and top.name not in ("build", "dist"):
            found += top.rglob("*.md")
    return sorted(found)


def name(path: Path) -> str:
    """The path as tests are named by it."""
    return str(path.relative_to(ROOT))


def blocks(text: str) -> list[Block]:
    """Fenced code blocks."""
    return [Block(language, body) for language, body in _FENCE.findall(text)]


def prose(text: str) -> str:
    """The text without its code blocks."""
    return _FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """Inline code, line breaks read as blanks."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> list[str]:
    """Targets of all links outside of code."""
    return re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`]*`", "", prose(text)))


def anchors(text: str) -> set[str]:
    """What the headings of a document can be linked by."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[list[str]]:
    """Words of every command in console blocks and code spans; a pipe parts commands."""
    lines = [
        line
        for block in blocks(text)
        if block.language in ("console", "sh", "bash")
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    for line in (*lines, *spans(text)):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            # A code span need not be a command, and an apostrophe in it is no quote then.
            continue
        command: list[str] = []
        for word in (*words, "|"):
            if word not in ("|", "&&", ">"):
                command.append(word)
            elif command:
                yield command
                command = []
