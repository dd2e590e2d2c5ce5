"""The command line: one module a command, found by listing this package.

A module without a leading underscore offers ``COMMAND``, a click command. Errors that a person can mend are raised as
`InputError` and end as one line on standard error with exit status 2.
"""

import importlib
import pkgutil
import sys

import click

from webhook.cli._fault import InputError

_INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended, as shells have it."""


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
    try:
        status = _podgate.main(prog_name="podgate", standalone_mode=False)
    except click.UsageError as error:
        _show_usage(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(_INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def _show_usage(error: click.UsageError) -> None:
    """Tell a wrong flag in one line; a command that was given nothing at all shows its help."""
    message = error.format_message()
    if "\n" in message:
        error.show()
        return
    command = error.ctx.command_path if error.ctx is not None else "podgate"
    click.echo(f"podgate: {message.rstrip('.')}; see {command} --help", err=True)


__all__ = ["InputError", "main"]
