"""Files and documents that are refused before their spec matters, each with the exact line that says so."""

import pytest

from tests.policy._documents import BUDGET, EXCEPTION, HEAD, POLICY, lines

FILE_FAULTS = {
    "a tab": (
        f"{POLICY}\tspot: {{}}\n",
        "a.yaml:7: a tab indents this line, which YAML does not allow. Indent with spaces.",
    ),
    "an unclosed bracket": (
        POLICY + "  match: {namespaces: [a}\n",
        (
            "a.yaml:7: is not valid YAML: did not find expected ',' or ']' while parsing a flow sequence. "
            "Check the indentation, and that each quote and bracket is closed."
        ),
    ),
    "a colon in plain text": (
        POLICY + "  priority: a: b\n",
        (
            "a.yaml:7: is not valid YAML: mapping values are not allowed in this context. "
            "Put text with a colon in quotes, and check the indentation."
        ),
    ),
    "an alias": (
        POLICY.replace("enforce", "&mode enforce") + "  spot: {mode: *mode}\n",
        "a.yaml:7: alias `*mode` is not supported. Write the value out in full.",
    ),
    "a tag": (POLICY + "  priority: !!int 1\n", "a.yaml:7: tag `!!int` is not supported. Write the plain value."),
    "a control character": (
        POLICY + "  spot: \x01\n",
        "a.yaml:7: a character here is not allowed in YAML. Remove it.",
    ),
    "a key given twice": (
        POLICY + "  priority: 1\n  priority: 2\n",
        "a.yaml:8: spec.priority: is given twice, first on line 7. Remove one of them.",
    ),
    "a key that is a number": (
        POLICY + "  match: {podSelector: {matchLabels: {1: a}}}\n",
        'a.yaml:7: spec.match.podSelector.matchLabels["1"]: the key is no text. Write it in quotes: "1".',
    ),
    "a key that is a list": (
        POLICY + "  [a]: b\n",
        'a.yaml:7: a key is a list or a mapping. Keys are text; quote braces: "{...}".',
    ),
    "an octal number": (
        POLICY + "  priority: 010\n",
        (
            "a.yaml:7: spec.priority: `010` is an octal number to some readers and a decimal one to others. "
            'Write it without the leading zero, or as text: "010".'
        ),
    ),
    "an infinite number": (
        POLICY + "  priority: .inf\n",
        "a.yaml:7: spec.priority: must be a finite number. Write a number.",
    ),
    "a number beyond all bounds": (
        POLICY + f"  priority: {'9' * 5000}\n",
        "a.yaml:7: spec.priority: is too large a number. Write a smaller one.",
    ),
    "nesting without end": (
        POLICY + "  match: " + "[" * 5000,
        "a.yaml:7: nested deeper than 32 levels. No policy needs that; flatten it.",
    ),
    "a document that begins without a separator": (
        POLICY + "...\na: 1\n",
        (
            "a.yaml:8: is not valid YAML: did not find expected <document start>. "
            "Put `---` between documents, and begin no line with `%`."
        ),
    ),
    "a list": (
        "- a\n",
        "a.yaml:1: the document must be a mapping, not a list. Begin with `apiVersion: podgate.dev/v1alpha1`.",
    ),
    "text": (
        "\nhello\n",
        "a.yaml:2: the document must be a mapping, not `hello`. Begin with `apiVersion: podgate.dev/v1alpha1`.",
    ),
    "another kind of object": (
        "apiVersion: v1\nkind: ConfigMap\n",
        (
            "a.yaml:2: kind: `ConfigMap` is no kind of policy. "
            "Only Budget, GuardrailPolicy, PolicyException, PriceList belong here; move it to another directory."
        ),
    ),
    "a misspelt kind": (
        BUDGET.replace("kind: Budget", "kind: Budgett"),
        "a.yaml:2: kind: `Budgett` is no kind of policy. Did you mean `Budget`?",
    ),
    "no kind": (
        HEAD + "spec: {}\n",
        "a.yaml:1: kind: is required. Write one of Budget, GuardrailPolicy, PolicyException, PriceList.",
    ),
    "neither kind nor version": (
        "spec: {}\n",
        "a.yaml:1: the document has no apiVersion and no kind. Begin with `apiVersion: podgate.dev/v1alpha1`.",
    ),
    "another version": (
        POLICY.replace("v1alpha1", "v1"),
        (
            "a.yaml:1: apiVersion: must be podgate.dev/v1alpha1, not `podgate.dev/v1`. "
            "Write `apiVersion: podgate.dev/v1alpha1`."
        ),
    ),
    "an unknown field at the top": (
        POLICY + "extra: {}\n",
        "a.yaml:7: extra: unknown field. Known here are apiVersion, kind, metadata, spec, status.",
    ),
    "no name": (
        POLICY.replace("  name: teams\n", "  labels: {a: b}\n"),
        "a.yaml:3: metadata.name: is required. Add `name:` (name of the object, unique among its kind).",
    ),
    "a name in capitals": (
        POLICY.replace("teams", "Teams"),
        (
            "a.yaml:4: metadata.name: must be a DNS subdomain: lower case letters, digits, `-` and `.`, at most 253 "
            "characters. Write for example name-1 or name-1.company.example."
        ),
    ),
    "a namespace where none belongs": (
        POLICY.replace("  name: teams\n", "  name: teams\n  namespace: a\n"),
        "a.yaml:5: metadata.namespace: is not allowed: a GuardrailPolicy has no namespace. Remove it.",
    ),
    "no namespace where one belongs": (
        EXCEPTION.replace(", namespace: team-alpha", ""),
        (
            "a.yaml:3: metadata.namespace: is required. Add `namespace:` (namespace of the object, and of all "
            "that it can affect)."
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), FILE_FAULTS.values(), ids=FILE_FAULTS.keys())
def test_a_faulty_document_is_refused(text: str, expected: str) -> None:
    assert lines(text) == [expected]
