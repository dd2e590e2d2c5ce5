"""The benchmark: what a review costs, compared with a FastAPI route that does nothing. Run it with ``make bench``.

The policies enforce every guardrail. The mutating call gets reviews as recorded, the validating call gets what the API
server would send next: the pod with the patch applied. Most pods in a cluster are copies of others, as they are here,
where the reviews are sent in turn; the targets `unlike` give each pod a label of its own, so that nothing that was
found out about one pod serves another. Servers share one core, the load generator has another. Rounds are interleaved
(baseline, mutate, validate, baseline …), so that every ratio comes from measurements that lie seconds apart. An answer
other than 200 fails the run.

REVIEWS is a .jsonl or .jsonl.gz file of AdmissionReviews, one a line; by default those that the repository holds.
"""

import asyncio
import contextlib
import datetime as dt
import json
import os
import platform
import ssl
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx
import uvloop
from rich.console import Console
from rich.table import Table

import certs
from tests.bench import cluster, figures, ledger, load, scale, servers, stored
from tests.ports import free_port

_ROOT = Path(__file__).parents[2]
_RECORDED = _ROOT / "manifests" / "recorded" / "reviews.jsonl.gz"
_POLICIES = Path(__file__).parent / "policies"
_WARM_UP = 300
_MEMORY_STEPS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for on the command line."""

    reviews: Path
    policies: Path
    cluster_directory: Path | None
    rounds: int
    concurrencies: tuple[int, ...]
    seconds: float
    requests: int | None
    bodies: int
    everything: bool
    targets: tuple[str, ...]
    scales: tuple[int, ...]
    json_file: Path | None
    serve_options: tuple[str, ...]


class Target(NamedTuple):
    """A server and the requests it is sent."""

    name: str
    server: servers.Server
    requests: list[bytes]


@click.command(help=__doc__)
@click.argument("reviews", type=click.Path(path_type=Path, exists=True, dir_okay=False), default=_RECORDED)
@click.option(
    "--policies", type=click.Path(path_type=Path), default=_POLICIES, help="Default: every guardrail, enforced."
)
@click.option(
    "--cluster",
    "cluster_directory",
    type=click.Path(path_type=Path),
    help="Snapshot directory; without it, one that fits the reviews.",
)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--concurrency", "concurrencies", multiple=True, type=click.IntRange(1), default=(1, 16, 64))
@click.option("--seconds", default=1.5, show_default=True, help="Length of one measurement.")
@click.option("--requests", type=click.IntRange(1), help="Length of one measurement in requests, in place of seconds.")
@click.option("--bodies", default=1000, show_default=True, type=click.IntRange(1), help="Most reviews to cycle over.")
@click.option("--everything", is_flag=True, help="Send all reviews of the file, not only pods that are created.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(["baseline", "floor", "mutate", "validate", "mutate-unlike", "validate-unlike"]),
    default=("baseline", "mutate", "validate", "mutate-unlike", "validate-unlike"),
    show_default=True,
    help="What to measure; the first is the reference. `floor` is the server with no work behind it, `unlike` means "
    "that no pod is like another.",
)
@click.option("--policies-scale", "scales", help="Compare generated policies in these numbers, such as 20,40.")
@click.option("--memory", type=click.IntRange(_MEMORY_STEPS), help="Send so many reviews and watch the memory.")
@click.option("--memory-growth", default=5.0, show_default=True, help="Growth in per cent that still counts as flat.")
@click.option("--ledger", "ledgers", is_flag=True, help="Book into one hot budget through three replicas instead.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures to this file.")
@click.option("--serve-option", "serve_options", multiple=True, help="Passed on to `podgate serve`; repeatable.")
def main(scales: str | None, memory: int | None, memory_growth: float, ledgers: bool, **options: Any) -> None:  # noqa: ANN401
    """Run the benchmark; exit status 1 where an answer failed or memory grew, 2 where it could not run."""
    try:
        sizes = tuple(int(size) for size in scales.split(",")) if scales else ()
    except ValueError:
        raise click.UsageError("--policies-scale takes numbers, such as 20,40") from None
    # The table needs more columns than the 80 that are assumed where there is no terminal.
    console = Console() if sys.stdout.isatty() else Console(width=130)
    if ledgers:
        sys.exit(0 if ledger.run(console) else 1)
    with tempfile.TemporaryDirectory(prefix="podgate-bench-") as name:
        scratch = Path(name)
        plan = Plan(scales=sizes, **options)
        try:
            is_good = (
                _memory(plan, memory, memory_growth, scratch, console) if memory else _compare(plan, scratch, console)
            )
        except (servers.ServerError, load.LoadError, certs.CertificateError) as error:
            click.echo(f"bench: {error}", err=True)
            sys.exit(2)
    sys.exit(0 if is_good else 1)


def _compare(plan: Plan, scratch: Path, console: Console) -> bool:
    server_core, client_core = _cores()
    bodies = load.read_reviews(plan.reviews, plan.bodies, everything=plan.everything)
    paths, tls = _certificates(scratch)
    with contextlib.ExitStack() as stack:
        targets = list(_targets(plan, bodies, paths, scratch, server_core, stack))
        _pin(client_core)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for target in targets:
                runner.run(_check_answers(target, bodies[0], tls))
            cells: list[figures.Cell] = []
            total = len(plan.concurrencies) * plan.rounds
            with console.status("measuring") as status:
                for concurrency in plan.concurrencies:
                    for number in range(plan.rounds):
                        status.update(f"round {len(cells) // len(targets) + 1} of {total}, concurrency {concurrency}")
                        cells += [runner.run(_measure(target, concurrency, number, tls, plan)) for target in targets]
    lines = figures.summarize(cells, reference=targets[0].name)
    console.print(_table(lines, targets[0].name))
    if plan.json_file is not None:
        _write_json(plan.json_file, plan, cells, lines)
    failures = sum(cell.failures for cell in cells)
    if failures:
        click.echo(f"bench: {failures} answers were not 200; see the server's log for the reason", err=True)
    return failures == 0


def _targets(
    plan: Plan,
    bodies: Sequence[bytes],
    paths: certs.CertificatePaths,
    scratch: Path,
    core: int | None,
    stack: contextlib.ExitStack,
) -> Iterator[Target]:
    """Start the servers; the first one is what the others are compared with."""
    mutate = load.requests_for("/mutate", bodies)
    if plan.scales:
        for size in plan.scales:
            directory = scratch / f"policies-{size}"
            scale.write_policies(directory, size)
            server = stack.enter_context(_podgate(f"{size} policies", plan, directory, paths, scratch, core))
            yield Target(f"mutate, {size} policies", server, mutate)
        return
    podgate: servers.Server | None = None
    for name in dict.fromkeys(plan.targets):
        if name in ("baseline", "floor"):
            port = free_port()
            command = [sys.executable, "-m", f"tests.bench.{name}", str(port), str(paths.tls_crt), str(paths.tls_key)]
            server = stack.enter_context(servers.running(name, command, port, scratch / f"{name}.log", core=core))
            yield Target(name, server, mutate)
            continue
        if podgate is None:
            podgate = stack.enter_context(_podgate("podgate", plan, plan.policies, paths, scratch, core))
        path, _, is_unlike = name.partition("-")
        reviews: Sequence[bytes] = bodies
        if path == "validate":
            context = ssl.create_default_context(cafile=paths.ca_crt)
            with httpx.Client(base_url=f"https://localhost:{podgate.port}", verify=context) as client:
                reviews = stored.as_stored(client, bodies)
        if is_unlike:
            reviews = load.unlike(reviews)
        yield Target(name, podgate, load.requests_for(f"/{path}", reviews))


def _podgate(
    name: str, plan: Plan, policies: Path, paths: certs.CertificatePaths, scratch: Path, core: int | None
) -> contextlib.AbstractContextManager[servers.Server]:
    directory = plan.cluster_directory or scratch / "cluster"
    if not directory.exists():
        cluster.write_cluster(directory, load.read_reviews(plan.reviews, plan.bodies, everything=plan.everything))
    port, ops_port = free_port(), free_port()
    command = [*servers.podgate_command(), "serve", "--host", "127.0.0.1"]
    command += ["--policies", str(policies), "--cluster", str(directory), "--certs", str(paths.tls_crt.parent)]
    command += ["--port", str(port), "--ops-port", str(ops_port), "--shutdown-delay", "0"]
    command += ["--dashboard-port", "0", *plan.serve_options]
    ready = f"http://127.0.0.1:{ops_port}/readyz"
    return servers.running(name, command, port, scratch / f"{name}.log", core=core, ready_url=ready)


async def _measure(target: Target, concurrency: int, number: int, tls: ssl.SSLContext, plan: Plan) -> figures.Cell:
    await load.run(target.server.port, tls, target.requests, concurrency, count=max(_WARM_UP, concurrency))
    before = target.server.cpu_seconds()
    seconds = None if plan.requests else plan.seconds
    outcome = await load.run(
        target.server.port, tls, target.requests, concurrency, count=plan.requests, seconds=seconds
    )
    used = target.server.cpu_seconds() - before
    answers = len(outcome.latencies)
    if not answers:
        raise target.server.failure("gave no answer at all")
    return figures.Cell(
        target.name,
        concurrency,
        number,
        answers / outcome.seconds,
        used / answers * 1e6,
        figures.percentile(outcome.latencies, 0.50) * 1e3,
        figures.percentile(outcome.latencies, 0.99) * 1e3,
        outcome.failures,
    )


async def _check_answers(target: Target, body: bytes, tls: ssl.SSLContext) -> None:
    """Make sure that what is measured is a verdict, before it is measured."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", target.server.port, ssl=tls, server_hostname="localhost"
    )
    writer.write(target.requests[0])
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    answer = json.loads(await reader.readexactly(length))
    writer.close()
    uid = json.loads(body)["request"]["uid"]
    response = answer.get("response", {})
    if not head.startswith(b"HTTP/1.1 200") or not isinstance(response.get("allowed"), bool):
        raise target.server.failure(f"answered {head.split()[1].decode()} without a verdict to {target.name}")
    if target.name not in ("baseline", "floor") and response.get("uid") != uid:
        raise target.server.failure("answered with another review's uid")


