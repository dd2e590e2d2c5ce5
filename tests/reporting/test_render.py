"""Every output of a report says the same, and the HTML needs nothing but itself."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from tests import factories
from tests.reporting import _scene
from webhook.reporting.render import charts, document
from webhook.reporting.render.charts import BeforeAfter, Segment
from webhook.reporting.render.html import as_html
from webhook.reporting.report import AuditReport

EVIL = '<script>alert("x")</script>'
DATA = Path(__file__).parents[1] / "data" / "formats"
EXCEPTION = """
apiVersion: podgate.dev/v1alpha1
kind: PolicyException
metadata: {name: %s, namespace: team-alpha}
spec:
  guardrails: [podSecurity]
  podSelector: {matchLabels: {app: %s}}
  owner: payments
  reason: "until the <image> is rebuilt"
  expires: "%s"
"""


@pytest.fixture
def report(tmp_path: Path) -> AuditReport:
    exempt = _scene.running("legacy", made=factories.pod(labels={"app": "legacy"}))
    odd = factories.pod(factories.container(EVIL))
    _scene.write(
        tmp_path,
        _scene.team({"cost-center": "alpha", "department": EVIL}),
        *_scene.deployment(),
        _scene.running("shop-1", ("ReplicaSet", "shop-7d9c8b6f5")),
        _scene.running("odd", made=odd),
        exempt,
    )
    (tmp_path / "broken.yaml").write_text("kind: [")
    return _scene.report(
        tmp_path,
        _scene.LABELLED,
        EXCEPTION % ("legacy", "legacy", "2026-12-31"),
        EXCEPTION % ("unused", "nobody", "2026-11-30"),
        EXCEPTION % ("old", "legacy", "2026-11-01"),
    )


class Reader(HTMLParser):
    """Reads a page and complains where a browser would have to guess."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(report: AuditReport) -> Reader:
    reader = Reader()
    reader.feed(as_html(report))
    assert reader.open == []
    return reader


def test_the_html_is_one_file_without_script_or_request(report: AuditReport) -> None:
    page = as_html(report)
    reader = read(report)
    assert not re.search(r"(?i)https?://|url\(|@import|<script|<link|<iframe|\son\w+=", page.replace(EVIL, ""))
    assert {tag for tag, attributes in reader.tags if "src" in attributes} == set()
    assert {str(attributes["href"])[0] for _, attributes in reader.tags if "href" in attributes} == {"#"}
    policy = [attributes for tag, attributes in reader.tags if tag == "meta" and "http-equiv" in attributes]
    assert str(policy[0]["content"]).startswith("default-src 'none'")


def test_the_html_can_be_read_by_everybody(report: AuditReport) -> None:
    reader = read(report)
    tags = [tag for tag, _ in reader.tags]
    assert dict(reader.tags)["html"]["lang"] == "en"
    assert tags.count("h1") == tags.count("main") == 1
    assert tags.count("table") == tags.count("caption")
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in reader.tags if tag == "th")
    for tag, attributes in reader.tags:
        if tag == "svg":
            named = attributes.get("aria-label") or attributes.get("aria-labelledby")
            assert (attributes.get("role") == "img" and named) or attributes.get("aria-hidden") == "true"
    identities = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    targets = {str(attributes["href"])[1:] for _, attributes in reader.tags if "href" in attributes}
    assert targets <= set(identities)


def test_what_people_wrote_stays_text(report: AuditReport) -> None:
    assert EVIL not in as_html(report)
    assert EVIL in read(report).text


def test_the_html_says_what_would_be_refused_why_and_how_it_is_mended(report: AuditReport) -> None:
    text = read(report).text
    assert "Deployment team-alpha/shop" in text
    assert "To fix:" in text
    assert "Not everything could be judged." in text
    assert "broken.yaml" in text


def test_exceptions_are_told_with_their_state_and_use(report: AuditReport) -> None:
    told = {each.name: (each.state, each.uses) for each in report.exceptions}
    assert told == {"legacy": ("active", 1), "unused": ("expires soon", 0), "old": ("expired", 0)}
    assert {each.name for each in report.overdue} == {"unused", "old"}


def test_the_json_has_everything_and_exact_patches(report: AuditReport) -> None:
    found = json.loads(document.as_json(report))
    assert found["total"]["wouldRefuse"] == report.total.refused == 2
    assert found["total"]["monthlyBefore"] == "600.00"
    (shop,) = [each for each in found["workloads"] if each["name"] == "shop"]
    assert shop["patches"] == [
        {"objects": 1, "patch": [{"op": "add", "path": "/metadata/labels/cost-center", "value": "alpha"}]}
    ]
    assert [each["failure"] for each in found["notJudged"]].count(True) == 1


@pytest.mark.parametrize("name", ["sarif", "junit", "markdown"])
def test_the_formats_for_programs_name_every_workload(report: AuditReport, name: str) -> None:
    text = document.as_format(report, name)
    assert "shop" in text
    if name == "sarif":
        jsonschema.validate(json.loads(text), json.loads((DATA / "sarif-schema-2.1.0.json").read_text()))


@pytest.mark.parametrize(
    ("value", "whole", "length"), [(0, 10, 0), (5, 0, 0), (-5, 10, 0), (5, 10, 500), (50, 10, 1000), (1, 10**9, 5)]
)
def test_a_bar_is_as_long_as_its_value_and_never_invisible(value: int, whole: int, length: int) -> None:
    assert charts.part(value, whole) == length


def test_a_bar_never_leaves_its_track() -> None:
    drawn = charts.bar([Segment("saved", 9, ""), Segment("refused", 9, "")], 10)
    ends = [int(x or 0) + int(width) for x, width in re.findall(r'fill-\w+"(?: x="(\d+)")? width="(\d+)"', drawn)]
    assert max(ends) == charts.SCALE


def test_a_chart_is_the_same_however_many_were_drawn_before() -> None:
    row = BeforeAfter("team-alpha", 10, 5, "$10.00", "$5.00")
    first, second = (charts.pairs([row], "Cost", ("today", "after"), "chart-namespace") for _ in range(2))
    assert first == second


def test_a_chart_tells_its_numbers_to_readers_of_text() -> None:
    drawn = charts.pairs([BeforeAfter("team-alpha", 10, 5, "$10.00", "$5.00")], "Cost", ("today", "after"), "c")
    assert "<desc" in drawn
    assert "team-alpha $10.00 today, $5.00 after" in drawn
    assert charts.pairs([], "Cost", ("a", "b"), "c") == ""
