"""The ``caBundle`` of our two webhook objects. Nothing else of them is read into a decision, nothing else is written.

The objects belong to whoever installed Podgate. Only ``clientConfig.caBundle`` of their entries is patched, with a
JSON Patch that fails where the object has changed since it was read.
"""

import base64
import binascii
from typing import Any, NamedTuple

from webhook.kube import client as api
from webhook.kube import rest as objects

_GROUP = "/apis/admissionregistration.k8s.io/v1"
RESOURCES = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")


class LiveObject(NamedTuple):
    """One webhook object as it was read."""

    path: str
    resource: str
    """One of `RESOURCES`."""
    document: objects.Json
    bundles: tuple[bytes, ...]
    """The ``caBundle`` of every entry, in order; empty bytes where it has none, or none that is base64."""


class WebhookObjects:
    """The mutating and the validating webhook object of one name."""

    def __init__(self, rest: objects.Rest, name: str) -> None:
        self._rest = rest
        self.name = name

    def read(self) -> tuple[LiveObject, ...]:
        """Return the objects that exist.

        Raises:
            ApiError: one that cannot be read.
        """
        found: list[LiveObject] = []
        for resource in RESOURCES:
            path = f"{_GROUP}/{resource}/{self.name}"
            try:
                document = objects.get(self._rest, path)
            except api.NotFoundError:
                continue
            found.append(LiveObject(path, resource, document, tuple(_bundle(entry) for entry in _entries(document))))
        return tuple(found)

    def publish(self, live: LiveObject, bundle: bytes) -> bool:
        """Give every entry of one object the bundle; return whether any had another.

        Raises:
            ConflictError: the object was changed or removed meanwhile.
            ApiError: it cannot be patched.
        """
        encoded = base64.b64encode(bundle).decode("ascii")
        operations: list[dict[str, Any]] = [
            # `add` on a member replaces what is there, and also works where nothing is.
            {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": encoded}
            for index, present in enumerate(live.bundles)
            if present != bundle
        ]
        if not operations:
            return False
        # Writing the version that was read makes the API server compare it with its own, and answer 409 where they
        # differ.
        version = {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": objects.resource_version(live.document),
        }
        objects.patch(self._rest, live.path, [version, *operations])
        return True


def _entries(content: objects.Json) -> list[dict[str, Any]]:
    entries = content.get("webhooks")
    return [entry if isinstance(entry, dict) else {} for entry in entries] if isinstance(entries, list) else []


def _bundle(entry: dict[str, Any]) -> bytes:
    config = entry.get("clientConfig")
    text = config.get("caBundle") if isinstance(config, dict) else None
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""
