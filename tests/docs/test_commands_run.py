"""Every `podgate` command of the documents, of the examples for pipelines and of the hooks is run, as it stands there.

They run in a copy of what the repository has, beside the files that a reader would have of their own: an application,
a chart that was rendered, the manifests as they were.
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml

from tests import factories
from tests.cli._desk import Desk
from tests.docs import _markdown
from tests.docs._markdown import ROOT
from webhook import cli

ELSEWHERE = {
    "serve": "runs until it is stopped; tests/cli/test_serve.py",
    "demo": "runs until it is stopped; tests/cli/test_serve.py",
    "replay": "needs a running webhook; tests/cli/test_commands.py",
    "certs": "writes keys; tests/cli/test_certs.py",
}
"""Commands that other tests run."""
FRAGMENT = re.compile(r"[A-Z]{2,}(\||$)")
"""A word that stands for something: DIR, NAME, live|DIR."""


class Line(NamedTuple):
    """One command, where it stands, and whether something is piped into it."""

    source: str
    words: tuple[str, ...]


def _of(text: str, source: str) -> Iterator[Line]:
    for command in _markdown.commands(text):
        if Path(command[0]).name == "podgate" and len(command) > 1:
            yield Line(source, tuple(command[1:]))


def documents() -> Iterator[Line]:
    """Commands in console blocks and code spans of all documents."""
    for file in _markdown.files():
        yield from _of(file.read_text(), _markdown.name(file))


def scripts(value: object) -> Iterator[str]:
    """Shell lines of a pipeline."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("run", "script") and isinstance(item, str | list):
                yield from item.splitlines() if isinstance(item, str) else item
            else:
                yield from scripts(item)
    elif isinstance(value, list):
        for item in value:
            yield from scripts(item)


def pipelines() -> Iterator[Line]:
    """Commands of the examples for pipelines, and of the hooks."""
    for name in ("docs/ci/github-actions.yaml", "docs/ci/gitlab-ci.yml"):
        for line in scripts(yaml.safe_load((ROOT / name).read_text())):
            words = shlex.split(line)
            if words and words[0] == "podgate":
                end = next((index for index, word in enumerate(words) if word.startswith(">")), len(words))
                yield Line(name, tuple(words[1:end]))
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()):
        yield Line(".pre-commit-hooks.yaml", (*shlex.split(hook["entry"])[1:], *hook["args"]))


def lines() -> list[Line]:
    """All commands that can be run as they stand, each once."""
    found = [*documents(), *pipelines()]
    kept = [line for line in found if not any(FRAGMENT.match(word) for word in line.words)]
    # A name alone, as in running text, is no command.
    whole = [line for line in kept if len(line.words) > 1 or line.words[0] in ("schema", "lint", "--version")]
    return [line for line in dict.fromkeys(whole) if line.words[0] not in ELSEWHERE and not asks_a_server(line.words)]


def asks_a_server(words: tuple[str, ...]) -> bool:
    """Whether a command needs an API server, or a `podgate serve` that runs: tests/reporting/test_scan_input.py,
    tests/cli/test_prices.py and tests/integration have these."""
    return "live" in words or (words[0] == "why" and "--log" not in words)


