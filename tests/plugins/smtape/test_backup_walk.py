"""Walks of Snapshot copies, here of plain directories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.storage import Origin
from tapekit_smtape.backup_walk import CopyWalk

if TYPE_CHECKING:
    import os

    from tapekit.hookspecs.storage import SnapshotTree


class MemoryTree:
    """A directory that is its own Snapshot copy."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def origin(self, status: os.stat_result) -> Origin:
        return Origin(status.st_ino, status.st_ctime_ns)

    def birth_ns(self, directory: int, name: bytes) -> int | None:
        return None

    def close(self) -> None:
        pass


@pytest.fixture
def tree(tmp_path: Path) -> SnapshotTree:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/1", "a/2", "a/b/3", "4"):
        (tmp_path / name).touch()
    return MemoryTree(tmp_path)


def open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_every_name_comes_once_and_behind_its_directory(tree: SnapshotTree) -> None:
    walk = CopyWalk(tree, lambda: None)
    paths = [visit.path for visit in walk.visits()]
    walk.close()
    assert paths[0] == b""
    assert sorted(paths) == [b"", b"4", b"a", b"a/1", b"a/2", b"a/b", b"a/b/3"]
    assert paths.index(b"a") < paths.index(b"a/b") < paths.index(b"a/b/3")


def test_a_walk_that_is_closed_in_the_middle_of_its_visits_leaves_nothing_open(
    tree: SnapshotTree,
) -> None:
    before = open_descriptors()
    walk = CopyWalk(tree, lambda: None)
    visits, others = walk.visits(), walk.visits()
    for _ in range(4):
        next(visits)
    next(others)
    assert len(open_descriptors() - before) > 1
    walk.close()
    walk.close()
    assert open_descriptors() == before
    assert list(visits) == list(others) == []
