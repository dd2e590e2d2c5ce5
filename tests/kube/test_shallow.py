"""What is cut out of a body that is nested too deeply: all of what lies below a level, and nothing else."""

import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.admission import request
from webhook.kube import shallow

TEXTS = st.text(
    st.sampled_from([*'{}[]",:\\/', *string.ascii_letters, "\n", "\u00e9", "\u2028", "\U0001f600"]), max_size=9
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=40,
)


def pruned(value: Any, levels: int) -> Any:  # noqa: ANN401  any JSON
    """Return what is to be left of a value."""
    if isinstance(value, list):
        return [pruned(each, levels - 1) for each in value] if levels else None
    if isinstance(value, dict):
        return {key: pruned(each, levels - 1) for key, each in value.items()} if levels else None
    return value


def written(value: object, spaced: bool, escaped: bool) -> bytes:
    return json.dumps(value, indent=1 if spaced else None, ensure_ascii=escaped).encode()


@settings(max_examples=400)
@given(VALUES, st.integers(0, 5), st.booleans(), st.booleans())
def test_what_lies_below_the_level_is_null_and_the_rest_is_as_it_was(
    value: object, levels: int, spaced: bool, escaped: bool
) -> None:
    body = written(value, spaced, escaped)

    assert json.loads(shallow.cut(body, levels)) == pruned(value, levels)


@settings(max_examples=200)
@given(VALUES, st.booleans(), st.booleans())
def test_a_shallow_body_is_returned_as_it_is(value: object, spaced: bool, escaped: bool) -> None:
    body = written(value, spaced, escaped)

    assert shallow.cut(body) is body


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"a":"' + b"[" * 500 + b'"}', id="brackets in a string"),
        pytest.param(b'{"' + b"{" * 500 + b'":1}', id="brackets in a key"),
        pytest.param(b'{"a":"\\"' + b"[" * 500 + b'"}', id="after an escaped quote"),
        pytest.param(b'{"a":"\\\\","b":"' + b"]" * 500 + b'"}', id="after an escaped backslash"),
        pytest.param(b'{"a":"' + b"\\\\" * 501 + b'\\"[[[["}', id="after many of both"),
    ],
)
def test_brackets_inside_strings_are_no_levels(text: bytes) -> None:
    assert shallow.cut(text, 1) is text
    json.loads(text)


@pytest.mark.parametrize("depth", [100, 972, 1_500, 9_995, 10_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_any_depth_is_cut(depth: int, opening: bytes, closing: bytes) -> None:
    body = b'{"deep":' + opening * depth + b"1" + closing * depth + b',"beside":[1,2]}'

    left = msgspec.json.decode(shallow.cut(body))

    assert left["beside"] == [1, 2]
    assert (shallow.cut(body) is body) is (depth < shallow.LEVELS)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 300,
        b'{"a":' * 300,
        b"[" * 300 + b"]" * 199,
        b"[" * 300 + b'"',
        b'"',
        b'"\\',
        b"]" * 300,
        b"",
        b"\xff" * 9,
    ],
    ids=lambda body: f"{body[:6]!r} {len(body)}",
)
def test_what_is_no_json_stays_none(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        msgspec.json.decode(shallow.cut(body))


def test_a_body_of_endless_brackets_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shallow, "MOST_BRACKETS", 1_000)
    assert shallow.cut(b"[" * 200 + b"]" * 200)
    with pytest.raises(shallow.TooManyBracketsError):
        shallow.cut(b"[]" * 600)


def depth_of(kind: Any, seen: tuple[Any, ...] = ()) -> int:  # noqa: ANN401  a type
    """Return how many objects and arrays lie inside each other in what a type reads."""
    kind = getattr(kind, "type", kind)
    if isinstance(kind, msgspec.inspect.StructType):
        assert kind.cls not in seen, f"{kind.cls} reads itself, to any depth"
        return 1 + max((depth_of(field.type, (*seen, kind.cls)) for field in kind.fields), default=0)
    if isinstance(kind, msgspec.inspect.ListType):
        return 1 + depth_of(kind.item_type, seen)
    if isinstance(kind, msgspec.inspect.DictType):
        return 1 + max(depth_of(kind.key_type, seen), depth_of(kind.value_type, seen))
    if isinstance(kind, msgspec.inspect.UnionType):
        return max(depth_of(each, seen) for each in kind.types)
    return 0


@pytest.mark.parametrize(
    "review", [request._PodReview, request._WorkloadReview, request._ScaleReview, request._Envelope]
)
def test_nothing_that_is_read_lies_as_deep_as_what_is_cut(review: type) -> None:
    # A selector is read as it comes: a LabelSelector, which has three levels of its own.
    assert depth_of(msgspec.inspect.type_info(review)) + 3 < shallow.LEVELS / 4
