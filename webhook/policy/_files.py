"""Finds and reads the files of a policy directory, and tells whether any of them changed.

Names that begin with a dot are skipped. That covers editors' swap files, and also how Kubernetes mounts a ConfigMap:
the visible ``a.yaml`` is a link through ``..data`` into a dated directory, so each file is met once, under its own
name.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from webhook.policy._problems import PolicyProblem

MAX_BYTES = 1024 * 1024
"""Largest policy file: a ConfigMap, the usual way for files into a pod, cannot hold more either."""
SUFFIXES = frozenset({".yaml", ".yml"})


class PolicyFile(NamedTuple):
    """The text of one file."""

    name: str
    """Path as said in errors: below the directory, as the directory was given."""
    content: str


class Listing(NamedTuple):
    """What a directory holds."""

    files: list[PolicyFile]
    problems: list[PolicyProblem]
    fingerprint: str
    """Hash of the names and contents of all files, the unreadable ones included."""


def read_directory(directory: Path) -> Listing:
    """Read all policy files below a directory, sorted by path; never raises because of what is there."""
    listing: list[PolicyFile] = []
    problems: list[PolicyProblem] = []
    digest = hashlib.sha256()
    for path, unusable in _walk(directory, problems):
        digest.update(f"{path}\0".encode("utf-8", "surrogateescape"))
        content, error = (b"", unusable) if unusable is not None else _read(path)
        digest.update(hashlib.sha256(content).digest())
        if error is not None:
            problems.append(PolicyProblem(_shown(path), 0, 0, "", *error))
            continue
        try:
            listing.append(PolicyFile(_shown(path), content.decode("utf-8-sig")))
        except UnicodeDecodeError as failure:
            line = content.count(b"\n", 0, failure.start) + 1
            problems.append(PolicyProblem(_shown(path), line, 0, "", "is not valid UTF-8", "Save the file in UTF-8."))
    for problem in problems:
        digest.update(str(problem).encode())
    return Listing(listing, problems, digest.hexdigest())


def marks(directory: Path) -> frozenset[tuple[str, ...]]:
    """Return cheap marks of all policy files, without reading them: equal marks mean that nothing seems changed.

    Each holds the name, where it really is, inode, size and times, so that edits, renames and swapped links all show.
    """
    found: set[tuple[str, ...]] = set()
    problems: list[PolicyProblem] = []
    for path, error in _walk(directory, problems):
        try:
            status = path.stat()
        except OSError as failure:
            found.add((str(path), str(failure.errno)))
            continue
        numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
        found.add((str(path), os.path.realpath(path), str(error), *map(str, numbers)))
    found.update(("problem", str(problem)) for problem in problems)
    return frozenset(found)


_Error = tuple[str, str]


def _walk(directory: Path, problems: list[PolicyProblem]) -> Iterator[tuple[Path, _Error | None]]:
    """Yield the policy files below a directory, each real file once, with what is wrong about it."""
    try:
        if not stat.S_ISDIR(directory.stat().st_mode):
            problems.append(
                PolicyProblem(_shown(directory), 0, 0, "", "is not a directory", "Give the directory that holds it.")
            )
            return
    except OSError as error:
        cure = (
            "Create it, or give another directory."
            if isinstance(error, FileNotFoundError)
            else "Check its path and mode."
        )
        problems.append(PolicyProblem(_shown(directory), 0, 0, "", _reason(error), cure))
        return
    seen: set[str] = set()
    pending = [directory]
    while pending:
        current = pending.pop()
        real = os.path.realpath(current)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(current.iterdir(), reverse=True)
        except OSError as error:
            problems.append(PolicyProblem(_shown(current), 0, 0, "", _reason(error), "Make it readable."))
            continue
        pending.extend(entry for entry in entries if not entry.name.startswith(".") and entry.is_dir())
        for entry in reversed(entries):
            if entry.name.startswith(".") or entry.suffix not in SUFFIXES or entry.is_dir():
                continue
            real = os.path.realpath(entry)
            if real not in seen:
                seen.add(real)
                yield entry, _unusable(entry)


def _unusable(path: Path) -> _Error | None:
    try:
        status = path.stat()
    except OSError as error:
        return _reason(error), "Make it readable, or remove it."
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file", "Remove it, or rename it."
    if status.st_size > MAX_BYTES:
        return f"is larger than {MAX_BYTES // 1024} KiB", "Split it into several files."
    return None


def _read(path: Path) -> tuple[bytes, _Error | None]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        return b"", (_reason(error), "Make it readable, or remove it.")
    if len(content) > MAX_BYTES:
        return b"", (f"is larger than {MAX_BYTES // 1024} KiB", "Split it into several files.")
    return content, None


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return "is not readable: permission denied"
    return f"is not readable: {(error.strerror or 'unknown reason').lower()}"


def _shown(path: Path) -> str:
    return str(path).encode("utf-8", "replace").decode()
