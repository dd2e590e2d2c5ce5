"""JUnit XML, which build servers show as a test report: one case an object, one suite a file or namespace.

An object that is refused is a failure, one that was not judged is skipped, what could not be read is an error. What is
only said stands in the suite's output, since a case that passes has no place for words.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET  # writes only; nothing foreign is parsed here

from webhook.pricing import money
from webhook.simulate.formats.result import (
    Comparison,
    ResultItem,
    RunReport,
    UnreadInput,
    change_words,
    comparison_verdict,
    delta_words,
    total,
)

_FIXED: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, not even escaped."""


def junit(report: RunReport) -> str:
    """Return the report as a ``testsuites`` document."""
    root = ET.Element("testsuites")
    suites = _suites(report)
    for number, (name, items) in enumerate(suites):
        root.append(_suite(report, number, name, items, ()))
    if report.unread:
        root.append(_suite(report, len(suites), "unreadable input", (), report.unread))
    if report.comparison is not None:
        root.append(_comparison(report, len(root), report.comparison))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def clean(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def _suites(report: RunReport) -> list[tuple[str, list[ResultItem]]]:
    found: dict[str, list[ResultItem]] = {}
    for item in report.items:
        found.setdefault(item.file or item.namespace or "cluster", []).append(item)
    return list(found.items())


def _suite(
    report: RunReport, number: int, name: str, items: Sequence[ResultItem], unread: Sequence[UnreadInput]
) -> ET.Element:
    when = (report.when or _FIXED).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    failures = sum(1 for item in items if item.verdict == "refused")
    suite = suite_element(
        number, name, report.tool, when, tests=len(items) + len(unread), failures=failures, errors=len(unread)
    )
    suite.set("skipped", str(sum(1 for item in items if item.verdict == "not judged")))
    properties = ET.SubElement(suite, "properties")
    priced = [item for item in items if item.monthly is not None]
    for key, value in _properties(report, items, priced):
        ET.SubElement(properties, "property", {"name": clean(key), "value": clean(value)})
    for item in items:
        suite.append(_case(item))
    for problem in unread:
        case = case_element(problem.place, report.tool)
        ET.SubElement(case, "error", {"message": clean(problem.what), "type": "unreadable"})
        suite.append(case)
    said = [f"{item.label}: {line}" for item in items for line in _said(item)]
    ET.SubElement(suite, "system-out").text = clean("\n".join(said))
    ET.SubElement(suite, "system-err").text = clean("\n".join(f"{each.place}: {each.what}" for each in unread))
    return suite


def _comparison(report: RunReport, number: int, comparison: Comparison) -> ET.Element:
    """Return the suite of the one question that a comparison answers: whether the increase is allowed."""
    when = (report.when or _FIXED).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    suite = suite_element(
        number, "monthly cost", report.tool, when, tests=1, failures=int(comparison.exceeded), errors=0
    )
    properties = ET.SubElement(suite, "properties")
    lines = [f"{item.label}: {change_words(item, report.currency)}" for item in comparison.changes]
    for item in comparison.changes:
        value = change_words(item, report.currency)
        ET.SubElement(properties, "property", {"name": clean(f"monthly of {item.label}"), "value": clean(value)})
    case = case_element("the increase of the monthly cost is allowed", "monthly cost")
    verdict = comparison_verdict(comparison, report.currency)
    if comparison.exceeded:
        failure = ET.SubElement(case, "failure", {"message": clean(verdict), "type": "maxCostIncrease"})
        failure.text = clean("\n".join(lines))
    suite.append(case)
    ET.SubElement(suite, "system-out").text = clean("\n".join([verdict, *lines]))
    ET.SubElement(suite, "system-err")
    return suite


def suite_element(
    number: int, name: str, tool: str, when: str, *, tests: int, failures: int, errors: int
) -> ET.Element:
    """Return an empty suite with all attributes that readers ask for. A name of white space alone, which readers take
    for none, is written in quotes."""
    return ET.Element(
        "testsuite",
        {
            "id": str(number),
            "name": clean(name if name.strip() else repr(name)),
            "package": clean(tool.replace(" ", ".")),
            "hostname": "localhost",
            "timestamp": when,
            "tests": str(tests),
            "failures": str(failures),
            "errors": str(errors),
            "time": "0",
        },
    )


def case_element(name: str, classname: str, seconds: str = "0") -> ET.Element:
    """Return a case; names are shortened of what XML cannot hold."""
    return ET.Element("testcase", {"name": clean(name), "classname": clean(classname), "time": seconds})


def _case(item: ResultItem) -> ET.Element:
    case = case_element(f"{item.kind}/{item.name or '(generated name)'}", item.namespace or "cluster")
    if item.verdict == "not judged":
        ET.SubElement(case, "skipped", {"message": clean(item.reason or "no policy is about it")})
    elif item.verdict == "refused":
        errors = [told for told in item.told if told.weight == "error"]
        kinds = ", ".join(dict.fromkeys(told.guardrail for told in errors))
        failure = ET.SubElement(
            case, "failure", {"message": clean(" | ".join(told.text for told in errors)), "type": kinds or "refused"}
        )
        place = f"{item.file}:{item.line}" if item.line else item.file
        failure.text = clean("\n".join([*([place] if place else []), *(told.line for told in errors)]))
    return case


def _said(item: ResultItem) -> Iterator[str]:
    if item.changes:
        yield item.change_line
    for told in item.told:
        if told.weight != "error":
            yield told.line


def _properties(
    report: RunReport, items: Sequence[ResultItem], priced: Sequence[ResultItem]
) -> Iterator[tuple[str, str]]:
    sums = total(items)
    yield "currency", report.currency
    for prefix, amount in (("", sums), ("total ", report.total)):
        yield f"{prefix}monthlyBefore", money.decimal_text(amount.before)
        yield f"{prefix}monthlyAfter", money.decimal_text(amount.after)
        yield f"{prefix}monthlyDelta", money.decimal_text(amount.after - amount.before)
    for item in priced:
        if item.monthly is not None:
            yield f"monthly of {item.label}", delta_words(item.monthly, report.currency)
