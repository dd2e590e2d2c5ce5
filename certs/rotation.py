"""Certificates in a Secret that replicas share: what has to happen next, so that no call ever fails.

An API server verifies a replica's certificate with the ``caBundle`` of the webhook object. Certificate and bundle are
different objects, read by different processes at different times, so they can never change in the same moment. The
order of small steps makes up for it:

1. **Announce.** A new authority is made and stored beside the old one, which goes on signing.
2. **Publish.** Every live ``caBundle`` gets both.
3. **Settle.** Once all of them were seen to hold both, `SETTLE` has to pass: API servers see webhook objects through
   watches that may lag.
4. **Switch.** The new authority signs a new serving certificate. Replicas pick it up one after the other; both
   authorities are trusted, so it does not matter when.
5. **Retire.** After `OVERLAP` the old authority leaves the live bundles first and the Secret after that.

A due serving certificate alone is a single step: its authority is trusted already.

`plan` is pure. It looks at the Secret and at the live bundles and names one step, the next; whoever carries it out
looks again afterwards. No step depends on having been the one who did the step before, so a leader may end anywhere.
Nor does safety depend on there being one leader, given two habits of the caller: it reads the webhook objects before
the Secret, and it writes each under the resource version it has read. A plan from an outdated look then meets a
conflict: nobody can publish a bundle that is older than the Secret it was read with.

Whatever is trusted in a live bundle and unknown to the Secret is adopted rather than removed: after a Secret was
deleted, restored from a backup, or edited by hand, replicas still serve what they hold in memory.

A Secret without ``ca.key`` whose certificate was signed by an authority that is not ours belongs to somebody else. Its
bundle is published; the rest is only checked.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certs import authority as authorities
from certs import bundle, checks, leaf

CA_CRT: Final = "ca.crt"
"""All authorities that are to be trusted."""
CA_KEY: Final = "ca.key"
"""Key of the authority that signs."""
NEXT_CA_KEY: Final = "next-ca.key"
"""Key of the authority that has been announced."""
TLS_CRT: Final = "tls.crt"
TLS_KEY: Final = "tls.key"
SINCE: Final = "since"
"""A time: with ``next-ca.key`` since when all live bundles hold its authority, else since when more than one
authority is trusted without need."""

SETTLE: Final = dt.timedelta(minutes=2)
"""From seeing a bundle in the live objects to relying on it; watches of API servers lag by seconds."""

OVERLAP: Final = dt.timedelta(days=1)
"""How long an authority stays trusted that signs no more; replicas pick up a new certificate within a minute."""

TOLERANCE: Final = dt.timedelta(minutes=1)
"""How far in the future a stored time may be; beyond it somebody's clock was wrong, and the wait begins anew."""

OUR_PREFIX: Final = "Podgate CA "
"""Common names of authorities that this package makes begin so."""

