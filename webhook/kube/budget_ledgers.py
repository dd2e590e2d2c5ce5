"""`BudgetLedger` objects by the name of their budget: read, created, and their status replaced under the version read.

What a status says is no matter here; it goes through as bytes. Reviews wait for these calls, so errors keep what a
caller has to know: `ConflictError` is that somebody was faster, and any other error but a refusal leaves open whether
the write was done.
"""

from typing import Final, NamedTuple, Protocol

import msgspec

from webhook.kube import client as api
from webhook.kube.objects import Object
from webhook.kube.reflector import Resource
from webhook.kube.rest import Rest
from webhook.kube.watch_wire import Malformed, Meta

KIND: Final = "BudgetLedger"
PLURAL: Final = "budgetledgers"
API_VERSION: Final = "podgate.dev/v1alpha1"
PATH: Final = f"/apis/{API_VERSION}/{PLURAL}"
RESOURCE: Final = Resource(PLURAL, PATH, may_be_absent=True)

_NOTHING: Final = msgspec.Raw(b"{}")


class StoredLedger(NamedTuple):
    """One ledger as it was read."""

    name: str
    """Of the budget."""
    uid: str
    version: str
    status: bytes
    """JSON; empty where none was written yet."""


class Ledgers(Protocol):
    """Where ledgers are kept. Blocking; may be used from many threads."""

    def read(self, name: str) -> StoredLedger | None:
        """Return a ledger as it is now; None where there is none. Raises `ApiError`."""

    def create(self, name: str) -> StoredLedger:
        """Create a ledger that says nothing yet. Raises `ConflictError` where one exists, `ApiError`."""

    def write(self, before: StoredLedger, status: bytes) -> StoredLedger:
        """Replace what a ledger says. Raises `ConflictError` where it is not as it was read, `ApiError`."""

    def delete(self, before: StoredLedger) -> None:
        """Delete a ledger that is as it was read. Raises `ConflictError` where it is not, `ApiError`."""


class _LedgerObject(Object):
    metadata: Meta = msgspec.field(default_factory=Meta)
    status: msgspec.Raw = _NOTHING


_DECODER = msgspec.json.Decoder(_LedgerObject)


def decode(raw: msgspec.Raw | bytes, meta: Meta | None = None) -> StoredLedger:
    """Return a ledger as a watch or an answer has it.

    Raises:
        Malformed: it is no object.
    """
    try:
        found = _DECODER.decode(raw)
    except msgspec.DecodeError as error:
        raise Malformed(f"does not decode: {error}; delete it, and it is made anew from what runs") from None
    told = meta or found.metadata
    status = bytes(found.status)
    return StoredLedger(told.name, told.uid, told.resource_version, b"" if status in (b"{}", b"null") else status)


def is_newer(one: StoredLedger, other: StoredLedger) -> bool:
    """Whether `one` was stored after `other`; versions of one resource are numbers that grow."""
    mine, its = one.version, other.version
    if mine.isascii() and mine.isdigit() and its.isascii() and its.isdigit():
        return int(mine) > int(its)
    return False


class BudgetLedgers:
    """`Ledgers` on the API server."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def read(self, name: str) -> StoredLedger | None:
        """Return a ledger as it is now; see `Ledgers`."""
        path = f"{PATH}/{name}"
        try:
            return _answer(path, self._rest.request("GET", path))
        except api.NotFoundError:
            return None

    def create(self, name: str) -> StoredLedger:
        """Create a ledger that says nothing yet; see `Ledgers`."""
        # A status that comes with a new object would be dropped.
        content = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "podgate"}},
            "spec": {"budget": name},
        }
        return _answer(PATH, self._rest.request("POST", PATH, body=msgspec.json.encode(content)))

    def write(self, before: StoredLedger, status: bytes) -> StoredLedger:
        """Replace what a ledger says; see `Ledgers`."""
        path = f"{PATH}/{before.name}/status"
        metadata = {"name": before.name, "uid": before.uid, "resourceVersion": before.version}
        content = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": msgspec.Raw(status)}
        try:
            return _answer(path, self._rest.request("PUT", path, body=msgspec.json.encode(content)))
        except api.NotFoundError as error:
            raise api.ConflictError(f"{error}; it was deleted meanwhile", 404) from None

    def delete(self, before: StoredLedger) -> None:
        """Delete a ledger that is as it was read; see `Ledgers`."""
        condition = {"uid": before.uid, "resourceVersion": before.version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": condition}
        try:
            self._rest.request("DELETE", f"{PATH}/{before.name}", body=msgspec.json.encode(body))
        except api.NotFoundError:
            return


def _answer(path: str, body: bytes) -> StoredLedger:
    try:
        return decode(body)
    except Malformed as error:
        raise api.ApiError(f"{path}: {error}") from None
