"""The certificate directory: ``ca.crt``, ``tls.crt``, ``tls.key``, and ``ca.key`` where the authority is our own.

`ensure` looks at what is there, makes what is missing, renews what it made itself and is due, and refuses what is
broken. Who owns the files is told by ``ca.key``: with it we can sign, so certificates of that authority are renewed
here; without it they belong to somebody else (cert-manager, a company's issuer) and are only checked, never touched.

Files are replaced by rename, so a reader sees the old or the new one, never half of one; keys are readable by their
owner alone. Two processes that start on the same directory take turns.
"""

import contextlib
import datetime as dt
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs import authority as authorities
from certs import checks, leaf
from certs.errors import CertificateError


@dataclass(frozen=True, slots=True)
class CertificatePaths:
    """The files of a directory that was found, or put, in order."""

    ca_crt: Path
    tls_crt: Path
    tls_key: Path
    changes: tuple[str, ...] = ()
    """What was made or renewed by this call and why, one line each; empty where all was in order."""


@dataclass(slots=True)
class _Directory:
    """What the directory holds now, and what is to be written to it."""

    path: Path
    bundle: list[x509.Certificate]
    ca_key: leaf.PrivateKey | None
    chain: list[x509.Certificate]
    tls_key: leaf.PrivateKey | None
    changes: list[str] = field(default_factory=list)


