"""A directory where commands of the command line run in tests."""

import io
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from webhook import cli


class Ran(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


class Desk:
    """A directory, and what is run in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def write(self, name: str, *documents: object) -> str:
        """Write documents into a file; text as it is, everything else as YAML."""
        file = self.path / name
        file.parent.mkdir(exist_ok=True, parents=True)
        texts = [item if isinstance(item, str) else yaml.safe_dump(item) for item in documents]
        file.write_text("\n---\n".join(texts))
        return name

    def run(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """Run ``podgate`` with these arguments in this directory."""
        self._monkeypatch.chdir(self.path)
        self._monkeypatch.setattr(sys, "argv", ["podgate", *arguments])
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, shown.out, shown.err)
