"""The command line: one module a command, found by listing this package.

A module without a leading underscore offers ``COMMAND``, a click command. Errors that a person can mend are raised as
`Fault` and end as one line on standard error with exit status 2.
"""

import importlib
import pkgutil

import click

from webhook.cli._fault import Fault


class _Commands(click.Group):
    """Loads a command's module when it is asked for, so that `podgate schema` need not import a server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").COMMAND
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="podgate", message="%(prog)s %(version)s")
def _podgate() -> None:
    """Keep the cost and the security of Kubernetes pods inside guardrails."""


def main() -> None:
    """Run the command line; the console script `podgate`."""
    _podgate(prog_name="podgate")


__all__ = ["Fault", "main"]