def ensure(directory: Path, names: Sequence[str], now: dt.datetime) -> CertificatePaths:
    """Put a certificate directory in order and return its files.

    Args:
        directory: created with mode 0700 where it does not exist.
        names: host names and IP addresses the serving certificate must carry, see `certs.leaf.server_names`. A
            certificate that is not ours must carry at least one of them.
        now: aware; decides what is expired and what is due.

    Raises:
        CertificateError: something is missing that cannot be made, or is broken, or is not ours and expired.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory):
            found = _read(directory)
            if found.ca_key is None and (found.bundle or found.chain or found.tls_key):
                _check_foreign(found, names, now)
            else:
                _complete(found, names, now)
    except OSError as error:
        where = error.filename or directory
        reason = error.strerror or type(error).__name__
        raise CertificateError(
            f"{where}: {reason}; give a directory that this user may read and write, or one that holds "
            "ca.crt, tls.crt and tls.key already"
        ) from None
    return CertificatePaths(
        directory / "ca.crt", directory / "tls.crt", directory / "tls.key", changes=tuple(found.changes)
    )


def expiries(paths: CertificatePaths) -> Mapping[str, dt.datetime]:
    """Return when each part stops being valid: ``ca`` (the last of the bundle to end) and ``leaf``.

    Raises:
        CertificateError: a file that cannot be read.
    """
    try:
        bundle = checks.read_certificates(paths.ca_crt)
        chain = checks.read_certificates(paths.tls_crt)
    except OSError as error:
        raise CertificateError(f"{error.filename}: {error.strerror}; restore the file") from None
    if not bundle or not chain:
        missing = paths.tls_crt if bundle else paths.ca_crt
        raise CertificateError(f"{missing}: the file is gone; restore it")
    return {"ca": max(entry.not_valid_after_utc for entry in bundle), "leaf": chain[0].not_valid_after_utc}


# --- not ours: look, never touch ------------------------------------------------------------------------------------


def _check_foreign(found: _Directory, names: Sequence[str], now: dt.datetime) -> None:
    for name, present in (("ca.crt", found.bundle), ("tls.crt", found.chain), ("tls.key", found.tls_key)):
        if not present:
            raise CertificateError(
                f"{found.path / name}: missing, and there is no ca.key beside it to make it with; put it there, "
                "or empty the directory to have everything made"
            )
    problem = checks.pair_problem(found.chain[0], found.tls_key)
    if problem:
        raise CertificateError(f"{found.path / 'tls.key'}: {problem}; put the key that tls.crt was issued for")
    problem = checks.validity_problem(found.chain[0], now)
    if problem:
        raise CertificateError(f"{found.path / 'tls.crt'}: {problem}; have its issuer renew it")
    problem = checks.path_problem(found.chain, found.bundle, now)
    if problem:
        raise CertificateError(
            f"{found.path / 'tls.crt'}: {problem}; put the certificate of its issuer into ca.crt, "
            "and intermediate certificates into tls.crt"
        )
    carried = leaf.names_of(found.chain[0])
    if not any(leaf.is_covered(name, carried) for name in names):
        has = ", ".join(sorted(carried)) or "no subject alternative name at all"
        raise CertificateError(
            f"{found.path / 'tls.crt'}: carries {has}; an API server will look for one of {', '.join(names)}: "
            "have it issued for that name"
        )


# --- ours: make and renew -------------------------------------------------------------------------------------------


def _complete(found: _Directory, names: Sequence[str], now: dt.datetime) -> None:
    authority = _authority(found, now)
    tls_crt = found.path / "tls.crt"
    if found.chain and not checks.is_signed_by(found.chain[0], authority.key):
        # Somebody put a certificate of another issuer beside our authority; it is theirs, and so is its renewal.
        _check_foreign(found, names, now)
        return
    key = None
    if not found.chain:
        reason = "it was missing"
        key = found.tls_key
    elif checks.pair_problem(found.chain[0], found.tls_key):
        reason = "tls.key did not belong to it" if found.tls_key else "tls.key was missing"
    else:
        due = leaf.renewal_reason(found.chain[0], names, now)
        if due is None:
            return
        reason = due
    try:
        made = leaf.create(authority, names, now, key)
    except ValueError as error:
        raise CertificateError(f"{tls_crt}: cannot be made for {', '.join(names)}: {error}; correct the name") from None
    if key is None:
        _write(found.path / "tls.key", checks.encode_key(made.key), private=True)
    _write(tls_crt, _pem([made.certificate]))
    found.changes.append(f"made {tls_crt} (until {made.certificate.not_valid_after_utc:%Y-%m-%d}): {reason}")


def _authority(found: _Directory, now: dt.datetime) -> authorities.Authority:
    ca_crt = found.path / "ca.crt"
    if found.ca_key is None:
        made = authorities.create(now)
        _write(found.path / "ca.key", checks.encode_key(made.key), private=True)
        _write(ca_crt, _pem([made.certificate]))
        found.changes.append(f"made {ca_crt} (until {made.certificate.not_valid_after_utc:%Y-%m-%d}): it was missing")
        return made
    if not isinstance(found.ca_key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{found.path / 'ca.key'}: not an ECDSA key; remove it to use ca.crt as it is")
    if not found.bundle:
        subject = found.chain[0].issuer if found.chain and checks.is_signed_by(found.chain[0], found.ca_key) else None
        made = authorities.create(now, key=found.ca_key, subject=subject)
        reason = "it was missing"
    else:
        own = [entry for entry in found.bundle if checks.pair_problem(entry, found.ca_key) is None]
        if not own:
            raise CertificateError(
                f"{found.path / 'ca.key'}: does not belong to any certificate in ca.crt; "
                "put the right key, or remove ca.key to use ca.crt as it is"
            )
        current = authorities.Authority(found.ca_key, own[0])
        due = authorities.renewal_reason(own[0], now)
        if due is None:
            return current
        made = authorities.renew(current, now)
        reason = due
    others = [entry for entry in found.bundle if checks.pair_problem(entry, found.ca_key) is not None]
    _write(ca_crt, _pem([made.certificate, *others]))
    found.changes.append(f"made {ca_crt} (until {made.certificate.not_valid_after_utc:%Y-%m-%d}): {reason}")
    return made


# --- files ----------------------------------------------------------------------------------------------------------


def _read(directory: Path) -> _Directory:
    return _Directory(
        path=directory,
        bundle=checks.read_certificates(directory / "ca.crt"),
        ca_key=checks.read_key(directory / "ca.key"),
        chain=checks.read_certificates(directory / "tls.crt"),
        tls_key=checks.read_key(directory / "tls.key"),
    )


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(entry.public_bytes(serialization.Encoding.PEM) for entry in certificates)


def _write(path: Path, content: bytes, *, private: bool = False) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            # mkstemp gives 0600, which is right for a key and too little for what others must read.
            os.fchmod(stream.fileno(), 0o600 if private else 0o644)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Some network file systems know no locks; there, whoever starts two processes at once has to take turns.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
