"""What is wrong with policy files: one line each, saying where, what, and how to mend it."""

import re
from collections.abc import Iterable
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Steps from the root of a document: field names and list indexes."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_UNPRINTABLE = re.compile(r"[^ -~\u00a0-\u2027\u202f-\ud7ff\ue000-\uffef\U00010000-\U0010ffff]+")
_SHOWN_LENGTH = 60


class PolicyProblem(NamedTuple):
    """One error of one policy document; its text is one line."""

    file: str
    """The file, or whatever else the document came from."""
    line: int
    """From 1; 0 where there is none, as for a directory or a custom resource."""
    column: int
    """From 1; 0 where there is none."""
    path: str
    """Field path such as ``spec.match.namespaces[0]``; empty for the document or the file as a whole."""
    message: str
    """What is wrong, without a full stop."""
    cure: str
    """A sentence that says what to do, or empty."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = ": ".join(part for part in (place, self.path, self.message) if part)
        return one_line(f"{text}. {self.cure}" if self.cure else f"{text}.")


class PolicyErrors(Exception):  # noqa: N818  it carries several
    """All that is wrong with a set of policy documents; its text has one line for each problem.

    Attributes:
        problems: at least one, ordered by file and line; the same problems always stand in the same order.
    """

    def __init__(self, problems: Iterable[PolicyProblem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def one_line(text: str) -> str:
    """Replace line breaks and control characters, so that the text stays on one line of a log."""
    return _UNPRINTABLE.sub(" ", text)


def render_path(path: Path) -> str:
    """Write a path as in the documentation: ``spec.costLabels.required[0].key``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{one_line(step[:_SHOWN_LENGTH])}"]'
    return text


def shown(value: object) -> str:
    """Name a value of the YAML in a message: a scalar as it is, anything else by its kind."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    try:
        text = str(value)
    except ValueError:  # An integer of thousands of digits has no text by default.
        return "a huge number"
    return f"`{text[:_SHOWN_LENGTH]}…`" if len(text) > _SHOWN_LENGTH else f"`{text}`"


def split_cure(text: str) -> tuple[str, str]:
    """Split ``what is wrong; what to do`` into a message and a sentence; without a semicolon there is no cure."""
    message, _, cure = text.strip().rstrip(".").partition("; ")
    return message, f"{cure[0].upper()}{cure[1:]}." if cure else ""
