"""What a body is about, found without decoding it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from webhook.admission import head as heads
from webhook.admission import request
from webhook.admission.head import Head

REVIEW = factories.review(factories.pod(), operation="UPDATE", name="web-1", subResource="ephemeralcontainers")
REVIEW["request"] |= {
    "dryRun": True,
    "userInfo": {"username": "j\u00e4ne", "uid": "u-1", "groups": ["a", 'b"\\c', "d"]},
}


def whole(review: object, **keywords: Any) -> bytes:  # noqa: ANN401
    return json.dumps(review, **keywords).encode()


def decoded(body: bytes) -> request.OtherRequest:
    """Return the same by the decoder."""
    return request._without_object(request.decode(body))


@pytest.mark.parametrize("order", ["as sent", "objects first"])
@pytest.mark.parametrize("keywords", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}], ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 20])
def test_it_finds_what_the_decoder_finds_in_pieces_of_any_size(size: int, keywords: dict[str, Any], order: str) -> None:
    review = REVIEW
    if order == "objects first":
        review = {
            "request": dict(reversed(REVIEW["request"].items())),
            **{k: REVIEW[k] for k in ("kind", "apiVersion")},
        }
    body = whole(review, **keywords)
    head = Head()

    for start in range(0, len(body), size):
        head.feed(body[start : start + size])

    assert head.is_review
    assert head.request() == decoded(body)
    assert (head.namespace, head.user) == ("team-alpha", "j\u00e4ne")


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(['"uid":"no"', "}}", "\\"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["uid", "request", "kind", "dryRun", '"']) | st.text(max_size=4), inner, max_size=3
            )
        ),
        max_leaves=20,
    ),
    st.lists(st.integers(1, 900), max_size=8),
)
def test_nothing_inside_the_objects_is_taken_for_the_request(inner: Any, cuts: list[int]) -> None:  # noqa: ANN401
    review = {**REVIEW, "request": {"object": {"uid": "no", "request": inner}, **REVIEW["request"], "options": inner}}
    review["request"]["oldObject"] = inner
    body = whole(review)
    head = Head()

    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(body)], strict=True):
        head.feed(body[start:end])

    assert head.is_review
    found = request._ENVELOPE.decode(body).request
    assert found is not None
    assert head.request() == request._without_object(found)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"[" * 100_000, id="brackets"),
        pytest.param(b"}" * 1_000 + b"]" * 1_000 + b",:", id="closing ones"),
        pytest.param(whole({**REVIEW, "kind": "ConversionReview"}), id="another kind"),
        pytest.param(whole({**REVIEW, "apiVersion": "admission.k8s.io/v1beta1"}), id="another version"),
        pytest.param(whole({**REVIEW, "request": {**REVIEW["request"], "uid": ""}}), id="no uid"),
        pytest.param(whole({**REVIEW, "request": {**REVIEW["request"], "uid": 7}}), id="uid is a number"),
        pytest.param(whole({**REVIEW, "request": {**REVIEW["request"], "uid": ["a"]}}), id="uid is a list"),
        pytest.param(whole({**REVIEW, "request": {**REVIEW["request"], "uid": "a" * 9_000}}), id="uid without end"),
        pytest.param(whole([REVIEW]), id="a list of reviews"),
        pytest.param(b'{"x":' + whole(REVIEW) + b"}", id="inside of something"),
        pytest.param(whole(REVIEW).replace(b'"AdmissionReview"', b'"Admission'), id="a string that never ends"),
    ],
)
def test_what_is_no_review_is_none(body: bytes) -> None:
    assert not Head(body).is_review


@pytest.mark.parametrize("uid", ["\\ud800", "\\udfff-1", "\\x"])
def test_a_uid_that_no_answer_can_repeat_is_none(uid: str) -> None:
    review = whole(factories.review(factories.pod(), uid="UID")).replace(b"UID", uid.encode())

    assert not Head(review).is_review
    assert Head(review.replace(uid.encode(), b"u-1")).is_review


def test_it_remembers_no_more_than_it_looks_for() -> None:
    head = Head(b'{"kind":"AdmissionReview","request":{"name":"')
    for _ in range(1_000):
        head.feed(b"n" * 10_000)
    head.feed(b'","object":')
    for _ in range(1_000):
        head.feed(b'{"a":[' * 1_000)

    assert len(head._levels) <= 4
    assert max(len(level.value or b"") for level in head._levels) <= 2 * heads.LONGEST
    assert head.request().name is None


def test_it_gives_up_on_endless_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MOST_BRACKETS", 1_000)
    late = whole({"object": [[]] * 2_000, **REVIEW})
    assert not Head(late).is_review
    assert Head(whole({**REVIEW, "object": [[]] * 2_000})).is_review


def test_a_brief_look_ends_where_enough_is_known() -> None:
    body = whole(REVIEW)
    enough = body.index(b'"object"')

    head = Head(body[:enough], is_brief=True)

    assert head.is_review
    assert (head.namespace, head.user) == ("team-alpha", "j\u00e4ne")
    assert head._left == 0
