"""Facts as pages: HTML that tells everything without a script, and the two files that go with it.

Names and messages come from whoever may create a pod. Nothing of them reaches a page but through the templates, which
escape all of it; a value that a template names and nobody gave is an error and no empty text.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup

from webhook.dashboard import chart_layout, history
from webhook.dashboard import facts as facts_module
from webhook.dashboard.budgets import MARKS
from webhook.dashboard.facts import Overview
from webhook.dashboard.workloads import Decided, WorkloadPage
from webhook.pricing import money
from webhook.reporting.journal import VERDICTS, DecisionOwner
from webhook.reporting.render import charts, text
from webhook.reporting.render.style import CSS

_HERE: Final = Path(__file__).parent

_TITLES: Final = {
    "refused": "Refused",
    "warned": "Warned",
    "would_refuse": "Would refuse",
    "would refuse": "Would refuse",
    "fault_denied": "Faults, refused",
    "fault_allowed": "Faults, let in",
    "changed": "Changed",
    "would_change": "Would change",
    "would change": "Would change",
    "exempt": "Exempt",
    "passed": "Passed",
}

_FILLS: Final = {
    "refused": "refused",
    "would refuse": "would-refuse",
    "warned": "warn",
    "changed": "changed",
    "would change": "would-change",
    "passed": "rest",
}

_STYLES: Final = {
    "refused": "is-refused",
    "would_refuse": "is-refused",
    "would refuse": "is-refused",
    "would be refused": "is-refused",
    "fault_denied": "is-refused",
    "used up": "is-refused",
    "expired": "is-refused",
    "warned": "is-warn",
    "fault_allowed": "is-warn",
    "90 % reached": "is-refused",
    "75 % reached": "is-warn",
    "ends soon": "is-warn",
    "expires soon": "is-warn",
    "changed": "is-changed",
    "would_change": "is-changed",
    "would change": "is-changed",
    "within": "is-saved",
    "good": "is-saved",
    "well": "is-saved",
}


class Asset(NamedTuple):
    """A file that pages ask for."""

    content: bytes
    media_type: str
    version: str
    """Changes with the content."""


def _asset(content: bytes, media_type: str) -> Asset:
    return Asset(content, media_type, hashlib.sha256(content).hexdigest()[:12])


ASSETS: Final[Mapping[str, Asset]] = {
    "dashboard.css": _asset(CSS.encode() + (_HERE / "static" / "dashboard.css").read_bytes(), "text/css"),
    "icon.svg": _asset((_HERE / "static" / "icon.svg").read_bytes(), "image/svg+xml"),
    "dashboard.js": _asset((_HERE / "static" / "dashboard.js").read_bytes(), "text/javascript"),
}


def overview(facts: Overview) -> str:
    """Return the first page."""
    chart = history.chart(facts.history, facts.now)
    return _render(
        "overview.html",
        facts=facts,
        now=facts.now,
        chart=chart,
        drawing=chart_layout.draw(chart),
        verdicts=VERDICTS,
        outcomes=facts_module.OUTCOMES,
    )


def workloads(page: WorkloadPage, now: datetime) -> str:
    """Return a list of workloads."""
    return _render("workloads.html", page=page, now=now, verdicts=VERDICTS)


def workload(owner: DecisionOwner, decided: Sequence[Decided], now: datetime) -> str:
    """Return everything that is known of one workload."""
    return _render("workload.html", owner=owner, decided=decided, now=now)


def problem(title: str, text: str, now: datetime) -> str:
    """Return a page that says what went wrong and what to do."""
    return _render("problem.html", title=title, text=text, now=now)


def _render(name: str, **values: Any) -> str:  # noqa: ANN401  what a template is given may be anything
    return _TEMPLATES.get_template(name).render(**values)


def _number(count: int) -> str:
    return f"{count:,}"


def _money(micros: int, currency: str) -> str:
    return text.format_money(micros, currency)


def _decimal(amount: Decimal, currency: str) -> str:
    return money.format_money(amount, currency)


def _amount(text: str, currency: str) -> str:
    """Return an amount of the decision log as people read it."""
    try:
        return money.format_money(Decimal(text), currency)
    except InvalidOperation:
        return f"{text} {currency}"


def _stamp(moment: datetime) -> Markup:
    at = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S}")


def _stamp_text(text: str) -> Markup:
    try:
        return _stamp(datetime.fromisoformat(text))
    except ValueError:
        return Markup.escape(text)


def _ago(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, in its greatest unit."""
    seconds = max(0, (now - moment) // timedelta(seconds=1))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _link(path: str, **parameters: object) -> str:
    """Return a path with those parameters that are not empty, encoded."""
    given = {name: str(value) for name, value in parameters.items() if value not in ("", None)}
    return f"{path}?{urlencode(given)}" if given else path


def _bar(parts: Sequence[tuple[str, int]], whole: int) -> Markup:
    """Return a bar of parts; its numbers are beside it in the table."""
    return Markup(charts.bar([charts.Segment(fill, value, "") for fill, value in parts], whole))  # noqa: S704  numbers and names of our own


def _asset_path(name: str) -> str:
    return f"/static/{name}?v={ASSETS[name].version}"


_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.globals.update(
    ago=_ago,
    asset=_asset_path,
    bar=_bar,
    fills=_FILLS,
    link=_link,
    marks=MARKS,
    part=charts.part,
    scale=charts.SCALE,
    styles=_STYLES,
    times=text.times,
    titles=_TITLES,
    told=facts_module.told,
)
_TEMPLATES.filters.update(
    amount=_amount, decimal=_decimal, money=_money, number=_number, stamp=_stamp, stamp_text=_stamp_text
)
