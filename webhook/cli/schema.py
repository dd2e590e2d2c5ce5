"""``podgate schema [KIND]``: JSON Schema of the policy YAML, for editors and the YAML language server."""

import json

import click

from webhook.cli._fault import InputError
from webhook.policy.model import discovery
from webhook.policy.schema import json_schema
from webhook.simulate.cases import model


def schema_text(kind: str | None) -> str:
    """Return the schema of one kind, or of a document of any kind, as JSON text that ends with a line break.

    Raises:
        ValueError: there is no such kind; one line with the cure.
    """
    kinds = (*discovery.kinds(), model.KIND)
    if kind is not None and kind not in kinds:
        near = discovery.nearest(kind, kinds)
        cure = f"Did you mean {near}?" if near else f"Known are {', '.join(kinds)}."
        raise ValueError(f"{kind!r} is no kind of policy. {cure}")
    made = model.schema() if kind == model.KIND else json_schema.schema(kind)
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _print(kind: str | None) -> None:
    try:
        click.echo(schema_text(kind), nl=False)
    except ValueError as error:
        raise InputError(str(error)) from None


COMMAND = click.command(
    "schema",
    short_help="Print the JSON Schema of the policy YAML.",
    help="Print the JSON Schema of one KIND of policy YAML, of all of them, or of Case files, for editors.",
)(click.argument("kind", required=False)(_print))
