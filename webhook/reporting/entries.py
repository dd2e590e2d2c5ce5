"""Lines of the decision log, read back.

A log that was cut off, mixed with other lines or written by an older release is read as far as it goes: each line that
is no decision is counted and named, and costs the others nothing.
"""

import gzip
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

MAXIMUM_LINE: Final = 4 << 20
"""Bytes of one line; a longer one is no decision of ours."""


class LoggedFinding(msgspec.Struct, rename="camel"):
    """One finding of a line."""

    rule: str = ""
    message: str = ""
    cure: str = ""
    would: str = ""
    notice: bool = False


class LoggedResult(msgspec.Struct):
    """One outcome of a line."""

    policy: str = ""
    guardrail: str = ""
    mode: str = ""
    outcome: str = ""
    severity: str = ""
    findings: list[LoggedFinding] = []
    note: str = ""

    def said(self, finding: LoggedFinding) -> str:
        """Return what is wrong, as fits the outcome."""
        return finding.message if self.outcome == "refused" else finding.would or finding.message


class LoggedCost(msgspec.Struct, rename="camel"):
    """The cost of a line: decimal strings."""

    currency: str = ""
    monthly_before: str = "0"
    monthly_after: str = "0"
    pods: int = 1


class LoggedDecision(msgspec.Struct, rename="camel"):
    """One line of the decision log, as far as it is told about later."""

    path: str
    kind: str
    namespace: str
    name: str
    operation: str
    verdict: str
    would: str = ""
    decision: str = ""
    guardrails: list[LoggedResult] = []
    subresource: str = ""
    dry_run: bool = False
    owner: str = ""
    user: str = ""
    message: str = ""
    patch: list[dict[str, Any]] = []
    would_patch: list[dict[str, Any]] = []
    cost: LoggedCost | None = None
    time: str = ""

    @property
    def whose(self) -> tuple[str, str]:
        """Kind and name of the owner, else of the object itself."""
        kind, slash, name = self.owner.partition("/")
        return (kind, name) if slash else (self.kind, self.name)


class Bad(NamedTuple):
    """A line that is no decision."""

    number: int
    reason: str


_DECODER = msgspec.json.Decoder(LoggedDecision)


def decode(line: bytes) -> LoggedDecision | str:
    """Return the decision of a line, or why it is none."""
    if len(line) > MAXIMUM_LINE:
        return f"has over {MAXIMUM_LINE >> 20} MiB"
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"is no decision: {' '.join(str(error).split())[:200]}"


def read(lines: Iterable[bytes]) -> Iterator[LoggedDecision | Bad]:
    """Yield the decisions of a log, empty lines left out."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = decode(line)
        yield Bad(number, found) if isinstance(found, str) else found


def read_file(path: Path) -> Iterator[LoggedDecision | Bad]:
    """Yield the decisions of a file, of a gzipped file, or of standard input for ``-``.

    Raises:
        OSError: it cannot be read.
    """
    with ExitStack() as stack:
        if str(path) == "-":
            lines: Iterable[bytes] = sys.stdin.buffer
        elif path.suffix == ".gz":
            lines = stack.enter_context(gzip.open(path))
        else:
            lines = stack.enter_context(path.open("rb"))
        try:
            yield from read(lines)
        except EOFError:
            yield Bad(0, "the compressed file ends in the middle; what came before is counted")
