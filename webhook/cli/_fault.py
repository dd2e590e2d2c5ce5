"""How a command says that it cannot go on."""

import sys
from typing import IO, Any

import click


class InputError(click.ClickException):
    """Input or flags that are wrong: one line each on standard error, exit status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the lines, each after the name of the program."""
        stream = file if file is not None else sys.stderr
        for line in self.message.splitlines():
            click.echo(f"podgate: {line}", file=stream)
