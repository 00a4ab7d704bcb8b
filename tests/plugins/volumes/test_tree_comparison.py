"""Trees side by side: every difference is found."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.storage import for_ever
from tapekit_volumes.tree_comparison import MountedInside, TreesDiffer, walk_trees

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    first = tmp_path / "first"
    (first / "inner" / "deep").mkdir(parents=True)
    (first / "inner" / "deep" / "file").write_bytes(b"content")
    (first / "inner" / "other").write_bytes(b"content")
    (first / "link").symlink_to("inner")
    os.mkfifo(first / "fifo")
    second = tmp_path / "second"
    shutil.copytree(first, second, symlinks=True, ignore=shutil.ignore_patterns("fifo"))
    os.mkfifo(second / "fifo")
    for name in ("fifo", "."):
        shutil.copystat(first / name, second / name)
    return first, second


def test_a_copy_is_the_same(trees: tuple[Path, Path]) -> None:
    assert walk_trees(*trees, for_ever) == walk_trees(trees[0], None, for_ever)


def _link_elsewhere(tree: Path) -> None:
    times = {name: _times(tree / name) for name in ("link", ".")}
    (tree / "link").unlink()
    (tree / "link").symlink_to("other")
    for name, ns in times.items():
        os.utime(tree / name, ns=ns, follow_symlinks=False)


def _times(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return (status.st_atime_ns, status.st_mtime_ns)


def _replace(tree: Path, content: bytes) -> None:
    file = tree / "inner" / "deep" / "file"
    times = _times(file)
    file.write_bytes(content)
    os.utime(file, ns=times)


@pytest.mark.parametrize(
    ("change", "path", "what"),
    [
        (lambda tree: (tree / "inner" / "other").unlink(), "inner/", ""),
        (lambda tree: (tree / "more").touch(), ".", ""),
        (lambda tree: (tree / "inner" / "deep" / "file").chmod(0o600), "inner/deep/file", "type"),
        (lambda tree: os.utime(tree / "inner" / "other", (1, 1)), "inner/other", "type"),
        (lambda tree: _replace(tree, b"CONTENTS"), "inner/deep/file", "size"),
        (lambda tree: os.setxattr(tree / "fifo", "trusted.x", b"1"), "fifo", "extended"),
        (_link_elsewhere, "link", "the symbolic link leads elsewhere"),
    ],
    ids=["removed", "added", "mode", "time", "size", "attribute", "symbolic link"],
)
def test_every_difference_is_told(
    trees: tuple[Path, Path], change: Callable[[Path], object], path: str, what: str
) -> None:
    try:
        change(trees[1])
    except PermissionError:
        pytest.skip("only root sets trusted attributes")
    with pytest.raises(TreesDiffer) as caught:
        walk_trees(*trees, for_ever)
    assert caught.value.path.startswith(path.rstrip("/"))
    assert what in caught.value.what


def test_a_file_system_inside_another_one_is_told() -> None:
    if not Path("/dev/shm").is_mount():
        pytest.skip("needs a mounted /dev/shm")
    with pytest.raises(MountedInside):
        walk_trees(Path("/dev"), None, for_ever)


def test_a_walk_can_be_ended(trees: tuple[Path, Path]) -> None:
    class Ended(Exception):
        pass

    def end() -> None:
        raise Ended

    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(Ended):
        walk_trees(*trees, end)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
