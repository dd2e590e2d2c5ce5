"""`python -m tests.golden DIR`: everything that Podgate tells, in files, for `diff -r` before and after a refactoring.

It asks the commands and the ports alone, so it outlives every move of the code behind them. Two directories that were
written by the same code are equal, byte for byte, where `faketime` is installed: it stops the clock of what is asked.
"""

import argparse
import base64
import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import jsonpatch
import yaml

from tests.ports import free_port

NOON: Final = "2026-11-20 12:00:00"
"""The time that it is for everything that is asked: in the middle of a budget's month."""

_ROOT: Final = Path(__file__).parents[2]
_EMBEDDED: Final = "manifests/embedded"
_NAME_OF_A_METRIC: Final = re.compile(r"^([a-z_]+(?:\{[^}]*\})?) ", re.MULTILINE)
_VALUE_OF_A_BUCKET: Final = re.compile(r'le="[^"]*"')
_RUNNING: Final = re.compile(rb'"(microseconds|durationMicroseconds|tookMicroseconds)":\d+')
_OF_THIS_RUN: Final = (
    (re.compile(r"(localhost:|127\.0\.0\.1:|port )\d+"), r"\1N"),
    (re.compile(r'("journal_bytes":)\d+'), r"\1 0"),
    (re.compile(r'(data-label="Entries" class="number" data-value=")\d+"><div>[\d,]+'), r'\g<1>N"><div>N'),
)
"""Free ports, and the length of a journal whose lines tell how long they took."""

COMMANDS: Final = {
    "review": (["review", _EMBEDDED, "--cluster", _EMBEDDED], "text json yaml patch sarif junit markdown"),
    "review-audit": (["review", _EMBEDDED, "--cluster", _EMBEDDED, "--mode", "audit"], "text json"),
    "audit": (["audit", "--cluster", _EMBEDDED, "--policies", "policies"], "table json markdown sarif junit html"),
    "audit-all": (["audit", "--cluster", _EMBEDDED, "--policies", "policies", "--all"], "table"),
    "report": (["report", "--cluster", _EMBEDDED, "--policies", "policies"], "table json markdown html"),
    "lint": (["lint", "policies", "--cluster", _EMBEDDED], "text json sarif"),
    "lint-alone": (["lint", "policies"], "text json sarif"),
    "test": (["test", "tests/cases", "--policies", "policies"], "text junit json"),
    "schema": (["schema"], ""),
}
"""Arguments of each command, and the formats that it is asked for."""


def main() -> None:
    """Write one directory."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("directory", type=Path, help="directory to write; what is in it is removed")
    target: Path = parser.parse_args().directory
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for mode in ("enforce", "audit"):
        record_reviews(target / mode, mode)
    for name, (arguments, formats) in COMMANDS.items():
        for form in formats.split() or [""]:
            record_command(target / f"{name}.{form or 'text'}.out", [*arguments, *(["-o", form] if form else [])])
    log = target / "enforce" / "decisions.jsonl"
    for form in ("table", "json", "markdown", "html"):
        record_command(target / f"report-log.{form}.out", ["report", "--log", str(log), "-o", form])
    for form in ("text", "json"):
        arguments = ["why", "deploy/frontend", "-n", "team-alpha", "--log", str(log), "-o", form]
        record_command(target / f"why.{form}.out", arguments)
    print(f"{sum(1 for path in target.rglob('*') if path.is_file())} files in {target}")


def record_command(path: Path, arguments: list[str]) -> None:
    """Write the output of one command, its standard error and its exit status."""
    run = subprocess.run(  # noqa: S603  our own program with our own arguments
        [*_podgate(), *arguments], cwd=_ROOT, env=_environment(), capture_output=True, check=False
    )
    text = run.stdout + b"\n--- stderr\n" + run.stderr + f"\n--- exit status {run.returncode}\n".encode()
    path.write_bytes(text.replace(str(path.parent).encode(), b"DIR"))
    print(path.name, run.returncode, flush=True)


def record_reviews(directory: Path, mode: str) -> None:
    """Write every answer to the recorded reviews, the log, the names of the metrics and the pages' facts."""
    directory.mkdir()
    log = directory / "decisions.jsonl"
    with _served(mode, log) as (address, ops, pages):
        with httpx.Client(base_url=address, verify=False, timeout=30) as client:  # noqa: S501  our own process
            (directory / "answers.jsonl").write_bytes(b"".join(_answers(client)))
        facts = _settled(httpx.get(f"{pages}/api/summary").text)
        (directory / "summary.json").write_text(json.dumps(json.loads(facts), indent=1))
        (directory / "readyz.txt").write_text(_settled(httpx.get(f"{ops}/readyz?verbose").text))
        (directory / "metrics.txt").write_text(_names(httpx.get(f"{ops}/metrics").text))
        for page in ("", "workloads"):
            (directory / f"page-{page or 'overview'}.html").write_text(_settled(httpx.get(f"{pages}/{page}").text))
    log.write_bytes(_RUNNING.sub(rb'"\1":0', log.read_bytes()))


