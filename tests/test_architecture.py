"""The rules of the house that no other tool checks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("webhook", "certs")
IMPURE = frozenset(
    {
        "asyncio",
        "datetime.datetime",
        "kubernetes",
        "logging",
        "os",
        "pathlib",
        "random",
        "socket",
        "subprocess",
        "sys",
        "time",
        "uuid",
    }
)
"""What a guardrail must not get its answers from: clock, log, files, chance, the outside."""


def modules(package: str) -> list[Path]:
    """Return the modules of a package, by their names."""
    return sorted((ROOT / package).rglob("*.py"))


def guardrails() -> list[str]:
    """Return the names of the guardrail modules and packages."""
    found = (ROOT / "webhook" / "guardrails").iterdir()
    return sorted(
        path.stem for path in found if not path.name.startswith("_") and (path.suffix == ".py" or path.is_dir())
    )


def imported(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, and every name that it takes from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def words(path: Path) -> str:
    """Return the path as the ids of tests show it."""
    return str(path.relative_to(ROOT))


ALL = [path for package in PACKAGES for path in modules(package)]


def test_the_lists_below_are_of_the_real_tree() -> None:
    assert {"cost_labels", "spot", "bin_packing", "right_sizing", "pod_security", "cost_ceiling"} <= set(guardrails())
    assert len(ALL) > 50


@pytest.mark.parametrize("name", guardrails())
def test_every_guardrail_has_a_policy_module_of_its_name(name: str) -> None:
    assert (ROOT / "webhook" / "policy" / f"{name}.py").is_file()


@pytest.mark.parametrize("name", guardrails())
def test_every_guardrail_has_a_test_of_its_name(name: str) -> None:
    directory = ROOT / "tests" / "guardrails"
    assert any(directory.glob(f"test_{name}*.py")) or any((directory / name).glob("test_*.py"))


@pytest.mark.parametrize("path", ALL, ids=words)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{words(path)} has no docstring"


@pytest.mark.parametrize("path", ALL, ids=words)
def test_no_file_is_longer_than_a_person_reads_at_once(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", modules("webhook/guardrails"), ids=words)
def test_guardrails_are_pure(path: Path) -> None:
    if path.name == "_registry.py":
        return  # It only lists modules.
    taken = set(imported(path))
    # A guardrail may be handed a time, as an annotation says; it must not be able to ask for one.
    impure = {name for name in taken if name.split(".")[0] in IMPURE or name.startswith("webhook.settings")}
    assert not impure, f"{words(path)} imports {', '.join(sorted(impure))}"
    called = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    assert not {node.attr for node in called} & {"now", "utcnow", "today", "getLogger", "environ"}


@pytest.mark.parametrize("path", ALL, ids=words)
def test_only_these_read_the_clock(path: Path) -> None:
    """Time is injected; what reads it is the assembly, a duration that is measured, and waiting in commands."""
    calls = {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    }
    wall = calls & {"datetime.now", "datetime.utcnow", "date.today", "time.time", "time.time_ns"}
    assert not wall or words(path) == "webhook/assembly.py", f"{words(path)} calls {', '.join(sorted(wall))}"


@pytest.mark.parametrize("path", [*ALL, *modules("tests")], ids=words)
def test_the_repository_speaks_of_itself_alone(path: Path) -> None:
    if path == Path(__file__):
        return
    text = path.read_text().lower()
    for word in ("/work/", "todo", "fixme", "xxx "):
        assert word not in text, f"{words(path)} says {word!r}"
