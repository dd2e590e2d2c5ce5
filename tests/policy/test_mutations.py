"""Whatever is done to a valid document, the loader answers with a set or with lines, never with a stack trace."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.policy.loading import loader, yaml_documents
from webhook.policy.model.names import compile_globs
from webhook.policy.model.policy_set import PolicySet
from webhook.policy.model.problems import PolicyErrors, PolicyProblem

CONTRACT = (Path(__file__).parent.parent / "data" / "policy" / "contract.yaml").read_text()
DOCUMENTS = [document.value for document in yaml_documents.parse(CONTRACT, "contract.yaml").documents]

Place = tuple[Any, str | int]


def places(value: Any) -> list[Place]:  # noqa: ANN401  any YAML value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((value, key), *places(item))]


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**30, 10**40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["off", "none", "^(", "*", "1e999", "-1", "9" * 400, "\ud800", "\x00", "2027-02-30", "a/b/c"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def outcome(load: Callable[[], PolicySet]) -> tuple[int, tuple[PolicyProblem, ...]]:
    """Return how many documents loaded, and what was told instead."""
    try:
        return len(load().documents), ()
    except PolicyErrors as errors:
        return 0, errors.problems


def is_one_sentence_line(problem: PolicyProblem) -> bool:
    text = str(problem)
    return len(text.splitlines()) == 1 and text.endswith((".", "?"))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_changed_value_never_breaks_the_loader(data: st.DataObject) -> None:
    documents = copy.deepcopy(DOCUMENTS)
    for _ in range(data.draw(st.integers(1, 3))):
        parent, key = data.draw(st.sampled_from(places(documents)))
        change = data.draw(st.sampled_from(["replace", "remove", "rename"]))
        if change == "replace" or not isinstance(parent, dict):
            parent[key] = data.draw(values)
        elif key in parent:
            value = parent.pop(key)
            if change == "rename":
                parent[data.draw(st.text(max_size=6))] = value
    loaded, problems = outcome(lambda: loader.load_documents([("document", item) for item in documents]))
    assert loaded == len(documents) or problems
    assert all(map(is_one_sentence_line, problems))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(CONTRACT)), st.integers(0, 40), st.text(max_size=12))
def test_a_changed_text_never_breaks_the_loader(start: int, removed: int, inserted: str) -> None:
    text = CONTRACT[:start] + inserted + CONTRACT[start + removed :]
    _, problems = outcome(lambda: loader.load_text(text, "a.yaml"))
    assert all(1 <= problem.line <= text.count("\n") + 1 for problem in problems)
    assert all(map(is_one_sentence_line, problems))


@given(st.text("ab-", min_size=1, max_size=6), st.data())
def test_a_glob_made_from_a_name_matches_it(name: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(name)))
    end = data.draw(st.integers(start, len(name)))
    assert compile_globs([f"{name[:start]}*{name[end:]}"])(name)
    assert compile_globs(["never", name[:start] + "?" * (end - start) + name[end:]])(name)
    assert not compile_globs([f"{name}?"])(name)
    assert not compile_globs([])(name)