def _memory(plan: Plan, count: int, allowed: float, scratch: Path, console: Console) -> bool:
    server_core, client_core = _cores()
    bodies = load.read_reviews(plan.reviews, plan.bodies, everything=plan.everything)
    paths, tls = _certificates(scratch)
    halves = [load.requests_for(path, bodies) for path in ("/mutate", "/validate")]
    requests = [request for pair in zip(*halves, strict=True) for request in pair]
    failures, sizes = 0, []
    with _podgate("podgate", plan, plan.policies, paths, scratch, server_core) as server:
        _pin(client_core)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            console.print(f"resident memory at start: {server.resident_kilobytes():,} KiB")
            for step in range(1, _MEMORY_STEPS + 1):
                outcome = runner.run(load.run(server.port, tls, requests, 16, count=count // _MEMORY_STEPS))
                failures += outcome.failures
                sizes.append(server.resident_kilobytes())
                server.forget_log()
                console.print(f"{step * 100 // _MEMORY_STEPS:3} %: {sizes[-1]:,} KiB")
    # Caches and the allocator's arenas fill during the first fifth; what comes after is growth.
    growth = (sizes[-1] / sizes[1] - 1) * 100
    is_flat = growth <= allowed
    console.print(f"growth after the first fifth: {growth:.1f} % ({'flat' if is_flat else 'not flat'})")
    if failures:
        click.echo(f"bench: {failures} answers were not 200", err=True)
    return is_flat and failures == 0


def _table(lines: Sequence[figures.Line], reference: str) -> Table:
    table = Table(title=f"Reviews over TLS; ratios to {reference}, median of same-round ratios")
    for name in (
        "target",
        "clients",
        "req/s",
        "CPU us",
        "p50 ms",
        "p99 ms",
        "failed",
        "CPU ratio",
        "req/s ratio",
        "p50 ratio",
    ):
        table.add_column(name, justify="left" if name == "target" else "right")
    for line in lines:
        spread = f" ({line.cpu_ratio_range[0]:.2f}-{line.cpu_ratio_range[1]:.2f})" if line.cpu_ratio_range else ""
        table.add_row(
            line.target,
            str(line.concurrency),
            f"{line.requests_per_second:,.0f}",
            f"{line.cpu_microseconds:.0f}",
            f"{line.p50_milliseconds:.2f}",
            f"{line.p99_milliseconds:.2f}",
            str(line.failures),
            _ratio(line.cpu_ratio) + spread,
            _ratio(line.speed_ratio),
            _ratio(line.p50_ratio),
        )
    return table


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _write_json(path: Path, plan: Plan, cells: Sequence[figures.Cell], lines: Sequence[figures.Line]) -> None:
    document = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "rounds": plan.rounds,
        "lines": [line._asdict() for line in lines],
        "cells": [cell._asdict() for cell in cells],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _certificates(scratch: Path) -> tuple[certs.CertificatePaths, ssl.SSLContext]:
    paths = certs.ensure(scratch / "certs", certs.server_names(), dt.datetime.now(dt.UTC))
    return paths, ssl.create_default_context(cafile=paths.ca_crt)


def _cores() -> tuple[int | None, int | None]:
    """Return the cores of servers and generator; None, None on a machine that has only one."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        click.echo("bench: one core only; servers and load generator share it, and ratios suffer", err=True)
        return None, None
    return usable[0], usable[1]


def _pin(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    main()
