"""`podgate serve`: the webhook."""

import contextlib
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import click
import prometheus_client

import certs
from webhook import assembly, settings
from webhook.admission.engine import Answered
from webhook.admission.log import DecisionLog
from webhook.admission.request import BadReview
from webhook.admission.request_fields import OtherRequest
from webhook.admission.unjudged import UnjudgedCollector
from webhook.admission.unread import UnreadReview
from webhook.cli import _dashboard
from webhook.cli._fault import InputError
from webhook.cluster.live import LiveView
from webhook.cluster.snapshot import SnapshotError
from webhook.kube.client import Client, ConfigError, connect
from webhook.kube.leader import Election
from webhook.reporting.refusals import RefusalCollector, Refusals
from webhook.serve import admission_app, callers, journal, leading, listener, ops, secret_tls, tls


class LogFormatter(logging.Formatter):
    """Lines such as ``2027-03-31T14:05:09.120Z podgate: INFO policies in force: 2 Budget``, in UTC."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s podgate: %(levelname)s %(message)s")


def _serve(**raw: object) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        chosen = settings.Settings.build(**raw)
        with _decision_stream(chosen) as stream:
            status = _run(chosen, DecisionLog(stream))
    except (
        settings.SettingsError,
        SnapshotError,
        ConfigError,
        certs.CertificateError,
        callers.CallerError,
        tls.TlsError,
        listener.ListenError,
    ) as error:
        raise InputError(str(error)) from None
    sys.exit(status)


def _run(chosen: settings.Settings, log: DecisionLog) -> int:
    # Writes go through connections of their own, so that no watch has to share with them.
    rest = connect(chosen.kubeconfig) if chosen.cluster is None or chosen.certs_secret else None
    told: list[Refusals] = []
    if rest is not None and chosen.cluster is None:
        listeners = [partial(_refusals, rest, told)]
        parts = assembly.live(chosen, log, writes=leading.ledger_writes(chosen), listeners=listeners)
    else:
        parts = assembly.embedded(chosen, log)
    registry = parts.metrics.registry
    log.on_lost = parts.metrics.recorder_fault
    if rest is not None and chosen.certs_secret:
        made = _shared_certificates(chosen, rest, registry)
    else:
        made = _own_certificates(chosen, registry)
    health = ops.Health()
    health.add_notice("callers", partial(_caller_notices, chosen, made.callers))
    registry.register(callers.CallerCollector(made.callers))
    for line in _caller_notices(chosen, made.callers):
        logging.getLogger("podgate").warning("%s", line)
    health.add_check("policies", partial(assembly.policy_problem, parts))
    health.add_notice("policies", partial(assembly.policy_notices, parts))
    health.add_check("cluster", partial(assembly.cluster_problem, parts))
    health.add_notice("cluster", partial(assembly.cluster_notices, parts))
    health.add_notice("decision log", log.notices)
    health.add_check("certificate", made.problem)
    health.add_notice("certificate", made.notices)
    telling = leading.background(leading.LeaderContext(chosen, parts, rest, health, registry), made.election)
    for refusals in told:
        health.add_notice("events", refusals.notices)
        registry.register(RefusalCollector(refusals))
        telling.append(refusals.telling())
    admission_lane = admission_app.AdmissionApp(
        partial(_answer, parts),
        ops.bare_application("reviews are posted to /mutate or /validate"),
        shed=partial(_answer_overloaded, parts),
        by_head=partial(_answer_by_head, parts),
        unjudged=parts.engine.unjudged,
    )
    registry.register(ops.AdmissionAppCollector(admission_lane))
    registry.register(UnjudgedCollector(parts.engine.unjudged, admission_app.PATHS))
    health.add_notice("unjudged", parts.engine.unjudged.notices)
    operations = ops.application(health, registry)
    journal.add(operations, parts.journal)
    return listener.serve(
        listener.Admission(admission_lane, made.tls, chosen.host, chosen.port),
        [
            listener.Site("operations", "--ops-port", operations, chosen.host, chosen.ops_port),
            *_dashboard.sites(chosen, parts, health, made.seconds_left),
        ],
        health,
        shutdown_delay=chosen.shutdown_delay,
        background=[
            assembly.watching(parts),
            *made.background,
            *_watching(made.callers),
            *telling,
            admission_lane.lag.watching(),
        ],
        announce=partial(click.echo, err=True),
    )


class _Certificates(NamedTuple):
    """Where certificates come from, as far as `serve` cares."""

    tls: tls.ServerTls
    problem: ops.HealthCheck
    notices: ops.Notice
    seconds_left: Callable[[], Mapping[str, float]]
    background: list[contextlib.AbstractAsyncContextManager[None]]
    callers: callers.Callers | None
    election: Election | None = None
    """None where replicas share nothing."""


def _own_certificates(chosen: settings.Settings, registry: prometheus_client.CollectorRegistry) -> _Certificates:
    keeper = tls.CertificateKeeper(chosen.certs, certs.server_names(chosen.namespace), assembly.utc_now)
    verified = _callers(chosen)
    server_tls = tls.ServerTls(keeper.paths.tls_crt, keeper.paths.tls_key, verified)
    keeper.attach(server_tls)
    expiry = prometheus_client.Gauge(
        "podgate_certificate_expiry_seconds", "Seconds until a certificate ends.", ("part",), registry=registry
    )
    for part in keeper.seconds_left():
        expiry.labels(part).set_function(partial(_seconds_left, keeper, part))
    return _Certificates(server_tls, keeper.problem, keeper.notices, keeper.seconds_left, [keeper.watching()], verified)


def _shared_certificates(
    chosen: settings.Settings, rest: Client, registry: prometheus_client.CollectorRegistry
) -> _Certificates:
    verified = _callers(chosen)
    server_tls = tls.ServerTls(None, None, verified)
    shared = secret_tls.share(
        rest,
        server_tls,
        namespace=chosen.namespace,
        secret=chosen.certs_secret or "",
        webhooks=chosen.webhooks,
        now=assembly.utc_now,
    )
    registry.register(secret_tls.CertificateCollector(shared.certificates, shared.election.is_leader))
    return _Certificates(
        server_tls,
        shared.certificates.problem,
        shared.certificates.notices,
        shared.certificates.seconds_left,
        [shared.election.running(), shared.certificates.watching()],
        verified,
        shared.election,
    )


def _watching(verified: callers.Callers | None) -> list[contextlib.AbstractAsyncContextManager[None]]:
    return [verified.watching()] if verified is not None else []


def _callers(chosen: settings.Settings) -> callers.Callers | None:
    return callers.Callers(chosen.client_ca, chosen.client_name, time.monotonic) if chosen.client_ca else None


def _caller_notices(chosen: settings.Settings, verified: callers.Callers | None) -> list[str]:
    """Return who else than an API server may call, and who was turned away."""
    if verified is not None:
        return verified.notices()
    means = "reserve and free the money of budgets" if chosen.mode == "enforce" else "fill the decision log"
    cure = "give --client-ca, or let a NetworkPolicy name the addresses of the API servers"
    return [f"anybody who reaches port {chosen.port} may {means}: callers are not verified; {cure}"]


def _refusals(rest: Client, told: list[Refusals], view: LiveView) -> Refusals:
    made = Refusals(rest, view, now=assembly.utc_now, monotonic=time.monotonic)
    told.append(made)
    return made


def _answer_overloaded(
    parts: assembly.Services, path: str, body: bytes, timeout: float | None
) -> admission_app.Answer | Awaitable[admission_app.Answer]:
    return _answered(parts, path, lambda: parts.engine.answer_soon(path, body, timeout, overloaded=True))


def _answer_by_head(
    parts: assembly.Services, path: str, request: OtherRequest, why: UnreadReview
) -> admission_app.Answer:
    try:
        return admission_app.Answer(200, *parts.engine.answer_unread(path, request, why))
    except BadReview as error:
        parts.metrics.error(path, error.status)
        raise


def _answer(
    parts: assembly.Services, path: str, body: bytes, timeout: float | None
) -> admission_app.Answer | Awaitable[admission_app.Answer]:
    return _answered(parts, path, lambda: assembly.answer(parts, path, body, timeout))


def _answered(
    parts: assembly.Services, path: str, ask: Callable[[], Answered | Awaitable[Answered]]
) -> admission_app.Answer | Awaitable[admission_app.Answer]:
    try:
        answered = ask()
    except BadReview as error:
        parts.metrics.error(path, error.status)
        raise
    return admission_app.Answer(200, *answered) if isinstance(answered, tuple) else _answer_later(parts, path, answered)


async def _answer_later(parts: assembly.Services, path: str, answered: Awaitable[Answered]) -> admission_app.Answer:
    try:
        return admission_app.Answer(200, *await answered)
    except BadReview as error:
        parts.metrics.error(path, error.status)
        raise


def _seconds_left(keeper: tls.CertificateKeeper, part: str) -> float:
    return keeper.seconds_left()[part]


@contextlib.contextmanager
def _decision_stream(chosen: settings.Settings) -> Iterator[BinaryIO]:
    if chosen.log_file is None:
        # Past Python's own buffer; see `webhook.admission.log`.
        yield open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)  # noqa: SIM115  it stays open
        return
    try:
        chosen.log_file.parent.mkdir(parents=True, exist_ok=True)
        stream = chosen.log_file.open("ab", buffering=0)
    except OSError as error:
        raise InputError(f"--log-file: {chosen.log_file}: {error.strerror}; give a file that can be written") from None
    with stream:
        yield stream


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Make one click option of each entry of `settings.OPTIONS`."""
    for option in reversed(settings.OPTIONS):
        extra: dict[str, Any] = {"multiple": True} if option.multiple else {}
        shown = "" if option.default is None else f"  [default: {option.default}]"
        function = click.option(
            option.flag,
            option.name,
            metavar=option.metavar,
            envvar=option.variable,
            show_envvar=True,
            required=option.required,
            help=option.help + shown,
            **extra,
        )(function)
    return function


COMMAND = click.command(
    "serve", short_help="Answer admission reviews over TLS.", help="Answer admission reviews over TLS until SIGTERM."
)(_with_options(_serve))
