"""The rules of the house that no other tool checks."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMPURE = frozenset(
    {"asyncio", "io", "kubernetes", "logging", "os", "pathlib", "random", "socket", "subprocess", "sys", "time", "uuid"}
)
"""What a guardrail must not get its answers from: clock, log, files, chance, the outside."""
ASKING = frozenset({"now", "utcnow", "today", "getLogger", "environ"})
"""A guardrail may be handed a time, as an annotation says; it must not ask for one."""
WALL_CLOCK = frozenset({"datetime.now", "datetime.utcnow", "date.today", "time.time", "time.time_ns"})


def modules(*folders: str) -> list[Path]:
    """Return the modules of packages, by their names."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


SOURCE = modules("webhook", "certs")


def guardrails() -> list[str]:
    """Return the names of the guardrail modules and packages; `base` is what they are made of."""
    found = (path for path in (ROOT / "webhook" / "guardrails").iterdir() if path.name[0] not in "_.")
    return sorted(path.stem for path in found if path.name != "base" and (path.suffix == ".py" or path.is_dir()))


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return a module's syntax."""
    return ast.parse(path.read_text())


def imported(path: Path) -> Iterator[str]:
    """Yield every module that a file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def words(path: Path) -> str:
    """Return the path as people say it."""
    return str(path.relative_to(ROOT))


def test_the_lists_here_are_of_the_real_tree() -> None:
    assert {"cost_labels", "spot", "bin_packing", "right_sizing", "pod_security", "cost_ceiling"} <= set(guardrails())
    assert len(SOURCE) > 50


@pytest.mark.parametrize("name", guardrails())
def test_every_guardrail_has_a_policy_module_of_its_name(name: str) -> None:
    assert (ROOT / "webhook" / "policy" / f"{name}.py").is_file()


@pytest.mark.parametrize("name", [*guardrails(), "base"])
def test_guardrails_know_nothing_of_one_another(name: str) -> None:
    others = set(guardrails()) - {name}
    own = [path for path in modules("webhook/guardrails") if name in path.relative_to(ROOT).with_suffix("").parts]
    assert own
    found = {(words(path), module) for path in own for module in imported(path)}
    foreign = tuple(f"webhook.guardrails.{other}." for other in others)
    assert [(path, module) for path, module in found if f"{module}.".startswith(foreign)] == []


@pytest.mark.parametrize("name", guardrails())
def test_every_guardrail_has_a_test_of_its_name(name: str) -> None:
    directory = ROOT / "tests" / "guardrails"
    assert any(directory.glob(f"test_{name}*.py")) or any((directory / name).glob("test_*.py"))


def test_every_module_says_what_it_is_for() -> None:
    assert [words(path) for path in SOURCE if not ast.get_docstring(tree(path))] == []


def test_no_file_is_longer_than_a_person_reads_at_once() -> None:
    assert [words(path) for path in SOURCE if len(path.read_text().splitlines()) > 400] == []


def test_guardrails_are_pure() -> None:
    for path in modules("webhook/guardrails"):
        impure = {
            name for name in imported(path) if name.split(".")[0] in IMPURE or name.startswith("webhook.settings")
        }
        assert not impure, f"{words(path)} imports {', '.join(sorted(impure))}"
        asked = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)} & ASKING
        assert not asked, f"{words(path)} asks for {', '.join(sorted(asked))}"


def test_one_place_alone_reads_the_clock() -> None:
    for path in SOURCE:
        calls = {
            f"{node.func.value.id}.{node.func.attr}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        }
        assert not calls & WALL_CLOCK or words(path) == "webhook/assembly/__init__.py", words(path)


def test_every_cache_of_the_process_is_in_the_registry() -> None:
    """So each is bounded, and tells its size."""
    found = [
        path
        for path in sorted((ROOT / "webhook").rglob("*.py"))
        if "lru_cache" in path.read_text(encoding="utf-8") and path.name != "caches.py"
    ]
    assert found == []


def test_the_repository_speaks_of_itself_alone() -> None:
    for path in (*SOURCE, *modules("tests")):
        text = path.read_text().lower()
        found = [word for word in ("/" + "work/", "to" + "do:", "fix" + "me") if word in text]
        assert not found, f"{words(path)} says {found}"
