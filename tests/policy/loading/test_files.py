"""Which files of a directory are read, how they are named in errors, and what is told about those that cannot be."""

import os
from pathlib import Path

import pytest

from webhook.policy.loading import files as policy_files
from webhook.policy.loading import loader
from webhook.policy.model.problems import PolicyErrors


def policy(name: str, mode: str = "audit") -> str:
    return (
        f"apiVersion: podgate.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{name: {name}}}\nspec: {{mode: {mode}}}\n"
    )


def names(directory: Path) -> list[str]:
    return [item.name for item in loader.load_directory(directory).policies]


def lines(directory: Path) -> list[str]:
    with pytest.raises(PolicyErrors) as caught:
        loader.load_directory(directory)
    return str(caught.value).replace(str(directory), "DIR").splitlines()


def test_yaml_and_yml_files_are_read_at_every_depth_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.yaml").write_text(policy("a"))
    (tmp_path / "deep" / "b.yml").write_text(policy("b"))
    (tmp_path / "deep" / "er" / "c.yaml").write_text(policy("c"))
    (tmp_path / "README.md").write_text("not: [yaml")
    (tmp_path / ".swap.yaml").write_text("not: [yaml")
    assert names(tmp_path) == ["a", "b", "c"]


def test_a_mounted_config_map_is_read_once_and_named_by_its_visible_files(tmp_path: Path) -> None:
    dated = tmp_path / "..2026_01_01"
    (dated / "sub").mkdir(parents=True)
    (dated / "a.yaml").write_text(policy("a"))
    (dated / "sub" / "b.yaml").write_text(policy("b"))
    (tmp_path / "..data").symlink_to(dated.name)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "sub").symlink_to("..data/sub")
    loaded = loader.load_directory(tmp_path)
    assert [str(item.origin) for item in loaded.policies] == [f"{tmp_path}/a.yaml:1", f"{tmp_path}/sub/b.yaml:1"]


def test_a_link_to_a_parent_ends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("a"))
    (tmp_path / "again").symlink_to(tmp_path)
    assert names(tmp_path) == ["a"]


def test_a_byte_order_mark_is_tolerated(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + policy("a").encode())
    assert names(tmp_path) == ["a"]


def test_errors_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("a", "on"))
    (tmp_path / "b.yaml").write_text("a: [")
    (tmp_path / "c.yaml").write_bytes(policy("c").encode() + b"# caf\xe9\n")
    (tmp_path / "d.yaml").write_text("#" * (policy_files.MAX_BYTES + 1))
    (tmp_path / "e.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "f.yaml")
    (tmp_path / "g.yaml").write_text(policy("g"))
    assert lines(tmp_path) == [
        "DIR/a.yaml:4: spec.mode: must be enforce, warn, audit or off, not `on`. Write enforce.",
        (
            "DIR/b.yaml:1: is not valid YAML: did not find expected node content while parsing a flow node. "
            "Check the indentation, and that each quote and bracket is closed."
        ),
        "DIR/c.yaml:5: is not valid UTF-8. Save the file in UTF-8.",
        "DIR/d.yaml: is larger than 1024 KiB. Split it into several files.",
        "DIR/e.yaml: does not exist. Make it readable, or remove it.",
        "DIR/f.yaml: is not a regular file. Remove it, or rename it.",
    ]


def test_the_same_policy_in_two_files_is_an_error_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("a"))
    (tmp_path / "b.yaml").write_text(f"---\n{policy('a')}")
    assert lines(tmp_path) == [
        (
            "DIR/b.yaml:4: metadata.name: GuardrailPolicy a is defined twice, first at DIR/a.yaml:1. "
            "Rename or remove one of them."
        )
    ]


def test_a_duplicate_is_told_even_where_its_spec_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(policy("a", "on"))
    (tmp_path / "b.yaml").write_text(policy("a"))
    assert [line.split(" ")[1] for line in lines(tmp_path)] == ["spec.mode:", "metadata.name:"]


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    assert lines(tmp_path) == [
        "DIR: has no *.yaml or *.yml file. Put a GuardrailPolicy there, or give another directory."
    ]


def test_a_directory_with_empty_files_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# soon\n---\n")
    assert lines(tmp_path) == ["DIR: has no policies. Put a GuardrailPolicy there, or give another directory."]


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    assert lines(tmp_path / "gone") == ["DIR: does not exist. Create it, or give another directory."]


def test_a_file_in_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))
    assert lines(file) == ["DIR: is not a directory. Give the directory that holds it."]


def test_the_fingerprint_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(policy("a"))
    before = loader.load_directory(tmp_path).fingerprint
    os.utime(file, (1, 1))
    assert loader.load_directory(tmp_path).fingerprint == before
    file.rename(tmp_path / "b.yaml")
    renamed = loader.load_directory(tmp_path).fingerprint
    (tmp_path / "b.yaml").write_text(policy("a", "warn"))
    assert len({before, renamed, loader.load_directory(tmp_path).fingerprint}) == 3
