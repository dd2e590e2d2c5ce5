"""What loads, what is refused, and the exact line that says so. Each case changes one thing in a valid document."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from webhook.policy import _loader
from webhook.policy._base import FieldError, Section
from webhook.policy._problems import PolicyErrors

HEAD = "apiVersion: podgate.dev/v1alpha1\n"
POLICY = HEAD + "kind: GuardrailPolicy\nmetadata:\n  name: teams\nspec:\n  mode: enforce\n"
BUDGET = (
    HEAD + "kind: Budget\nmetadata: {name: alpha}\n"
    'spec: {mode: enforce, scope: {cluster: true}, amount: "100", currency: USD}\n'
)
PRICES = (
    HEAD + "kind: PriceList\nmetadata: {name: default}\nspec:\n  currency: USD\n"
    '  onDemand: {cpuCoreHour: "1", memoryGiBHour: "1", gpuHour: "1"}\n'
)
EXCEPTION = (
    HEAD + "kind: PolicyException\nmetadata: {name: legacy, namespace: team-alpha}\nspec:\n"
    '  guardrails: [podSecurity]\n  owner: payments\n  reason: vendor image\n  expires: "2027-03-31"\n'
)


def lines(text: str) -> list[str]:
    with pytest.raises(PolicyErrors) as caught:
        _loader.load_text(text, "a.yaml")
    return str(caught.value).splitlines()


LOADS = {
    "a policy without sections": POLICY,
    "mode off without quotes": POLICY.replace("enforce", "off"),
    "an empty match": POLICY + "  match: {}\n",
    "a section that is only switched off": POLICY + "  binPacking: {mode: off}\n  costLabels: {mode: off}\n"
    "  spot: {mode: off}\n",
    "globs": POLICY + '  match: {namespaces: ["*", "team-?", a], excludeNamespaces: ["*-legacy"]}\n',
    "a pod selector on a label nobody writes": POLICY + "  match: {podSelector: {matchLabels: {app: web}}}\n"
    "  costLabels: {required: [{key: cost-center}]}\n",
    "a CI account left alone": POLICY + "  match: {excludeSubjects: {serviceAccounts: [ci/deployer], "
    "users: [admin@company.example], groups: [sre]}}\n",
    "a violation milder than the mode": POLICY + "  podSecurity: {mode: warn, onViolation: audit}\n",
    "a toleration of every taint": POLICY + "  spot: {tolerations: [{operator: Exists}]}\n",
    "anchored alternatives": POLICY + '  costLabels: {required: [{key: team, pattern: "^(a|b)[|]$"}]}\n',
    "a class that begins with a bracket": POLICY + '  costLabels: {required: [{key: team, pattern: "^[]|]$"}]}\n',
    "a date without quotes": EXCEPTION.replace('"', ""),
    "an exception from a budget": EXCEPTION.replace("podSecurity", "budget, spot"),
    "what the API server adds": POLICY.replace(
        "  name: teams\n",
        "  name: teams\n  uid: a\n  resourceVersion: '1'\n  generation: 1\n  creationTimestamp: null\n"
        "  managedFields: [{manager: kubectl}]\n  ownerReferences: []\n  finalizers: []\n",
    )
    + "status: {conditions: [{type: Ready, message: null}]}\n",
    "several documents, comments and empty ones": f"# prices first\n---\n{PRICES}---\n---\n# none\n---\n{BUDGET}...\n",
    "JSON, which is YAML": '{"apiVersion": "podgate.dev/v1alpha1", "kind": "GuardrailPolicy", '
    '"metadata": {"name": "a"}, "spec": {"mode": "audit"}}',
    "a budget in a currency of its own, without a default price list": BUDGET.replace("USD", "EUR"),
    "a price list for a node pool, in another currency": PRICES
    + "---\n"
    + PRICES.replace("name: default", "name: gpu").replace("USD", "EUR"),
    "exceptions of the same name in two namespaces": f"{EXCEPTION}---\n{EXCEPTION.replace('team-alpha', 'team-beta')}",
}


@pytest.mark.parametrize("text", LOADS.values(), ids=LOADS.keys())
def test_it_loads(text: str) -> None:
    assert _loader.load_text(text, "a.yaml").documents


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
            "characters. Write for example team-namespaces."
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

SPEC_FAULTS: dict[str, tuple[str, str]] = {
    "no mode": (
        POLICY.replace("  mode: enforce\n", "  priority: 1\n"),
        "a.yaml:5: spec.mode: is required. Add `mode:` with one of enforce, warn, audit, off.",
    ),
    "a misspelt mode": (
        POLICY.replace("enforce", "enforced"),
        "a.yaml:6: spec.mode: must be enforce, warn, audit or off, not `enforced`. Did you mean `enforce`?",
    ),
    "off read as false by another tool": (
        POLICY.replace("enforce", "false"),
        'a.yaml:6: spec.mode: must be text, not `false`. Write "off" in quotes.',
    ),
    "an empty section": (
        POLICY + "  podSecurity:\n",
        "a.yaml:7: spec.podSecurity: has no value. Give it a value; `{}` takes all defaults.",
    ),
    "an empty field": (
        POLICY + "  priority:\n",
        "a.yaml:7: spec.priority: has no value. Give it a value, or remove the field.",
    ),
    "a misspelt section": (
        POLICY + "  podSecurty: {}\n",
        "a.yaml:7: spec.podSecurty: unknown field. Did you mean `podSecurity`?",
    ),
    "a misspelt field of a section": (
        POLICY + "  rightSizing:\n    limitHedroom: {cpu: 3}\n",
        "a.yaml:8: spec.rightSizing.limitHedroom: unknown field. Did you mean `limitHeadroom`?",
    ),
    "snake case": (
        POLICY + "  pod_security: {}\n",
        "a.yaml:7: spec.pod_security: unknown field. Did you mean `podSecurity`?",
    ),
    "a field indented too little": (
        POLICY + "  schedulerName: a\n",
        "a.yaml:7: spec.schedulerName: unknown field here. Move it to spec.binPacking.",
    ),
    "a number as text": (
        POLICY + '  priority: "1"\n',
        (
            "a.yaml:7: spec.priority: must be a whole number, not the text `1`. "
            "Write it without quotes and without a fraction."
        ),
    ),
    "text as a boolean": (
        POLICY + "  exceptions: {allowed: yes}\n",
        (
            "a.yaml:7: spec.exceptions.allowed: must be true or false, not the text `yes`. "
            "Write true or false, without quotes."
        ),
    ),
    "a scalar as a list": (
        POLICY + "  match: {namespaces: a}\n",
        (
            "a.yaml:7: spec.match.namespaces: must be a list, not the text `a`. "
            "Write it as [a, b], or each item on a line of its own after `- `."
        ),
    ),
    "a list as a section": (
        POLICY + "  spot: []\n",
        "a.yaml:7: spec.spot: must be a mapping, not a list. Write its fields, indented below it.",
    ),
    "too many days": (
        POLICY + "  exceptions: {maxDays: 0}\n",
        "a.yaml:7: spec.exceptions.maxDays: must be at least 1, not `0`. Write a number from 1 to 3650.",
    ),
    "a regular expression as a glob": (
        POLICY + '  match: {namespaces: [ok, "team-[ab]"]}\n',
        (
            "a.yaml:7: spec.match.namespaces[1]: must be a glob of lower case letters, digits, `-`, and the wildcards "
            "`*` and `?`. Write for example team-*."
        ),
    ),
    "a selector that selects by a written label": (
        POLICY + "  match:\n    podSelector:\n      matchExpressions:\n      - {key: app, operator: Exists}\n"
        "      - {key: team, operator: Exists}\n  costLabels: {required: [{key: team}]}\n",
        (
            "a.yaml:11: spec.match.podSelector.matchExpressions[1].key: selects pods by `team`, a label that "
            "costLabels of the same policy writes. Select by another label, or by namespaces."
        ),
    ),
    "a requirement without values": (
        POLICY + "  match: {namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}\n",
        "a.yaml:7: spec.match.namespaceSelector.matchExpressions[0]: In on 'a' has no values. Give at least one.",
    ),
    "a label value that is a number": (
        POLICY + "  match: {namespaceSelector: {matchLabels: {a: 1}}}\n",
        "a.yaml:7: spec.match.namespaceSelector.matchLabels.a: must be text, not `1`. Write it in quotes.",
    ),
    "a violation stricter than the mode": (
        POLICY + "  podSecurity:\n    mode: warn\n    onViolation: enforce\n",
        (
            "a.yaml:9: spec.podSecurity.onViolation: `enforce` is stricter than this section's mode `warn`. "
            "Write `mode: enforce`, or remove onViolation."
        ),
    ),
    "a pattern that is none": (
        POLICY + '  costLabels: {required: [{key: team, pattern: "^(a$"}]}\n',
        (
            "a.yaml:7: spec.costLabels.required[0].pattern: is no RE2 pattern: missing ): ^(a$. "
            'Write for example "^[a-z][a-z0-9-]*$".'
        ),
    ),
    "a default outside of the pattern": (
        POLICY + '  costLabels: {required: [{key: team, default: B, pattern: "^[a-z]$"}]}\n',
        (
            "a.yaml:7: spec.costLabels.required[0].default: `B` does not match pattern ^[a-z]$. "
            "Change the default or the pattern."
        ),
    ),
    "a default that is not allowed": (
        POLICY + "  costLabels: {required: [{key: team, default: c, allowed: [a, b]}]}\n",
        (
            "a.yaml:7: spec.costLabels.required[0].default: `c` is not among the allowed values. "
            "Add it to allowed, or change it."
        ),
    ),
    "an allowed value outside of the pattern": (
        POLICY + '  costLabels: {required: [{key: team, allowed: [a, B], pattern: "^[a-z]$"}]}\n',
        (
            "a.yaml:7: spec.costLabels.required[0].allowed[1]: `B` does not match pattern ^[a-z]$. "
            "Change the value or the pattern."
        ),
    ),
    "an empty list of allowed values": (
        POLICY + "  costLabels: {required: [{key: team, allowed: []}]}\n",
        "a.yaml:7: spec.costLabels.required[0].allowed: must have at least 1 item. Add one, or remove the field.",
    ),
    "a label key twice": (
        POLICY + "  costLabels:\n    required:\n    - key: team\n    - key: team\n",
        "a.yaml:10: spec.costLabels.required[1].key: `team` is listed twice. Keep one of them.",
    ),
    "no label at all": (
        POLICY + "  costLabels: {}\n",
        "a.yaml:7: spec.costLabels.required: must name at least one label. Add for example `- {key: cost-center}`.",
    ),
    "no scheduler": (
        POLICY + "  binPacking: {}\n",
        (
            "a.yaml:7: spec.binPacking.schedulerName: is required. Add the scheduler's name, such as "
            "bin-packing-scheduler."
        ),
    ),
    "a skew of nothing": (
        POLICY + "  binPacking: {schedulerName: a, topologySpread: {maxSkew: 0, topologyKey: zone}}\n",
        "a.yaml:7: spec.binPacking.topologySpread.maxSkew: must be at least 1, not `0`. Write for example 1.",
    ),
    "spot that does nothing": (
        POLICY + "  spot: {priceAs: spot}\n",
        (
            "a.yaml:7: spec.spot: has neither tolerations nor nodeAffinity, so that it would do nothing. "
            "Add tolerations, or remove the section."
        ),
    ),
    "a toleration with neither key nor Exists": (
        POLICY + "  spot: {tolerations: [{value: a}]}\n",
        (
            "a.yaml:7: spec.spot.tolerations[0].key: is required with operator Equal. "
            "Name the taint's key, such as kubernetes.io/spot."
        ),
    ),
    "a value with Exists": (
        POLICY + "  spot: {tolerations: [{key: a, operator: Exists, value: b}]}\n",
        (
            "a.yaml:7: spec.spot.tolerations[0].value: must be empty with operator Exists. "
            "Remove it, or write operator Equal."
        ),
    ),
    "a weight beyond 100": (
        POLICY + "  spot: {nodeAffinity: {weight: 101, key: a, values: [b]}}\n",
        "a.yaml:7: spec.spot.nodeAffinity.weight: must be at most 100, not `101`. Write a number from 1 to 100.",
    ),
    "money as a number": (
        POLICY + "  costCeiling: {podMonthly: 300}\n",
        (
            'a.yaml:7: spec.costCeiling.podMonthly: must be a decimal string in quotes. Write for example "300" or '
            '"0.031611".'
        ),
    ),
    "a guardrail that does not exist": (
        EXCEPTION.replace("podSecurity", "podSecurity, spott"),
        "a.yaml:5: spec.guardrails[1]: `spott` is no guardrail. Did you mean `spot`?",
    ),
    "no guardrail": (
        EXCEPTION.replace("podSecurity", ""),
        "a.yaml:5: spec.guardrails: must have at least 1 item. Add one, or remove the field.",
    ),
    "checks of a guardrail that is not named": (
        EXCEPTION.replace("podSecurity", "spot") + "  controls: [runAsNonRoot]\n",
        (
            "a.yaml:9: spec.controls: names Pod Security checks, but podSecurity is not among the guardrails. "
            "Add podSecurity to guardrails, or remove controls."
        ),
    ),
    "a check that does not exist": (
        EXCEPTION + "  controls: [runAsNonRot]\n",
        "a.yaml:9: spec.controls[0]: `runAsNonRot` is no Pod Security check. Did you mean `runAsNonRoot`?",
    ),
    "a day that does not exist": (
        EXCEPTION.replace("03-31", "02-30"),
        "a.yaml:8: spec.expires: is no day of the calendar. Write it as YYYY-MM-DD.",
    ),
    "a time instead of a day": (
        EXCEPTION.replace("03-31", "03-31T00:00:00Z"),
        'a.yaml:8: spec.expires: must be a date. Write it as YYYY-MM-DD, such as "2027-03-31".',
    ),
    "a reason of two lines": (
        EXCEPTION.replace("vendor image", '"a\\nb"'),
        "a.yaml:7: spec.reason: must be one line of text, at most 512 characters. Say it in one sentence.",
    ),
    "a budget in another currency than the prices": (
        f"{PRICES}---\n{BUDGET.replace('USD', 'EUR')}",
        "a.yaml:11: spec.currency: must be the currency of PriceList default (a.yaml:1), not `EUR`. Write USD.",
    ),
    "the same budget twice": (
        f"{BUDGET}---\n{BUDGET}",
        "a.yaml:8: metadata.name: Budget alpha is defined twice, first at a.yaml:1. Rename or remove one of them.",
    ),
}

CONTROLLERS = "this is who creates the pods of every Deployment, Job and StatefulSet, so that nothing would be judged"
INSTEAD = "Remove it; use namespaces, excludeNamespaces or podSelector to leave workloads out."


@pytest.mark.parametrize(("text", "expected"), FILE_FAULTS.values(), ids=FILE_FAULTS.keys())
def test_a_faulty_document_is_refused(text: str, expected: str) -> None:
    assert lines(text) == [expected]


@pytest.mark.parametrize(("text", "expected"), SPEC_FAULTS.values(), ids=SPEC_FAULTS.keys())
def test_a_faulty_spec_is_refused(text: str, expected: str) -> None:
    assert lines(text) == [expected]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("users", "system:kube-controller-manager"),
        ("users", "system:serviceaccount:kube-system:replicaset-controller"),
        ("groups", "system:serviceaccounts"),
        ("groups", "system:serviceaccounts:kube-system"),
        ("groups", "system:authenticated"),
        ("serviceAccounts", "kube-system/job-controller"),
    ],
)
def test_nobody_can_exclude_the_controllers(field: str, name: str) -> None:
    text = POLICY + f"  match: {{excludeSubjects: {{{field}: [fine/a, '{name}']}}}}\n".replace(
        "fine/a", "fine/a" if field == "serviceAccounts" else "fine"
    )
    path = f"spec.match.excludeSubjects.{field}[1]"
    assert lines(text) == [f"a.yaml:7: {path}: must not exclude {name}: {CONTROLLERS}. {INSTEAD}"]


@pytest.mark.parametrize("pattern", ["a", "^a", "a$", "^a|b$", r"^a\$", "^a[|]|b$", r"^\Qa$"])
def test_a_pattern_must_judge_the_whole_value(pattern: str) -> None:
    text = POLICY + f"  costLabels: {{required: [{{key: team, pattern: '{pattern}'}}]}}\n"
    assert lines(text) == [
        (
            "a.yaml:7: spec.costLabels.required[0].pattern: must be anchored, so that it judges the whole value. "
            'Write it as "^...$", alternatives as "^(a|b)$".'
        )
    ]


def test_all_errors_of_all_documents_are_told_at_once() -> None:
    text = "\n---\n".join(
        [
            POLICY.replace("enforce", "on")
            + "  priority: x\n  spot: {tolerations: [{operator: Exists}], skipStateful: 1, allowSkip: 2}",
            "a: [",
            BUDGET.replace('"100"', "100").replace("USD", "usd"),
            EXCEPTION.replace("[podSecurity]", "[a, b]"),
        ]
    )
    found = [line.split(" ")[1] for line in lines(text)]
    assert found == [
        "spec.mode:",
        "spec.priority:",
        "spec.spot.skipStateful:",
        "spec.spot.allowSkip:",
        "is",
        "spec.amount:",
        "spec.currency:",
        "spec.guardrails[0]:",
        "spec.guardrails[1]:",
    ]


def test_a_syntax_error_in_one_document_does_not_hide_the_next() -> None:
    text = f"a: [\n---\n{POLICY}  priority: x\n"
    assert [line.split(" ")[0] for line in lines(text)] == ["a.yaml:1:", "a.yaml:9:"]


def test_policies_are_sorted_by_priority_and_then_by_name() -> None:
    names = {"b": 1, "a": 1, "c": 7, "d": -1}
    text = "---\n".join(POLICY.replace("teams", name) + f"  priority: {value}\n" for name, value in names.items())
    assert [item.name for item in _loader.load_text(text, "a.yaml").policies] == ["c", "a", "b", "d"]


def test_a_guardrail_that_cannot_be_compiled_is_an_error_at_its_section() -> None:
    def check(name: str, section: Section) -> None:
        if name == "spot":
            raise ValueError("cannot be compiled; use other tolerations")
        raise FieldError("is wrong", "Mend it.", path=("level",))

    text = POLICY + "  podSecurity:\n    level: baseline\n  spot:\n    tolerations: [{operator: Exists}]\n"
    with pytest.raises(PolicyErrors) as caught:
        _loader.load_text(text, "a.yaml", check=check)
    assert str(caught.value).splitlines() == [
        "a.yaml:8: spec.podSecurity.level: is wrong. Mend it.",
        "a.yaml:9: spec.spot: cannot be compiled. Use other tolerations.",
    ]


def test_the_check_sees_every_section_of_a_valid_policy() -> None:
    seen: list[str] = []
    text = POLICY + "  podSecurity: {}\n  rightSizing: {}\n"
    _loader.load_text(text, "a.yaml", check=lambda name, _section: seen.append(name))
    assert sorted(seen) == ["podSecurity", "rightSizing"]


def custom_resource(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "podgate.dev/v1alpha1",
        "kind": "GuardrailPolicy",
        "metadata": {"name": "teams", "uid": "1", "managedFields": [], "labels": {"a": "b"}},
        "spec": {"mode": "audit", **spec},
        "status": {"conditions": []},
    }


def test_a_custom_resource_loads() -> None:
    loaded = _loader.load_documents([("GuardrailPolicy teams", custom_resource())])
    assert loaded.policies[0].spec.mode == "audit"
    assert loaded.policies[0].labels == {"a": "b"}
    assert str(loaded.policies[0].origin) == "GuardrailPolicy teams"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            custom_resource(priority=True),
            "cr: spec.priority: must be a whole number, not `true`. Write it without quotes and without a fraction.",
        ),
        (None, "cr: the document must be a mapping, not nothing. Begin with `apiVersion: podgate.dev/v1alpha1`."),
        (
            custom_resource(priority=float("nan")),
            "cr: the document cannot be written as JSON. Use plain text, numbers, lists and mappings.",
        ),
        (
            custom_resource(match={"a": {1, 2}}),
            "cr: the document cannot be written as JSON. Use plain text, numbers, lists and mappings.",
        ),
    ],
    ids=["a wrong type", "nothing", "not a number", "no plain value"],
)
def test_a_malformed_custom_resource_is_refused(document: Mapping[str, Any] | None, expected: str) -> None:
    with pytest.raises(PolicyErrors) as caught:
        _loader.load_documents([("cr", document)])
    assert str(caught.value) == expected


def test_equal_content_has_an_equal_fingerprint_and_other_content_another() -> None:
    first, again = (_loader.load_text(POLICY, "a.yaml").fingerprint for _ in range(2))
    assert first == again
    assert first != _loader.load_text(POLICY + "  priority: 1\n", "a.yaml").fingerprint


def test_an_error_is_one_line_whatever_the_document_says(tmp_path: Path) -> None:
    name = "a\nb.yaml"
    (tmp_path / name).write_text(POLICY.replace("enforce", '"x\\ny"') + '  "z\\n\\u2028": 1\n')
    with pytest.raises(PolicyErrors) as caught:
        _loader.load_directory(tmp_path)
    assert [len(str(problem).splitlines()) for problem in caught.value.problems] == [1, 1]
