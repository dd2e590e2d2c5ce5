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

from webhook.policy.model.problems import PolicyProblem

MAX_BYTES = 1024 * 1024
"""Largest policy file: a ConfigMap, the usual way for files into a pod, cannot hold more either."""
SUFFIXES = (".yaml", ".yml")


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
    for path, status in _walk(directory, problems):
        digest.update(f"{path}\0".encode("utf-8", "surrogateescape"))
        unusable = _unusable(status)
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


def marks(directory: Path) -> frozenset[tuple[object, ...]]:
    """Return cheap marks of all policy files, without reading them: equal marks mean that nothing seems changed.

    Each holds the name, and inode, size and times of the file that the name leads to, so that edits, renames and
    swapped links all show.
    """
    problems: list[PolicyProblem] = []
    found: set[tuple[object, ...]] = set()
    for path, status in _walk(directory, problems):
        if isinstance(status, OSError):
            found.add((str(path), status.errno))
        else:
            times = (status.st_mtime_ns, status.st_ctime_ns)
            found.add((str(path), status.st_dev, status.st_ino, status.st_mode, status.st_size, *times))
    return frozenset(found.union(problems))


_Error = tuple[str, str]
_FileStatus = os.stat_result | OSError
"""What is known of a file, or why nothing is."""


def _walk(directory: Path, problems: list[PolicyProblem]) -> Iterator[tuple[Path, _FileStatus]]:
    """Yield the policy files below a directory by path, each real file once; what cannot be listed is a problem."""
    top = _status(directory)
    if isinstance(top, OSError):
        cure = "Create it, or give another directory." if isinstance(top, FileNotFoundError) else "Make it readable."
        problems.append(PolicyProblem(_shown(directory), 0, 0, "", _reason(top), cure))
        return
    if not stat.S_ISDIR(top.st_mode):
        problems.append(
            PolicyProblem(_shown(directory), 0, 0, "", "is not a directory", "Give the directory that holds it.")
        )
        return
    seen = {(top.st_dev, top.st_ino)}
    pending = [str(directory)]
    while pending:
        current = pending.pop()
        try:
            with os.scandir(current) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(PolicyProblem(_shown(Path(current)), 0, 0, "", _reason(error), "Make it readable."))
            continue
        below = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            status = _status(entry)
            if isinstance(status, OSError):
                if entry.name.endswith(SUFFIXES):
                    yield Path(entry.path), status
                continue
            is_directory = stat.S_ISDIR(status.st_mode)
            if (status.st_dev, status.st_ino) in seen or not (is_directory or entry.name.endswith(SUFFIXES)):
                continue
            seen.add((status.st_dev, status.st_ino))
            if is_directory:
                below.append(entry.path)
            else:
                yield Path(entry.path), status
        pending.extend(reversed(below))


def _status(path: Path | os.DirEntry[str]) -> _FileStatus:
    try:
        return path.stat()
    except OSError as error:
        return error


def _unusable(status: _FileStatus) -> _Error | None:
    if isinstance(status, OSError):
        return _reason(status), "Make it readable, or remove it."
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
