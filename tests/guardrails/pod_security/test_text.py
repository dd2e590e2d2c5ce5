"""Wording primitives: quoting, plurals, and who is named."""

import pytest

from webhook.guardrails.pod_security import _text


@pytest.mark.parametrize(
    ("items", "expected"),
    [([], ""), ([""], '""'), (["a"], '"a"'), (["b", "a", "a"], '"b", "a", "a"'), (['a"b\\'], '"a"b\\"')],
)
def test_lists_are_quoted_without_escapes(items: list[str], expected: str) -> None:
    assert _text.quote_list(items) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", '"plain"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("\x00\x1f\x7f", '"\\x00\\x1f\\x7f"'),
        ("\x80\u2028\u00a0", '"\\u0080\\u2028\\u00a0"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("ünï✓日本", '"ünï✓日本"'),
    ],
)
def test_annotation_values_are_quoted_like_go_literals(text: str, expected: str) -> None:
    assert _text.go_quote(text) == expected


@pytest.mark.parametrize(
    ("is_pod", "names", "annotations", "expected"),
    [
        (True, [], 0, "pod"),
        (False, ["a"], 0, 'container "a"'),
        (True, ["a", "b"], 1, 'pod and containers "a", "b" and annotation'),
        (False, [], 2, "annotations"),
    ],
)
def test_setters_are_named_pod_first(is_pod: bool, names: list[str], annotations: int, expected: str) -> None:
    assert _text.setters(is_pod, names, annotations) == expected
