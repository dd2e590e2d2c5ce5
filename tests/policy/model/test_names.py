"""Globs over names: what they match, and that no name makes them slow."""

import fnmatch
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.policy.model.names import compile_globs

GLOBS = st.text(st.sampled_from("ab*?-"), min_size=1, max_size=12)
NAMES = st.text(st.sampled_from("ab-"), max_size=14)


@settings(max_examples=1_000, deadline=None)
@given(st.lists(GLOBS, max_size=4), NAMES)
def test_a_glob_matches_what_the_shells_match(globs: list[str], name: str) -> None:
    assert compile_globs(globs)(name) is any(fnmatch.fnmatchcase(name, glob) for glob in globs)


@pytest.mark.parametrize(
    ("glob", "name"),
    [
        ("*a" * 30 + "*b", "a" * 63),
        ("*a*a*a*a*a*a*a*b", "a" * 63),
        ("*?" * 30 + "b", "a" * 63),
        ("*a?" * 20 + "*", "ab" * 31),
        ("*a*a*a*b*", "a" * 1_000_000),
    ],
    ids=lambda value: value[:16],
)
def test_no_name_makes_a_glob_slow(glob: str, name: str) -> None:
    matches = compile_globs([glob, "never"])
    started = time.process_time()
    assert matches(name) is fnmatch.fnmatchcase(name, glob)
    # Tried at all places, the first would take longer than anybody lives.
    assert time.process_time() - started < 5


def test_a_line_break_is_no_end_of_a_name() -> None:
    assert not compile_globs(["team-a"])("team-a\n")
    assert compile_globs(["team-*"])("team-\na")
