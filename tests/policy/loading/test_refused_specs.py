"""Specs that are refused, each with the exact line that says so. Each case changes one thing in a valid document."""

import pytest

from tests.policy._documents import BUDGET, EXCEPTION, POLICY, PRICES, lines
from webhook.policy.model.problems import PolicyErrors, PolicyProblem

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
    "an amount of nothing": (
        BUDGET.replace('"100"', '"0"'),
        "a.yaml:4: spec.amount: must be greater than 0, not `0`. Write a greater one.",
    ),
    "an assumed request of nothing": (
        PRICES + '  assumedRequest: {cpu: "0", memory: 0Mi}\n',
        (
            "a.yaml:7: spec.assumedRequest: must not be nothing at all, or containers without requests are free. "
            "Write for example {cpu: 100m, memory: 128Mi}, or remove it for that default."
        ),
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


def test_a_wrong_name_hides_neither_its_value_nor_other_fields() -> None:
    text = PRICES.replace("gpuHour:", 'claims: {Bad_Key: "x"}, gpuHour:')
    assert text != PRICES
    name, value = lines(text)
    assert "spec.onDemand.claims.Bad_Key: must be a plain decimal number" in value
    assert "spec.onDemand.claims.Bad_Key: its name must be a DNS subdomain" in name


@pytest.mark.parametrize(("namespaces", "told"), [("['Bad!']", ["namespaces[0]: must be"]), ("[]", ["must have at"])])
def test_a_list_is_too_short_only_where_nothing_is_in_it(namespaces: str, told: list[str]) -> None:
    found = lines(BUDGET.replace("scope: {", f"scope: {{namespaces: {namespaces}, ", 1))
    about = [line for line in found if "scope.namespaces" in line]
    assert [part in line for part, line in zip(told, about, strict=True)] == [True]


def _budget(more: str) -> str:
    return BUDGET.replace("currency: USD", f"currency: USD, {more}")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        pytest.param(
            POLICY + "  costCeiling: {colour: red}\n", "spec.costCeiling: must set a ceiling", id="in a section"
        ),
        pytest.param(_budget("resetDay: Sunday, colour: red"), "spec.resetDay: ", id="beside both fields"),
        pytest.param(_budget("resetDay: 3, perod: daily"), "spec.resetDay: ", id="one of both is misspelt"),
        pytest.param(BUDGET.replace("cluster: true", "xyz: red"), "spec.scope: must have exactly", id="further in"),
    ],
)
def test_an_unknown_field_hides_no_rule_across_other_fields(text: str, hidden: str) -> None:
    found = lines(text)
    assert [hidden in line for line in found].count(True) == 1
    assert ["unknown field" in line for line in found].count(True) == 1
    assert len(found) == 2


@pytest.mark.parametrize(
    "text", [POLICY + "  costCeiling: {podMonthley: '5'}\n", _budget("perod: weekly, resetDay: Sunday")]
)
def test_what_follows_from_an_unknown_field_alone_is_not_told_beside_it(text: str) -> None:
    (line,) = lines(text)
    assert "unknown field" in line


def test_several_unknown_fields_of_one_mapping_and_of_one_list_are_each_told_once() -> None:
    keys = "{key: team, source: pod, one: 1, two: 2}, {key: other, source: pod, three: 3}"
    found = lines(POLICY + f"  costLabels: {{required: [{keys}]}}\n")
    assert [line.partition(": unknown field")[0].rpartition(".")[2] for line in found] == ["one", "two", "three"]


def test_the_same_problems_are_told_in_the_same_order() -> None:
    """Replicas write them into a condition, and must not correct each other."""
    problems = [PolicyProblem("a.yaml", 6, 3, "spec.x", f"must be {number}", "Mend it.") for number in range(8)]
    assert {PolicyErrors(order).problems for order in (problems, problems[::-1])} == {tuple(problems)}
