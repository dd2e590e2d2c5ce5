"""What was judged, as files that other programs read: SARIF for code scanning, JUnit for build servers, Markdown for
comments on a pull request.

Every command that judges many objects fills one neutral `RunReport` (see `result`) and hands it to a writer:

    report = Report(tool="podgate audit", currency="USD", items=(Item("Deployment", "team-a", "shop", ...),))
    text = WRITERS["sarif"](report)      # or junit, markdown; the whole text, with its last line break

A `ResultItem` is one object: what it is, where it stands (file and line, where it came from a file), what was said
about it (`ResultFinding`, one for each finding), what it costs a month (`Monthly`), or why it was not judged.
`RunReport.unread` names what could not be read at all. A writer knows nothing of guardrails beyond their names and
manuals, asks no clock, and is the same for manifests and for what runs in a cluster. `of_decision` in `from_decision`
turns a Decision into an Item.
"""

from collections.abc import Callable, Mapping

from webhook.simulate.formats.junit import junit
from webhook.simulate.formats.markdown import markdown
from webhook.simulate.formats.result import (
    Comparison,
    ItemVerdict,
    Monthly,
    ResultFinding,
    ResultItem,
    RunReport,
    UnreadInput,
)
from webhook.simulate.formats.sarif import sarif

__all__ = [
    "WRITERS",
    "Comparison",
    "ItemVerdict",
    "Monthly",
    "ResultFinding",
    "ResultItem",
    "RunReport",
    "UnreadInput",
    "junit",
    "markdown",
    "sarif",
]

WRITERS: Mapping[str, Callable[[RunReport], str]] = {"sarif": sarif, "junit": junit, "markdown": markdown}
"""Writers by the name that ``-o`` takes."""
