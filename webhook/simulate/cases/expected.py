"""How a result differs from what was expected: one line a difference, with the field and both values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from webhook.admission.decision import Decision, GuardrailResult, finding_text, format_finding
from webhook.pricing import money
from webhook.simulate.cases.model import ExpectModel
from webhook.simulate.formats.from_decision import monthly, verdict

_KEYS = ("name", "key", "containerPort", "mountPath")
"""Fields by which items of lists are told apart, as Kubernetes does where lists are merged."""


class Got(NamedTuple):
    """What came of one case."""

    decision: Decision | None
    """None where the object was not judged."""
    reason: str
    """Why it was not."""
    pod: Mapping[str, Any]
    """As it will be, or would be."""


def differences(expect: ExpectModel, got: Got) -> list[str]:
    """Return every difference; none where all is as expected."""
    return [
        *_verdict(expect, got),
        *_guardrails(expect, got),
        *_says(expect, got),
        *_pod(expect, got),
        *_cost(expect, got),
    ]


def verdict_word(got: Got) -> str:
    """Return the verdict as case files write it."""
    if got.decision is None:
        return "not_judged"
    return verdict(got.decision).replace(" ", "_")


def lines_of(decision: Decision | None) -> list[str]:
    """Return everything that is said about an object, in the words of denials and warnings."""
    if decision is None:
        return []
    lines = [
        format_finding(outcome, item, finding_text(outcome, item))
        for outcome in decision.outcomes
        for item in outcome.findings
    ]
    lines += [f"policy {item.policy}, {item.guardrail}: {item.note}" for item in decision.outcomes if item.note]
    return list(dict.fromkeys([*lines, *decision.warnings]))


def _verdict(expect: ExpectModel, got: Got) -> Iterator[str]:
    word = verdict_word(got)
    if expect.verdict is None or expect.verdict == word:
        return
    yield f"verdict: expected {expect.verdict}, got {word}"
    if got.reason:
        yield f"  because {got.reason}"
    yield from (f"  {text}" for text in lines_of(got.decision))


def _guardrails(expect: ExpectModel, got: Got) -> Iterator[str]:
    outcomes: Sequence[GuardrailResult] = got.decision.outcomes if got.decision is not None else ()
    for name, wanted in expect.guardrails.items():
        found: list[str] = [
            item.outcome for item in outcomes if name in (item.guardrail, f"{item.policy}/{item.guardrail}")
        ] or ["absent"]
        if wanted not in found:
            yield f"guardrails.{name}: expected {wanted}, got {', '.join(dict.fromkeys(found))}"
            for item in outcomes:
                if name in (item.guardrail, f"{item.policy}/{item.guardrail}"):
                    yield from (
                        f"  {format_finding(item, finding, finding_text(item, finding))}" for finding in item.findings
                    )


def _says(expect: ExpectModel, got: Got) -> Iterator[str]:
    lines = lines_of(got.decision)
    for text in expect.says:
        if not any(text in each for each in lines):
            yield f"says: nothing says {text!r}; what is said:"
            yield from (f"  {each}" for each in lines or ["nothing"])
    for text in expect.says_not:
        yield from (f"saysNot: {text!r} stands in: {each}" for each in lines if text in each)


def _pod(expect: ExpectModel, got: Got) -> Iterator[str]:
    if expect.pod is not None:
        if got.decision is None:
            yield f"pod: was not judged, {got.reason}"
            return
        yield from _unlike("pod", expect.pod, got.pod)


def _unlike(path: str, wanted: Any, found: Any) -> Iterator[str]:  # noqa: ANN401  any JSON value
    if isinstance(wanted, dict) and isinstance(found, Mapping):
        for key, value in wanted.items():
            place = f"{path}.{key}"
            if value is None:
                if found.get(key) is not None:
                    yield f"{place}: expected to be absent, got {_shown(found[key])}"
            elif key not in found:
                yield f"{place}: expected {_shown(value)}, got nothing"
            else:
                yield from _unlike(place, value, found[key])
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from _unlike_list(path, wanted, found)
    elif wanted != found or isinstance(wanted, bool) is not isinstance(found, bool):
        yield f"{path}: expected {_shown(wanted)}, got {_shown(found)}"


def _unlike_list(path: str, wanted: list[Any], found: list[Any]) -> Iterator[str]:
    """An item that has a name is found by it; any other must be there as it is, in whatever place."""
    for index, value in enumerate(wanted):
        key = next((key for key in _KEYS if isinstance(value, dict) and key in value), None)
        if key is None:
            if not any(not list(_unlike("", value, item)) for item in found):
                yield f"{path}[{index}]: expected {_shown(value)}, got {_shown(found)}"
            continue
        same = [item for item in found if isinstance(item, Mapping) and item.get(key) == value[key]]
        if not same:
            yield f"{path}[{key}={value[key]}]: expected to be there, got {_shown(found)}"
        elif all(list(_unlike("", value, item)) for item in same):
            yield from _unlike(f"{path}[{key}={value[key]}]", value, same[0])


def _cost(expect: ExpectModel, got: Got) -> Iterator[str]:
    if expect.cost is None:
        return
    amounts = monthly(got.decision.cost) if got.decision is not None else None
    for field in ("before", "after"):
        wanted = getattr(expect.cost, field)
        found = getattr(amounts, field) if amounts is not None else None
        if wanted is not None and (found is None or wanted != _as_exact_as(found, wanted)):
            text = money.decimal_text(found) if found is not None else "no price"
            yield f"cost.{field}: expected {money.decimal_text(wanted)}, got {text}"


def _as_exact_as(amount: Decimal, wanted: Decimal) -> Decimal:
    """Return an amount with the places that were written, so that "2.69" stands for what is shown as $2.69."""
    exponent = wanted.as_tuple().exponent
    places = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:297]}..."