def _answers(client: httpx.Client) -> Iterator[bytes]:
    namespaces = yaml.safe_load((_ROOT / "manifests/recorded/replay.yaml").read_text())["namespaces"]
    with gzip.open(_ROOT / "manifests/recorded/reviews.jsonl.gz", "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            review = json.loads(line)
            _move(review["request"], namespaces)
            yield from _both_calls(client, review, number)


def _both_calls(client: httpx.Client, review: dict[str, Any], number: int) -> Iterator[bytes]:
    request = review["request"]
    request["uid"] = str(uuid.UUID(int=2 * number))
    answer = client.post("/mutate", json=review, params={"timeout": "10s"}).content
    yield b"%d mutate %s\n" % (number, answer)
    patch = json.loads(answer)["response"].get("patch")
    if patch:
        request["object"] = jsonpatch.apply_patch(request["object"], json.loads(base64.b64decode(patch)))
    metadata = (request.get("object") or {}).get("metadata")
    if isinstance(metadata, dict) and request["operation"] == "CREATE":
        metadata.setdefault("uid", str(uuid.UUID(int=(1 << 64) + number)))
        metadata.setdefault("name", f"{metadata.get('generateName', 'object-')}{number:05}")
        request["name"] = metadata["name"]
    request["uid"] = str(uuid.UUID(int=2 * number + 1))
    yield b"%d validate %s\n" % (number, client.post("/validate", json=review, params={"timeout": "10s"}).content)


def _move(request: dict[str, Any], namespaces: dict[str, str]) -> None:
    target = namespaces.get(str(request.get("namespace")))
    if target is None:
        return
    request["namespace"] = target
    for field in ("object", "oldObject"):
        metadata = (request.get(field) or {}).get("metadata")
        if isinstance(metadata, dict) and "namespace" in metadata:
            metadata["namespace"] = target


def _settled(text: str) -> str:
    for pattern, replacement in _OF_THIS_RUN:
        text = pattern.sub(replacement, text)
    return text


def _names(exposition: str) -> str:
    """Return each name with its labels, without values; of a histogram one bucket."""
    found = {_VALUE_OF_A_BUCKET.sub('le=""', name) for name in _NAME_OF_A_METRIC.findall(exposition)}
    described = {line for line in exposition.splitlines() if line.startswith(("# HELP", "# TYPE"))}
    kept = (name for name in found | described if "python_" not in name and "process_" not in name)
    return "\n".join(sorted(kept)) + "\n"


@contextlib.contextmanager
def _served(mode: str, log: Path) -> Iterator[tuple[str, str, str]]:
    """Run `podgate serve` on the embedded cluster; the addresses of its reviews, its operations and its pages."""
    ports = [free_port() for _ in range(3)]
    with tempfile.TemporaryDirectory() as certs:
        arguments = ["serve", "--policies", "policies", "--cluster", _EMBEDDED, "--mode", mode, "--certs", certs]
        arguments += ["--log-file", str(log), "--host", "127.0.0.1", "--shutdown-delay", "0"]
        for flag, port in zip(("--port", "--ops-port", "--dashboard-port"), ports, strict=True):
            arguments += [flag, str(port)]
        process = subprocess.Popen(  # noqa: S603  our own program with our own arguments
            [*_podgate(), *arguments], cwd=_ROOT, env=_environment(), start_new_session=True
        )
        try:
            _wait_until_ready(process, ports[1])
            yield f"https://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", f"http://127.0.0.1:{ports[2]}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # faketime passes no signal on
            process.wait(timeout=30)


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    while process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200:
                return
        time.sleep(0.1)
    sys.exit(f"`podgate serve` ended with status {process.returncode}; its reason is above")


def _podgate() -> list[str]:
    stopped = ["faketime", "-f", NOON] if shutil.which("faketime") else []
    return [*stopped, sys.executable, "-m", "webhook.cli"]


def _environment() -> dict[str, str]:
    fixed = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "TZ": "UTC", "COLUMNS": "80"}
    return {**os.environ, **fixed, "PYTHONHASHSEED": "0", "NO_COLOR": "1"}


if __name__ == "__main__":
    main()
