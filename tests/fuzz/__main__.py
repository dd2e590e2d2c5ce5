"""A long hunt: ``python -m tests.fuzz --reviews 300000 --https 30000``.

Recorded reviews are damaged at random and sent to all admission paths, in this process and over HTTPS. Exit status 1
where an answer is not what it has to be; the table says how many of what came.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.fuzz import _webhooks
from tests.fuzz._mutate import Damage
from tests.fuzz._verdicts import Verdicts

PATHS = ("/mutate", "/validate", "/validate/security", "/validate/cost")
CONNECTIONS = 8


def in_process(cluster: Path, reviews: int, seed: int, mode: str) -> tuple[Verdicts, str]:
    """Send damaged reviews to the application in this process."""
    choose = random.Random(seed)  # noqa: S311  a test's own
    damage = Damage(_webhooks.recorded(), choose)
    started = time.monotonic()
    with _webhooks.InProcess(cluster, mode) as webhook:
        verdicts = Verdicts(webhook, _webhooks.limit_ranges(cluster))
        for number in range(reviews):
            verdicts.judge(choose.choice(PATHS), damage.next())
            if sys.stderr.isatty() and number % 1_000 == 0:
                print(f"\r{number} of {reviews}", end="", file=sys.stderr)
    if faults := webhook.metric("podgate_recorder_faults_total") + webhook.metric("podgate_http_faults_total"):
        verdicts.wrong.append(f"{faults:g} faults of the recorder or the port")
    if webhook.slow:
        verdicts.wrong.append(f"{webhook.slow} reviews took more than a second of CPU")
    took = time.monotonic() - started
    return verdicts, f"in process, {mode}: {reviews} reviews in {took:.0f} s, slowest {webhook.slowest:.3f} s of CPU"


def over_https(cluster: Path, directory: Path, reviews: int, seed: int) -> tuple[Verdicts, str]:
    """Send damaged reviews to a process over several connections at a time."""
    together = Verdicts(lambda _path, _body: (0, b""), {})
    lock = threading.Lock()
    slowest, slow = 0.0, 0
    started = time.monotonic()
    with _webhooks.served(cluster, directory) as (connect, log):

        def run(number: int) -> None:
            nonlocal slowest, slow
            connection = connect()
            verdicts = Verdicts(connection, _webhooks.limit_ranges(cluster))
            choose = random.Random(seed * CONNECTIONS + number)  # noqa: S311  a test's own
            damage = Damage(_webhooks.recorded(), choose)
            try:
                for _ in range(reviews // CONNECTIONS):
                    verdicts.judge(choose.choice(PATHS), damage.next())
            except Exception as error:  # noqa: BLE001  whatever breaks a connection is a finding
                verdicts.wrong.append(f"connection {number}: {error!r}")
            connection.close()
            with lock:
                together.counts += verdicts.counts
                together.wrong += verdicts.wrong
                slowest, slow = max(slowest, connection.slowest), slow + connection.slow

        threads = [threading.Thread(target=run, args=(number,)) for number in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said = log.read_text()
    if "Traceback" in said:
        together.wrong.append(f"a traceback in the log: {said[said.index('Traceback') :][:500]}")
    took = time.monotonic() - started
    return together, f"HTTPS, {CONNECTIONS} connections: {took:.0f} s, slowest {slowest:.3f} s, over 1 s: {slow}"


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Send damaged reviews to the webhook.")
    parser.add_argument("--reviews", type=int, default=20_000, help="in this process, in mode enforce")
    parser.add_argument("--audit", type=int, default=0, help="in this process, capped at audit")
    parser.add_argument("--https", type=int, default=0, help="over HTTPS")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        cluster = _webhooks.cluster(directory)
        for reviews, mode in ((chosen.reviews, "enforce"), (chosen.audit, "audit")):
            if reviews:
                wrong += _tell(*in_process(cluster, reviews, chosen.seed, mode))
        if chosen.https:
            wrong += _tell(*over_https(cluster, directory, chosen.https, chosen.seed))
    return 1 if wrong else 0


def _tell(verdicts: Verdicts, title: str) -> int:
    print(title)
    for what, count in sorted(Counter(verdicts.counts).items()):
        print(f"  {count:>9}  {what}")
    for line in verdicts.wrong[:20]:
        print(f"  ! {line}")
    print(f"  {len(verdicts.wrong)} wrong", flush=True)
    return len(verdicts.wrong)


if __name__ == "__main__":
    sys.exit(main())
