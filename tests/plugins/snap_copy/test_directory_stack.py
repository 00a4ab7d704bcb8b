from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tapekit_snap_copy.directory_stack import OPEN_LEVELS, DirectoryStack

DEPTH = 3 * OPEN_LEVELS


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def descended(root: Path, depth: int) -> DirectoryStack:
    stack = DirectoryStack(os.open(root, os.O_RDONLY))
    for level in range(depth):
        name = f"level-{level}"
        os.mkdir(name, dir_fd=stack.top)
        stack.enter(os.open(name, os.O_RDONLY, dir_fd=stack.top))
    return stack


def test_few_levels_stay_open_however_deep(tmp_path: Path) -> None:
    before = open_descriptors()
    stack = descended(tmp_path, DEPTH)
    assert open_descriptors() - before == OPEN_LEVELS + 1
    stack.close()
    assert open_descriptors() == before


def test_the_way_back_meets_every_directory_again(tmp_path: Path) -> None:
    before = open_descriptors()
    stack = descended(tmp_path, DEPTH)
    for level in reversed(range(DEPTH)):
        stack.leave()
        with os.scandir(stack.top) as entries:
            assert [entry.name for entry in entries] == [f"level-{level}"]
    assert os.fstat(stack.top).st_ino == tmp_path.stat().st_ino
    stack.close()
    assert open_descriptors() == before


def test_a_directory_that_moved_is_noticed(tmp_path: Path) -> None:
    stack = descended(tmp_path, DEPTH)
    deep = tmp_path.joinpath(*(f"level-{level}" for level in range(20)))
    deep.rename(tmp_path / "elsewhere")
    for _ in range(DEPTH - 20):
        stack.leave()
    with pytest.raises(OSError, match="moved") as caught:
        stack.leave()
    assert caught.value.errno == errno.ESTALE
    stack.close()
