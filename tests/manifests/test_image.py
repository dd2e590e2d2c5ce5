"""The image and the pages that tell people what to type."""

import re

import pytest
import yaml

from tests.manifests import _rendered
from webhook import settings

CONTAINERFILE = _rendered.MANIFESTS / "Containerfile"
PAGES = [_rendered.ROOT / "docs" / f"{name}.md" for name in ("install", "certificates", "running", "runbooks")]
TEXT = "\n".join(page.read_text() for page in PAGES)


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def _ignored_but() -> set[str]:
    lines = (_rendered.ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    return {line[1:] for line in lines if line.startswith("!")}


def test_the_image_runs_as_the_user_of_the_deployment() -> None:
    (user,) = [argument for name, argument in _instructions() if name == "USER"]
    context = _rendered.pod_template(_rendered.rendered("base"))["spec"]["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"


def test_both_stages_have_the_same_fixed_base() -> None:
    # A virtual environment refers to the interpreter that made it.
    bases = [argument.split(" AS ")[0] for name, argument in _instructions() if name == "FROM"]
    assert len(bases) == 2
    assert set(bases) == {"${BASE}"}
    (base,) = [argument for name, argument in _instructions() if name == "ARG"]
    assert re.fullmatch(r"BASE=\S+:\d+\.\d+-slim-\w+", base)


def test_what_is_installed_is_what_was_locked() -> None:
    (install,) = [argument for name, argument in _instructions() if "-r requirements.lock" in argument]
    assert "--require-hashes" in install
    for name in ("requirements.lock", "requirements-dev.lock"):
        entries = re.split(r"\n(?=\S)", (_rendered.ROOT / name).read_text().strip())
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries), name
    assert (_rendered.ROOT / "Makefile").read_text().count("--require-hashes") == 2


def test_what_is_copied_exists_and_reaches_the_build() -> None:
    allowed = _ignored_but()
    for name, argument in _instructions():
        if name != "COPY" or argument.startswith("--from"):
            continue
        for source in argument.split()[:-1]:
            assert (_rendered.ROOT / source).exists(), source
            assert source in allowed


def test_what_is_let_in_is_used() -> None:
    copied = {source for name, argument in _instructions() if name == "COPY" for source in argument.split()[:-1]}
    assert _ignored_but() <= copied


def test_the_entry_point_is_the_console_command() -> None:
    given = dict(_instructions())
    assert yaml.safe_load(given["ENTRYPOINT"]) == ["podgate"]
    assert yaml.safe_load(given["CMD"]) == [_rendered.container(_rendered.rendered("base"))["args"][0]]


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_yaml_on_the_page_is_yaml(block: str) -> None:
    assert isinstance(yaml.safe_load(block), dict)


def test_paths_on_the_page_exist() -> None:
    paths = set(re.findall(r"(?:manifests|policies|docs)/[-\w./]*\w", TEXT)) - {"podgate/manifests/base"}
    assert paths
    assert [path for path in paths if not (_rendered.ROOT / path).exists()] == []


def test_flags_on_the_page_exist() -> None:
    mentioned = set(re.findall(r"`(--[a-z-]+)", TEXT))
    assert mentioned
    assert mentioned <= {option.flag for option in settings.OPTIONS}


def test_objects_that_are_deleted_first_are_the_ones_that_are_installed() -> None:
    commands = re.findall(r"^kubectl delete (\S*webhookconfiguration\S*) (\S+)$", TEXT, re.MULTILINE)
    assert commands
    installed = {
        (entry["kind"].lower(), entry["metadata"]["name"])
        for entry in _rendered.rendered("base")
        if entry["kind"].endswith("WebhookConfiguration")
    }
    for kinds, name in commands:
        assert {(kind, name) for kind in kinds.split(",")} == installed
