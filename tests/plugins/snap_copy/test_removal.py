from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tapekit_snap_copy.removal import remove_tree
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_tree_of_everything_goes(tmp_path: Path, folder: int) -> None:
    make_tree(tmp_path / "tree", files=20, wide=100, deep=100)
    remove_tree(folder, "tree")
    assert not list(tmp_path.iterdir())


def test_a_tree_deeper_than_a_path_can_say_goes(tmp_path: Path, folder: int) -> None:
    place = os.dup(folder)
    for _ in range(300):
        os.mkdir("n" * 200, dir_fd=place)
        inner = os.open("n" * 200, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    remove_tree(folder, "n" * 200)
    assert not list(tmp_path.iterdir())


def test_modes_do_not_matter(tmp_path: Path, folder: int) -> None:
    inner = tmp_path / "tree" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(b"")
    inner.chmod(0)
    inner.parent.chmod(0o100)
    remove_tree(folder, "tree")
    assert not list(tmp_path.iterdir())


def test_links_are_removed_and_not_followed(tmp_path: Path, folder: int) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"kept")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_tree(folder, "tree")
    remove_tree(folder, "link")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").read_bytes() == b"kept"


def test_a_name_that_is_not_there_is_nothing_to_do(tmp_path: Path, folder: int) -> None:
    remove_tree(folder, "missing")
    assert not list(tmp_path.iterdir())