def complete(words: tuple[str, ...]) -> bool:
    """Whether a code span is a whole command and not the mention of one."""
    group = cli._podgate
    command = group.get_command(click.Context(group), words[0])
    if isinstance(command, click.Group):
        return len(words) > 2
    return True


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as the documents have it in mind."""
    path = tmp_path_factory.mktemp("reader") / "repository"
    path.mkdir()
    for name in ("policies", "manifests/embedded", "tests/cases"):
        shutil.copytree(ROOT / name, path / name)
    shutil.copytree(ROOT / "tests" / "cases", path / "cases")
    for file in path.glob("cases/*/*.yaml"):
        file.write_text(file.read_text().replace("../../../policies", "../../policies"))
    app = factories.deployment(2, factories.safe_pod(factories.container(cpu="100m", memory="128Mi")))
    app["metadata"]["namespace"] = "team-alpha"
    less = factories.deployment(2, factories.safe_pod(factories.container(cpu="99m", memory="128Mi")))
    less["metadata"]["namespace"] = "team-alpha"
    legacy = factories.deployment(1, factories.pod(factories.container(cpu="1m", memory="16Mi"), hostPID=True))
    legacy["metadata"]["namespace"] = "team-alpha"
    for name, document in (
        ("my-app.yaml", app),
        ("deploy/app.yaml", app),
        ("old/app.yaml", less),
        ("../baseline/deploy/app.yaml", less),
        ("legacy.yaml", legacy),
    ):
        file = path / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(yaml.safe_dump(document))
    tables = [
        block.text for block in _markdown.blocks((ROOT / "docs" / "prices.md").read_text()) if block.language == "csv"
    ]
    (path / "prices.csv").write_text(tables[0])
    cluster = (path / "manifests" / "embedded" / "cluster.yaml").read_text()
    types = sorted(set(re.findall(r"instance-type: (\S+)", cluster)))
    (path / "instances.csv").write_text("instance_type,price\n" + "".join(f"{name},0.2\n" for name in types))
    for name in ("decisions.jsonl", ".local/decisions.jsonl"):
        log = path / name
        log.parent.mkdir(exist_ok=True)
        log.write_bytes(b"".join(decisions()))
    return path


def decisions() -> list[bytes]:
    """The log of a `serve` under which the workloads that the documents name were deployed."""
    world = factories.World(factories.policy("mode: enforce\npodSecurity: {level: restricted}"))
    for name in ("shop", "frontend"):
        world.validate(factories.deployment(name=name))
        world.validate(
            factories.pod(
                metadata={
                    "generateName": f"{name}-7d9c8b6f5-",
                    "ownerReferences": [
                        {
                            "apiVersion": "apps/v1",
                            "kind": "ReplicaSet",
                            "name": f"{name}-7d9c8b6f5",
                            "uid": "r",
                            "controller": True,
                        }
                    ],
                }
            )
        )
    return world.lines


@pytest.mark.parametrize(
    "line", [line for line in lines() if complete(line.words)], ids=lambda line: shlex.join(line.words)
)
def test_the_command_runs_as_it_stands_there(
    line: Line, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = (place / "my-app.yaml").read_bytes() if "-" in line.words else b""
    # What is proposed for a live cluster is tried on the embedded one.
    words = ["manifests/embedded" if word == "live" else word for word in line.words]
    ran = Desk(place, capsys, monkeypatch).run(*words, stdin=rendered)
    assert ran.status == 0, f"{line.source}: podgate {shlex.join(line.words)}: {ran.err}{ran.out[-2000:]}"
    assert ran.err == ""


def test_the_commands_are_found() -> None:
    found = {line.words[:2] for line in lines()}
    assert {("review", "deploy"), ("test", "tests/cases"), ("lint", "policies"), ("exceptions", "draft")} <= found
    assert {line.source for line in lines()} >= {
        "README.md",
        "docs/command-line.md",
        "docs/testing-policies.md",
        "docs/ci/github-actions.yaml",
        "docs/ci/gitlab-ci.yml",
        ".pre-commit-hooks.yaml",
    }


def test_the_case_file_in_the_documents_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, capsys, monkeypatch)
    text = (ROOT / "docs" / "testing-policies.md").read_text()
    cases = [block.text for block in _markdown.blocks(text) if "kind: Case" in block.text]
    assert cases
    desk.write("case.yaml", *cases)
    ran = desk.run("test", "case.yaml")
    assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_that_the_documents_propose_is_there(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"_PODGATE_COMPLETE={shell}_source podgate" in (ROOT / "docs" / "command-line.md").read_text()
    monkeypatch.setenv("_PODGATE_COMPLETE", f"{shell}_source")
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", lambda *_: None)
    ran = Desk(tmp_path, capsys, monkeypatch).run()
    assert ran.status == 0
    assert f"_PODGATE_COMPLETE={shell}_complete" in ran.out


def test_completion_knows_commands_and_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def completed(words: str) -> list[str]:
        monkeypatch.setenv("_PODGATE_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        return Desk(tmp_path, capsys, monkeypatch).run().out.splitlines()

    assert "plain,review" in completed("podgate rev")
    assert completed("podgate review --max") == ["plain,--max-cost-increase"]
    assert {"plain,sarif"} <= set(completed("podgate review -o sar"))


def needed(value: Any) -> set[str]:  # noqa: ANN401  any YAML value
    return set(value) if isinstance(value, dict) else set()


def test_the_hooks_have_what_pre_commit_asks_for() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert len(hooks) == 3
    assert all({"id", "name", "entry", "language"} <= needed(hook) for hook in hooks)
