"""The annotation that keeps what the author wrote: ``podgate.dev/original-resources``.

Compact JSON, one entry per container that was sized, with the keys that were changed and no others::

    {"app": {"requests": {"cpu": "100m"}, "limits": {"cpu": null},
             "applied": {"requests": {"cpu": "250m"}, "limits": {"cpu": "750m"}}}}

``null`` stands for a key that was absent. ``applied`` is what was written in its place: where the pod still has that
very value, a second pass starts from the author's value again, so nothing is ever multiplied twice; where somebody has
changed it since, the pod's present value is the author's. What cannot be read counts as no annotation.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from webhook.kube.objects import RawQuantity, ResourceMap

ANNOTATION: Final = "podgate.dev/original-resources"

ResourceField = Literal["requests", "limits"]


class Applied(msgspec.Struct, gc=False):
    """What was written."""

    requests: ResourceMap = {}
    limits: ResourceMap = {}


class Original(msgspec.Struct, gc=False):
    """What one container had before."""

    requests: ResourceMap = {}
    limits: ResourceMap = {}
    applied: Applied = msgspec.field(default_factory=Applied)

    def record(self, field: ResourceField, resource: str, before: RawQuantity | None, after: str) -> None:
        """Note that `after` was written where `before` stood."""
        if field == "requests":
            self.requests[resource] = before
            self.applied.requests[resource] = after
        else:
            self.limits[resource] = before
            self.applied.limits[resource] = after


Entries = Mapping[str, Original]
"""By container name."""

_DECODER: Final = msgspec.json.Decoder(dict[str, Original])
_ENCODER: Final = msgspec.json.Encoder()
_NONE: Final[Entries] = {}


def read(text: str | None) -> Entries:
    """Return the entries of the annotation's text; empty where there is none, or none that can be read."""
    if text is None:
        return _NONE
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return _NONE


def write(entries: Entries) -> str:
    """Return the annotation's text. Containers keep the order in which they stand in the pod."""
    return _ENCODER.encode(entries).decode()
