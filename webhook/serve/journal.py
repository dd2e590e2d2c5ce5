"""The journal over HTTP, for `podgate why`: on the operations port, and for callers on the same machine alone.

Findings and names of workloads are nothing for everybody who may scrape metrics. ``kubectl port-forward`` ends on the
pod's own loopback, so whoever may forward to a pod may ask, and nobody else. A request must also call the host by a
name of loopback: a web page that has its own name point there gets nothing.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response

from webhook.reporting.journal import Journal, KeptDecision
from webhook.serve import admission_app

PATH: Final = "/journal"
MOST: Final = 50
"""Decisions in one answer."""

_FORBIDDEN: Final = "the journal answers on loopback alone; use kubectl port-forward, then podgate why"
_ENCODER: Final = msgspec.json.Encoder()


def add(app: FastAPI, journal: Journal) -> None:
    """Add the path to the application of the operations port."""

    @app.get(PATH)
    async def about(request: Request, namespace: str = "", kind: str = "", name: str = "") -> Response:
        if not _is_local(request):
            return Response(admission_app.error_body(_FORBIDDEN), 403, media_type="application/json")
        found = journal.about(namespace, kind, name)
        return Response(_ENCODER.encode({"decisions": list(_told(found[-MOST:]))}), media_type="application/json")


def _told(found: Iterable[KeptDecision]) -> Iterable[dict[str, Any]]:
    for kept in found:
        yield {"times": kept.times, "first": kept.first, "last": kept.last, "entry": msgspec.Raw(kept.line.strip())}


def _is_local(request: Request) -> bool:
    client = request.client
    host = request.url.hostname or ""
    return client is not None and _is_loopback(client.host) and (host == "localhost" or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
