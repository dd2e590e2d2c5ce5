"""Whether a scheduler is alive, told by the Lease that it renews.

A kube-scheduler holds a Lease of its own name while it leads, and renews it every few seconds. A pod whose scheduler
does not run stays Pending for ever, so a scheduler counts as alive only while all of this holds:

* the Lease has a holder,
* it was renewed no longer ago than its own duration and `SKEW`,
* it was not renewed in the future by more than that: a clock that is far ahead would keep a dead scheduler alive.

Clocks of the scheduler's node and of this process are compared, so they have to agree within `SKEW`. Where they do
not, the scheduler counts as dead, and pods stay with the default scheduler, which is the harmless mistake.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from webhook.kube.objects import Object

SKEW: Final = timedelta(seconds=5)
"""Difference of clocks, and lag of the watch, that is let pass."""

_DEFAULT_SECONDS: Final = 15
"""Duration of a Lease that names none: the default of kube-scheduler."""

_LONGEST_SECONDS: Final = 3600
"""A Lease that is good for longer says nothing about who is alive."""


class Lease(NamedTuple):
    """What a Lease says."""

    holder: str
    """Empty where nobody holds it."""
    renewed: datetime | None
    duration: timedelta


class _LeaseSpec(Object):
    holder_identity: str | None = None
    renew_time: str | None = None
    lease_duration_seconds: int | None = None


class _RawLease(Object):
    spec: _LeaseSpec | None = None


_DECODER = msgspec.json.Decoder(_RawLease)


def decode(raw: bytes | msgspec.Raw) -> Lease:
    """Read a ``coordination.k8s.io/v1`` Lease.

    Raises:
        ValueError: a field is of the wrong type, or the time is none.
    """
    spec = _DECODER.decode(raw).spec or _LeaseSpec()
    renewed = datetime.fromisoformat(spec.renew_time) if spec.renew_time else None
    if renewed is not None and renewed.tzinfo is None:
        raise ValueError(f"spec.renewTime {spec.renew_time!r} has no zone; write it as 2006-01-02T15:04:05.000000Z")
    seconds = spec.lease_duration_seconds if spec.lease_duration_seconds is not None else _DEFAULT_SECONDS
    return Lease(spec.holder_identity or "", renewed, timedelta(seconds=max(0, min(seconds, _LONGEST_SECONDS))))


def is_fresh(lease: Lease, now: datetime) -> bool:
    """Whether the holder of a Lease is alive."""
    if not lease.holder or lease.renewed is None:
        return False
    return abs(now - lease.renewed) <= lease.duration + SKEW
