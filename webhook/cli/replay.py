"""`podgate replay`: recorded AdmissionReviews against a running webhook, over HTTPS."""

import ssl
from pathlib import Path

import click
import httpx

from webhook.cli import _replay_table, _terminal
from webhook.cli._fault import InputError
from webhook.simulate import replay as replaying

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("replay", short_help="Replay recorded AdmissionReviews against a running webhook.")
@click.argument("recording", type=_FILE, metavar="FILE")
@click.option(
    "--to", "address", default="https://localhost:8443", metavar="URL", show_default=True, help="The webhook's address."
)
@click.option(
    "--ca", type=_FILE, default=".local/certs/ca.crt", metavar="FILE", show_default=True, help="Its authority."
)
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="FROM=TO",
    help="Use namespace TO for recorded namespace FROM; repeatable.",
)
@click.option("--all", "everything", is_flag=True, help="Print every row.")
def COMMAND(recording: Path, address: str, ca: Path, mapped: tuple[str, ...], everything: bool) -> None:  # noqa: N802
    """Send each AdmissionReview of FILE (.jsonl or .jsonl.gz, one a line) through the mutating and the validating call.

    Between the two calls the object gets the patch, a name and a UID, as an API server would do it. It takes money from
    the budgets of the webhook it is sent to, so point it at a test installation.
    """
    run(recording, address, ca, parse_map(mapped), None if everything else 60)


def parse_map(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return ``FROM=TO`` pairs as a dictionary."""
    found: dict[str, str] = {}
    for pair in pairs:
        source, separator, target = pair.partition("=")
        if not separator or not source or not target:
            raise InputError(f"--map {pair}: is no pair; write FROM=TO")
        found[source] = target
    return found


def run(recording: Path, address: str, ca: Path, namespaces: dict[str, str], most: int | None) -> None:
    """Replay, and print the table."""
    try:
        context = ssl.create_default_context(cafile=str(ca))
        reviews = list(replaying.read_recording(recording))
        with httpx.Client(base_url=address, verify=context) as client:
            results = [
                replaying.replay(client, review, namespaces) for review in _terminal.progress(reviews, "Replaying")
            ]
    except replaying.ReplayError as error:
        raise InputError(str(error)) from None
    except (OSError, httpx.InvalidURL) as error:
        raise InputError(f"{address} with authority {ca}: {error}; give --to URL and --ca FILE") from None
    _replay_table.show(_terminal.console(), results, most)
