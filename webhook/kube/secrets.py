"""A Secret as a mapping of bytes: read tolerantly, written whole, under the version that was read."""

import base64
import binascii
from typing import NamedTuple

from webhook.kube import client as api
from webhook.kube import rest as objects


class StoredSecret(NamedTuple):
    """A Secret as it was read."""

    data: dict[str, bytes]
    """Entries that are no base64 are left out; an API server lets none in, so they are not worth more."""
    document: objects.Json


class SecretStore:
    """One Secret by its name."""

    def __init__(self, rest: objects.Rest, namespace: str, name: str) -> None:
        self._rest = rest
        self._collection = f"/api/v1/namespaces/{namespace}/secrets"
        self.path = f"{self._collection}/{name}"
        """Where it lies, for messages."""
        self._name = name

    def read(self) -> StoredSecret | None:
        """Return the Secret; None where it does not exist.

        Raises:
            ApiError: it cannot be read.
        """
        try:
            document = objects.get(self._rest, self.path)
        except api.NotFoundError:
            return None
        raw = document.get("data")
        data: dict[str, bytes] = {}
        for key, value in raw.items() if isinstance(raw, dict) else ():
            try:
                data[str(key)] = base64.b64decode(value, validate=True)
            except (binascii.Error, TypeError, ValueError):
                continue
        return StoredSecret(data, document)

    def write(self, data: dict[str, bytes], before: StoredSecret | None) -> None:
        """Store `data` as the whole content.

        Args:
            data: all entries.
            before: what was read; None to create the Secret.

        Raises:
            ConflictError: it was changed, created or deleted meanwhile.
            ApiError: it cannot be written.
        """
        encoded = {key: base64.b64encode(value).decode("ascii") for key, value in data.items()}
        if before is not None:
            objects.replace(self._rest, self.path, {**before.document, "data": encoded})
            return
        content: objects.Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self._name, "labels": {"app.kubernetes.io/managed-by": "podgate"}},
            "type": "Opaque",
            "data": encoded,
        }
        objects.create(self._rest, self._collection, content)