Data = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Write:
    """Store this as the whole content of the Secret."""

    data: Data
    reason: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Make this the ``caBundle`` of every webhook whose bundle is not the same already."""

    bundle: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """What to do next."""

    step: Write | Publish | None = None
    """None: nothing now."""
    problem: str | None = None
    """What only a person can mend; one line with the cure."""
    due: dt.datetime | None = None
    """When a wait that is part of a rotation ends."""


@dataclass(frozen=True, slots=True)
class _StoredSecret:
    """The Secret as it was read, and what the live bundles trust."""

    anchors: tuple[x509.Certificate, ...]
    """Authorities of the Secret that have not ended."""
    is_tidy: bool
    """Whether ``ca.crt`` holds these and nothing else."""
    signer: authorities.Authority | None
    following: authorities.Authority | None
    pair: bundle.KeyPair | None
    since: dt.datetime | None
    live: tuple[tuple[x509.Certificate, ...], ...]
    """One entry a live bundle: what has not ended."""

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        """Everything that some live bundle trusts."""
        return tuple(dict.fromkeys(entry for entries in self.live for entry in entries))


def plan(data: Data | None, live: Sequence[bytes], names: Sequence[str], now: dt.datetime) -> RotationPlan:
    """Say what has to happen next.

    Args:
        data: content of the Secret; None where it does not exist. Anything may be in it.
        live: the ``caBundle`` of every webhook that calls us, empty bytes where it has none; read before `data`.
        names: what the serving certificate must carry, see `certs.leaf.server_names`.
        now: aware; best the API server's own time, since it is the API server that will judge.
    """
    if data is not None and _is_foreign(data):
        return _foreign(data, live, names, now)
    found = _read(data or {}, live, now)
    if found.signer is None and found.following is None:
        return _begin(data or {}, found, names, now)
    extra = [entry for entry in found.trusted if entry not in found.anchors]
    if extra:
        data = _with(data or {}, {CA_CRT: bundle.encode([*found.anchors, *extra])})
        # In the middle of a rotation the time is that of the announcement, which this does not change.
        if found.following is None:
            data[SINCE] = _stamp(now)
        return RotationPlan(Write(data, f"adopted {len(extra)} authorities that the live webhook objects trust"))
    if found.following is not None:
        return _go_on(data or {}, found, found.following, names, now)
    assert found.signer is not None  # noqa: S101  one of both is there
    return _keep(data or {}, found, found.signer, names, now)


def expiries(data: Data | None, live: Sequence[bytes]) -> dict[str, dt.datetime]:
    """Return when each part ends: ``ca`` (the signing authority), ``leaf``, ``bundle`` (what the live objects trust).

    Parts that cannot be told are left out. The first of them to end decides when calls begin to fail.
    """
    ends: dict[str, dt.datetime] = {}
    if data is None:
        return ends
    pair = bundle.parse_pair(data.get(TLS_CRT), data.get(TLS_KEY))
    anchors = bundle.parse(data.get(CA_CRT)).certificates
    key = bundle.parse_key(data.get(CA_KEY))
    signing = [entry for entry in anchors if key is not None and checks.pair_problem(entry, key) is None]
    if signing or anchors:
        ends["ca"] = max(entry.not_valid_after_utc for entry in signing or anchors)
    if pair is not None:
        ends["leaf"] = pair.ends
        trust = bundle.trust_ends(pair, live)
        if trust is not None:
            ends["bundle"] = trust
    return ends


# --- no authority that could sign -----------------------------------------------------------------------------------


def _begin(data: Data, found: _StoredSecret, names: Sequence[str], now: dt.datetime) -> RotationPlan:
    made = authorities.create(now)
    key = checks.encode_key(made.key)
    reason = "it was missing" if not data else "the Secret holds no authority with its key"
    if not found.trusted:
        # Nobody trusts anything yet: there is nothing to be careful about.
        content = {CA_CRT: bundle.encode([made.certificate]), CA_KEY: key, **_leaf(made, names, now)}
        return RotationPlan(Write(content, f"made an authority and a serving certificate: {reason}"))
    kept = tuple(dict.fromkeys([*found.anchors, *found.trusted]))
    content = {CA_CRT: bundle.encode([*kept, made.certificate]), NEXT_CA_KEY: key}
    if found.pair is not None and checks.path_problem(found.pair.chain, kept, now) is None:
        content |= {TLS_CRT: data[TLS_CRT], TLS_KEY: data[TLS_KEY]}
    return RotationPlan(Write(content, f"announced a new authority: {reason}"))


# --- between two authorities ----------------------------------------------------------------------------------------


def _go_on(
    data: Data, found: _StoredSecret, following: authorities.Authority, names: Sequence[str], now: dt.datetime
) -> RotationPlan:
    if found.signer is not None:
        # A rotation may be held up for long, by a permission that is missing for instance; the certificate is not.
        reason = _leaf_problem(found.pair, found.signer, names, now)
        if reason is not None and now >= found.signer.certificate.not_valid_before_utc:
            return RotationPlan(
                Write(_with(data, _leaf(found.signer, names, now)), f"made a serving certificate: {reason}")
            )
    if not found.is_tidy:
        return RotationPlan(
            Write(_with(data, {CA_CRT: bundle.encode(found.anchors)}), "removed what is no valid authority")
        )
    if any(not bundle.same(entries, found.anchors) for entries in found.live):
        if found.since is not None:
            # The live bundles did hold it and no longer do: the wait begins anew.
            return RotationPlan(Write(_without(data, SINCE), "a live caBundle has lost the announced authority"))
        return RotationPlan(Publish(bundle.encode(found.anchors), "the announced authority is to be trusted"))
    if found.since is None or found.since > now + TOLERANCE:
        return RotationPlan(
            Write(_with(data, {SINCE: _stamp(now)}), "every live caBundle holds the announced authority")
        )
    due = found.since + SETTLE
    if now < due:
        return RotationPlan(due=due)
    others = [entry for entry in found.anchors if entry != following.certificate]
    content = {
        CA_CRT: bundle.encode([following.certificate, *others]),
        CA_KEY: checks.encode_key(following.key),
        SINCE: _stamp(now),
        **_leaf(following, names, now),
    }
    return RotationPlan(Write(content, "the announced authority signs from now on"))


# --- one authority signs --------------------------------------------------------------------------------------------


def _keep(
    data: Data, found: _StoredSecret, signer: authorities.Authority, names: Sequence[str], now: dt.datetime
) -> RotationPlan:
    begin = signer.certificate.not_valid_before_utc
    if now < begin:
        return RotationPlan(
            problem=f"the authority is not valid before {begin:%Y-%m-%d %H:%M} UTC; set the clocks right"
        )
    others = [entry for entry in found.anchors if entry != signer.certificate]
    is_over = bool(others) and found.since is not None and now >= found.since + OVERLAP
    wanted = (signer.certificate,) if is_over else found.anchors
    if any(not set(wanted) <= set(entries) for entries in found.live):
        return RotationPlan(Publish(bundle.encode(wanted), "a live caBundle does not trust the authority that signs"))
    reason = _leaf_problem(found.pair, signer, names, now)
    if reason is not None:
        return RotationPlan(Write(_with(data, _leaf(signer, names, now)), f"made a serving certificate: {reason}"))
    if not found.is_tidy:
        return RotationPlan(
            Write(_with(data, {CA_CRT: bundle.encode(found.anchors)}), "removed what is no valid authority")
        )
    if any(not bundle.same(entries, wanted) for entries in found.live):
        return RotationPlan(
            Publish(bundle.encode(wanted), "an authority that signs no more is not to be trusted any longer")
        )
    if is_over:
        content = _without(_with(data, {CA_CRT: bundle.encode(wanted)}), SINCE)
        return RotationPlan(Write(content, "removed the authority that signs no more"))
    if others and (found.since is None or found.since > now + TOLERANCE):
        return RotationPlan(
            Write(_with(data, {SINCE: _stamp(now)}), "an authority that signs no more is to be retired")
        )
    due = authorities.renewal_reason(signer.certificate, now)
    if due is not None:
        made = authorities.create(now)
        content = _with(data, {CA_CRT: bundle.encode([*found.anchors, made.certificate])})
        content[NEXT_CA_KEY] = checks.encode_key(made.key)
        return RotationPlan(Write(_without(content, SINCE), f"announced a new authority: {due}"))
    return RotationPlan(due=found.since + OVERLAP if others and found.since is not None else None)


def _leaf_problem(
    pair: bundle.KeyPair | None, signer: authorities.Authority, names: Sequence[str], now: dt.datetime
) -> str | None:
    if pair is None:
        return "there was none that belongs to its key"
    if not checks.is_signed_by(pair.chain[0], signer.key):
        return "another authority had signed it"
    return leaf.renewal_reason(pair.chain[0], names, now)


# --- somebody else's ------------------------------------------------------------------------------------------------


def _is_foreign(data: Data) -> bool:
    if data.get(CA_KEY) or data.get(NEXT_CA_KEY):
        return False
    pair = bundle.parse_pair(data.get(TLS_CRT), data.get(TLS_KEY))
    if pair is None:
        return False
    given = pair.chain[0].issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return not any(str(name.value).startswith(OUR_PREFIX) for name in given)


def _foreign(data: Data, live: Sequence[bytes], names: Sequence[str], now: dt.datetime) -> RotationPlan:
    pair = bundle.parse_pair(data.get(TLS_CRT), data.get(TLS_KEY))
    assert pair is not None  # noqa: S101  that is what made it foreign
    anchors = bundle.parse(data.get(CA_CRT)).valid(now)
    cure = "have its issuer renew it, or delete the Secret to have everything made"
    problem = checks.validity_problem(pair.chain[0], now)
    if problem is None and not anchors:
        problem, cure = "ca.crt holds no valid certificate", "put that of its issuer there"
    if problem is None:
        problem = checks.path_problem(pair.chain, anchors, now)
        cure = "put the certificate of its issuer into ca.crt, and intermediate certificates into tls.crt"
    if problem is None and not any(leaf.is_covered(name, leaf.names_of(pair.chain[0])) for name in names):
        problem, cure = f"it carries none of {', '.join(names)}", "have it issued for the name that is called"
    if problem is not None:
        return RotationPlan(problem=f"the certificate in the Secret is not ours: {problem}; {cure}")
    if any(not bundle.same(bundle.parse(text).certificates, anchors) for text in live):
        return RotationPlan(Publish(bundle.encode(anchors), "the authority in the Secret is to be trusted"))
    return RotationPlan()


# --- reading --------------------------------------------------------------------------------------------------------


def _read(data: Data, live: Sequence[bytes], now: dt.datetime) -> _StoredSecret:
    stored = bundle.parse(data.get(CA_CRT))
    anchors = _lasting(stored, now)
    following = _authority(data.get(NEXT_CA_KEY), anchors)
    if following is not None and now < following.certificate.not_valid_before_utc - TOLERANCE:
        following = None
    return _StoredSecret(
        anchors=anchors,
        is_tidy=not stored.broken and len(anchors) == len(stored.certificates),
        signer=_authority(data.get(CA_KEY), anchors),
        following=following,
        pair=bundle.parse_pair(data.get(TLS_CRT), data.get(TLS_KEY)),
        since=_time(data.get(SINCE)),
        live=tuple(_lasting(bundle.parse(text), now) for text in live),
    )


def _lasting(read: bundle.Bundle, now: dt.datetime) -> tuple[x509.Certificate, ...]:
    """Leave out what has ended. What has not begun stays: that is a matter of somebody's clock, and it will begin."""
    return tuple(entry for entry in read.certificates if now < entry.not_valid_after_utc)


def _authority(key_text: bytes | None, anchors: Sequence[x509.Certificate]) -> authorities.Authority | None:
    key = bundle.parse_key(key_text)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    own = [entry for entry in anchors if checks.pair_problem(entry, key) is None]
    return authorities.Authority(key, max(own, key=lambda entry: entry.not_valid_after_utc)) if own else None


def _leaf(signer: authorities.Authority, names: Sequence[str], now: dt.datetime) -> dict[str, bytes]:
    made = leaf.create(signer, names, now)
    return {TLS_CRT: bundle.encode([made.certificate]), TLS_KEY: checks.encode_key(made.key)}


def _with(data: Data, changes: Data) -> dict[str, bytes]:
    return {**data, **changes}


def _without(data: Data, key: str) -> dict[str, bytes]:
    return {name: value for name, value in data.items() if name != key}


def _stamp(now: dt.datetime) -> bytes:
    return now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def _time(text: bytes | None) -> dt.datetime | None:
    try:
        parsed = dt.datetime.fromisoformat((text or b"").decode("ascii"))
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else None
