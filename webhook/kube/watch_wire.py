"""The JSON of lists and watches, as far as a reflector reads it."""

import msgspec

from webhook.kube import client
from webhook.kube.objects import Object


class Malformed(ValueError):  # noqa: N818  it is no failure of ours
    """An object that does not decode; one line: what, and the cure."""


class Meta(Object):
    """What every object says of itself."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class Named(Object):
    """Any object, as far as a reflector looks at it."""

    metadata: Meta = msgspec.field(default_factory=Meta)


class ListMeta(Object):
    """Of a page."""

    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class ListPage(Object):
    """A list, or a part of one."""

    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: list[msgspec.Raw] | None = None


class Event(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class Failure(msgspec.Struct):
    """A ``Status`` object."""

    code: int = 0


_PAGE = msgspec.json.Decoder(ListPage)
EVENT = msgspec.json.Decoder(Event)
_NAMED = msgspec.json.Decoder(Named)
_FAILURE = msgspec.json.Decoder(Failure)


def decode_page(body: bytes, path: str) -> ListPage:
    """Return a page. Raises UnreachableError where it is none: something other than an API server answers."""
    try:
        return _PAGE.decode(body)
    except msgspec.DecodeError as error:
        raise client.UnreachableError(f"{path}: the list is no JSON list: {error}") from None


def meta_of(raw: msgspec.Raw) -> Meta:
    """Return what an object says of itself. Raises `Malformed`."""
    try:
        return _NAMED.decode(raw).metadata
    except msgspec.DecodeError as error:
        raise Malformed(f"its metadata does not decode: {error}; correct the field") from None


def code_of(raw: msgspec.Raw) -> int:
    """Return the HTTP status inside a Status object."""
    try:
        return _FAILURE.decode(raw).code
    except msgspec.DecodeError:
        return 0
