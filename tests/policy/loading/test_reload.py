"""A running watcher sees every kind of edit in time, and a bad one never replaces the last good set."""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from webhook.policy.loading import loader, reload
from webhook.policy.loading.reload import INTERVAL, DirectoryWatcher, PolicyState
from webhook.policy.model.policy_set import PolicySet

LIMIT = 1.5
"""Seconds within which an edit must be live at the usual interval."""
PATIENCE = 60.0
"""Seconds that other tests wait at most, so that a busy machine fails none of them."""
EVERY = 0.03
"""Seconds between two looks where it does not matter how many there are."""
MORNING = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, for tests that are about what is seen and not about how soon."""
    monkeypatch.setattr(reload, "SETTLE", 0.01)
    monkeypatch.setattr(reload, "RECHECK", 0.03)


def policy(name: str, mode: str = "audit") -> str:
    return (
        f"apiVersion: podgate.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{name: {name}}}\nspec: {{mode: {mode}}}\n"
    )


class Watched:
    """A watcher on a directory, and what it told."""

    def __init__(
        self, path: Path, load: Callable[[Path], PolicySet] = loader.load_directory, every: float = EVERY
    ) -> None:
        self.loaded: list[PolicyState] = []
        self.failed: list[PolicyState] = []
        self.watcher = DirectoryWatcher(
            path, load, self.loaded.append, self.failed.append, now=lambda: MORNING, interval=every
        )

    @property
    def state(self) -> PolicyState:
        return self.watcher.state

    @property
    def names(self) -> list[str]:
        return [f"{item.name}={item.spec.mode}" for item in self.state.set.policies] if self.state.set else []

    async def until(self, holds: Callable[[], bool], within: float = PATIENCE) -> None:
        deadline = time.monotonic() + within
        while not holds():
            assert time.monotonic() < deadline, f"not seen within {within} s: {self.state}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(
    path: Path, load: Callable[[Path], PolicySet] = loader.load_directory, every: float = EVERY
) -> AsyncIterator[Watched]:
    watched = Watched(path, load, every)
    watched.watcher.start()
    try:
        await watched.until(lambda: watched.state != PolicyState())
        yield watched
    finally:
        await watched.watcher.stop()


async def test_the_first_look_loads(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("a"))
    watched = Watched(tmp_path)
    state = await watched.watcher.refresh()
    assert (watched.names, state.generation, state.loaded_at, state.problems) == (["a=audit"], 1, MORNING, ())
    assert watched.loaded == [state]


async def test_a_good_and_a_bad_edit_are_seen_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept, seen = [0.0], [0.0]
    really: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept[0] += seconds
        await really(0.001)

    def told(_state: PolicyState) -> None:
        seen[0] = slept[0]

    # Seconds are those that the watcher sleeps: a machine that is busy must not count as a watcher that is slow.
    monkeypatch.setattr(reload, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))
    watcher = DirectoryWatcher(tmp_path, loader.load_directory, told, told, now=lambda: MORNING, interval=INTERVAL)
    await watcher.refresh()
    holds: Callable[[], bool]
    for mode, holds in (("warn", lambda: watcher.state.generation == 2), ("on", lambda: bool(watcher.state.problems))):
        file.write_text(policy("a", mode))
        edited = slept[0]
        watcher.start()
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline
            await really(0.002)
        await watcher.stop()
        assert 0 < seen[0] - edited <= LIMIT


@pytest.mark.usefixtures("quick")
async def test_files_that_are_added_renamed_and_deleted_are_seen(tmp_path: Path) -> None:
    first = tmp_path / "a.yaml"
    first.write_text(policy("a"))
    async with watching(tmp_path) as watched:
        (tmp_path / "b.yaml").write_text(policy("b"))
        await watched.until(lambda: watched.names == ["a=audit", "b=audit"])
        first.rename(tmp_path / "z.yaml")
        await watched.until(lambda: "z.yaml" in str(watched.state.set))
        (tmp_path / "b.yaml").unlink()
        await watched.until(lambda: watched.names == ["a=audit"])
        assert [state.generation for state in watched.loaded] == [1, 2, 3, 4]
        assert not watched.failed


@pytest.mark.usefixtures("quick")
async def test_the_rename_by_which_editors_save_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("a", "audit"))
    async with watching(tmp_path) as watched:
        (tmp_path / ".a.yaml.swp").write_text(policy("a", "warn "))
        (tmp_path / ".a.yaml.swp").rename(file)
        await watched.until(lambda: watched.names == ["a=warn"])


@pytest.mark.usefixtures("quick")
async def test_the_swapped_link_of_a_config_map_is_seen(tmp_path: Path) -> None:
    for version, mode in (("..1", "audit"), ("..2", "warn")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(policy("a", mode))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    async with watching(tmp_path) as watched:
        assert watched.names == ["a=audit"]
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        await watched.until(lambda: watched.names == ["a=warn"])


@pytest.mark.usefixtures("quick")
async def test_a_bad_edit_keeps_the_last_good_set_and_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))
    async with watching(tmp_path) as watched:
        good = watched.state
        file.write_text(policy("a", "on"))
        await watched.until(lambda: bool(watched.state.problems))
        assert str(watched.state.problems[0]).endswith("must be enforce, warn, audit or off, not `on`. Write enforce.")
        assert (watched.state.set, watched.state.loaded_at, watched.state.generation) == (good.set, MORNING, 1)
        await asyncio.sleep(5 * EVERY)
        assert len(watched.failed) == 1
        file.write_text(policy("a", "warn"))
        await watched.until(lambda: watched.names == ["a=warn"])
        assert (watched.state.problems, watched.state.generation) == ((), 2)


@pytest.mark.usefixtures("quick")
async def test_taking_a_bad_edit_back_clears_the_failure(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))
    async with watching(tmp_path) as watched:
        file.write_text("a: [")
        await watched.until(lambda: bool(watched.state.problems))
        file.write_text(policy("a"))
        await watched.until(lambda: not watched.state.problems)
        assert watched.names == ["a=audit"]


@pytest.mark.usefixtures("quick")
async def test_a_directory_that_vanishes_is_a_failure_and_recovers(tmp_path: Path) -> None:
    directory, away = tmp_path / "policies", tmp_path / "away"
    directory.mkdir()
    (directory / "a.yaml").write_text(policy("a"))
    async with watching(directory) as watched:
        directory.rename(away)
        await watched.until(lambda: bool(watched.state.problems))
        assert watched.names == ["a=audit"]
        assert str(watched.state.problems[0]).endswith("does not exist. Create it, or give another directory.")
        away.rename(directory)
        await watched.until(lambda: not watched.state.problems)


async def test_a_half_written_file_raises_no_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than the writing takes on a machine that has much else to do.
    monkeypatch.setattr(reload, "RECHECK", 2.0)
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))
    async with watching(tmp_path) as watched:
        text = policy("a", "warn")
        for end in range(10, len(text), 40):
            file.write_text(text[:end])
            await asyncio.sleep(0.05)
        file.write_text(text)
        await watched.until(lambda: watched.names == ["a=warn"])
        assert not watched.failed


async def test_unchanged_content_is_not_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))
    watched = Watched(tmp_path)
    await watched.watcher.refresh()
    file.touch()
    await watched.watcher.refresh()
    await watched.watcher.refresh()
    assert watched.state.generation == 1


@pytest.mark.usefixtures("quick")
async def test_an_unexpected_fault_becomes_a_problem_and_the_watch_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))
    faults = iter([KeyError("x"), KeyError("x")])

    def load(path: Path) -> PolicySet:
        for fault in faults:
            raise fault
        return loader.load_directory(path)

    async with watching(tmp_path, load) as watched:
        expected = f"{tmp_path}: could not be taken over: KeyError: 'x'. The last good set stays; please report this."
        assert [str(problem) for problem in watched.state.problems] == [expected]
        file.write_text(policy("a", "warn"))
        await watched.until(lambda: watched.names == ["a=warn"])


@pytest.mark.usefixtures("quick")
async def test_a_set_that_its_user_refuses_does_not_become_the_state(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))

    def refuse_warn(state: PolicyState) -> None:
        if state.set is not None and state.set.policies[0].spec.mode == "warn":
            raise RuntimeError("no")

    watcher = DirectoryWatcher(tmp_path, loader.load_directory, refuse_warn, lambda _state: None, now=lambda: MORNING)
    good = await watcher.refresh()
    file.write_text(policy("a", "warn"))
    state = await watcher.refresh()
    assert (state.set, state.generation) == (good.set, 1)
    assert "RuntimeError: no" in str(state.problems[0])


@pytest.mark.usefixtures("quick")
async def test_whoever_is_told_of_a_failure_cannot_end_the_watch(tmp_path: Path) -> None:
    def angry(_state: PolicyState) -> None:
        raise RuntimeError("told")

    watcher = DirectoryWatcher(tmp_path, loader.load_directory, lambda _state: None, angry, now=lambda: MORNING)
    state = await watcher.refresh()
    assert ["has no *.yaml" in str(state.problems[0]), "RuntimeError: told" in str(state.problems[1])] == [True, True]


async def test_stopping_twice_and_never_starting_are_fine(tmp_path: Path) -> None:
    watcher = Watched(tmp_path).watcher
    await watcher.stop()
    watcher.start()
    watcher.start()
    await watcher.stop()
    await watcher.stop()
    with pytest.raises(AttributeError):
        watcher.state.generation = 2  # type: ignore[misc]  # the state is frozen; that is what is tested
