"""`podgate certs`: a certificate authority and a serving certificate in a directory."""

from pathlib import Path

import click

import certs
from webhook import assembly
from webhook.cli._fault import InputError


@click.command("certs", short_help="Make or renew a local CA and serving certificate.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=".local/certs",
    metavar="DIR",
    show_default=True,
    help="Holds ca.crt, tls.crt and tls.key; what is missing is made there.",
)
@click.option(
    "--namespace", default="podgate", metavar="NS", show_default=True, help="Namespace of the Service podgate."
)
@click.option("--name", "extra", multiple=True, metavar="HOST", help="Further host name or IP address; repeatable.")
def COMMAND(directory: Path, namespace: str, extra: tuple[str, ...]) -> None:  # noqa: N802
    """Put DIR in order: make what is missing, renew what is due and was made here, refuse what is broken.

    The certificate is for localhost and for the Service podgate of the namespace.
    """
    try:
        paths = certs.ensure(directory, certs.server_names(namespace, extra), assembly.utc_now())
        ends = certs.expiries(paths)
    except certs.CertificateError as error:
        raise InputError(str(error)) from None
    for change in paths.changes:
        click.echo(change)
    for part, path in (("ca", paths.ca_crt), ("leaf", paths.tls_crt)):
        click.echo(f"{path}: good until {ends[part]:%Y-%m-%d}")
