"""Files of cases, and how they are run: a row agrees, differs for a reason that is written down, or just differs."""

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]

STORED = Path(__file__).parents[1] / "data"


class CaseError(Exception):
    """A file that cannot be run; one line with the cure."""


class Reason(NamedTuple):
    """Why a row may differ: the line of docs/conformance.md, and the rows it is about."""

    key: str
    text: str
    covers: Callable[[Json], bool]


class CaseFile(NamedTuple):
    """One file of cases."""

    name: str
    """As it is called outside of this repository; a further ``.gz`` is found as well."""
    stored: str
    """Where it lies below ``tests/data``."""
    differences: Callable[[Json], list[str]]
    """What differs from the expectation of a row, one text each; empty where it agrees."""
    expectation: tuple[str, ...]
    """The fields of a row that hold the expectation."""
    reasons: tuple[Reason, ...] = ()
    read: Callable[[Path], list[Json]] | None = None
    """Reads the rows of another directory, where they do not lie there as they are stored here."""


class Difference(NamedTuple):
    """A row that differs."""

    case: str
    texts: tuple[str, ...]
    reason: str
    """Key of the reason; empty where there is none."""


class Report(NamedTuple):
    """What came of one file."""

    name: str
    run: int
    differences: tuple[Difference, ...]

    @property
    def explained(self) -> int:
        """Rows that differ for a reason that is written down."""
        return sum(1 for each in self.differences if each.reason)

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """Rows that just differ."""
        return tuple(each for each in self.differences if not each.reason)

    @property
    def agreed(self) -> int:
        """Rows that agree."""
        return self.run - len(self.differences)


def run(file: CaseFile, rows: Iterable[Json]) -> Report:
    """Run all rows of a file."""
    count = 0
    found: list[Difference] = []
    for row in rows:
        count += 1
        texts = _differences(file, row)
        if texts:
            found.append(Difference(name_of(row, count), tuple(texts), reason_of(file, row)))
    return Report(file.name, count, tuple(found))


def _differences(file: CaseFile, row: Json) -> list[str]:
    try:
        return file.differences(row)
    except Exception as error:  # noqa: BLE001  a row that cannot be run differs; the others are still run
        return [f"{type(error).__name__}: {error}"]


def reason_of(file: CaseFile, row: Json) -> str:
    """Return the key of the first reason that covers a row; empty where none does."""
    return next((reason.key for reason in file.reasons if reason.covers(row)), "")


def name_of(row: Json, number: int) -> str:
    """Return what a row is called."""
    for key in ("id", "in", "check", "op", "source"):
        if row.get(key):
            return f"{row[key]} (line {number})"
    return f"line {number}"


def stored_rows(file: CaseFile) -> list[Json]:
    """Return the rows that are kept in this repository."""
    return read_lines(STORED / file.stored)


def rows_of(file: CaseFile, directory: Path) -> list[Json] | None:
    """Return the rows of the file of that name in another directory; None where there is none."""
    path = existing(directory, file.name)
    if path is None:
        return None
    return file.read(path) if file.read is not None else read_lines(path)


def existing(directory: Path, name: str) -> Path | None:
    """Return the file of that name, compressed or not, in a directory or in its folder `truth`."""
    for place in (directory, directory / "truth"):
        for candidate in (name, f"{name}.gz", name.removesuffix(".gz")):
            if (place / candidate).is_file():
                return place / candidate
    return None


def read_lines(path: Path) -> list[Json]:
    """Read one JSON document a line."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    rows: list[Json] = []
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise CaseError(f"{path}:{number}: is no JSON ({error}); write one document a line") from None
    return rows


def compare(what: str, found: object, expected: object) -> list[str]:
    """Return the difference between what is found and what is expected, if there is one."""
    return [] if found == expected else [f"{what}: {found!r}, expected {expected!r}"]


def spoiled(file: CaseFile, row: Json) -> Json:
    """Return a copy of a row that expects something else, which no correct answer agrees with."""
    return {key: _other(value) if key in file.expectation else value for key, value in row.items()}


def _other(value: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 7
    if isinstance(value, dict):
        return {key: _other(item) for key, item in value.items()} or {"cpu": "7"}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_other(item) for item in value] or ["?"]
    if value is None:
        return "?"
    return {"pass": "fail", "fail": "pass", "baseline": "restricted", "v1.0": "v1.1"}.get(value, f"7{value}")
