"""Going down and up a tree by descriptors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapekit_dump.descent import Descent, open_below

if TYPE_CHECKING:
    from collections.abc import Iterator


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.fstat(fd)  # Still open: a descent only borrows it.
    os.close(fd)


def inode(fd: int) -> int:
    return os.fstat(fd).st_ino


def test_place_is_opened_below_the_one_before(tmp_path: Path, root: int) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    descent = Descent(root)
    descent.enter(0, b"")
    assert descent.here() == root
    assert descent.path() == b""
    descent.enter(1, b"a")
    descent.enter(2, b"b")
    assert inode(descent.here()) == (tmp_path / "a/b").stat().st_ino
    assert inode(descent.above()) == (tmp_path / "a").stat().st_ino
    assert descent.path(b"file") == b"a/b/file"
    descent.enter(1, b"c")
    assert inode(descent.here()) == (tmp_path / "c").stat().st_ino
    assert descent.above() == root
    descent.close()


def test_only_so_many_are_open_and_all_come_back(tmp_path: Path, root: int) -> None:
    names = [b"%d" % depth for depth in range(1, 41)]
    (tmp_path / b"/".join(names).decode()).mkdir(parents=True)
    before = open_descriptors()
    descent = Descent(root, open_at_once=5)
    for depth, name in enumerate(names, 1):
        descent.enter(depth, name)
        descent.here()
        assert open_descriptors() <= before + 4
    for depth in range(40, 1, -1):
        descent.enter(depth, names[depth - 1])
        assert inode(descent.above()) == inode_of(tmp_path, names[: depth - 1])
        assert open_descriptors() <= before + 5
    descent.close()
    assert open_descriptors() == before


def inode_of(top: Path, names: list[bytes]) -> int:
    return (top / b"/".join(names).decode()).stat().st_ino


def test_symbolic_link_is_never_followed(tmp_path: Path, root: int) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("outside")
    descent = Descent(root)
    descent.enter(1, b"link")
    with pytest.raises(NotADirectoryError):
        descent.here()
    descent.close()


def test_missing_place_keeps_its_path_and_fails_below_it(tmp_path: Path, root: int) -> None:
    descent = Descent(root)
    descent.enter(1, b"gone")
    with pytest.raises(FileNotFoundError):
        descent.here()
    assert descent.path() == b"gone"
    descent.enter(2, b"child")
    with pytest.raises(FileNotFoundError):
        descent.here()
    assert descent.path() == b"gone/child"
    (tmp_path / "there").mkdir()
    descent.enter(1, b"there")
    assert inode(descent.here()) == (tmp_path / "there").stat().st_ino
    descent.close()


def test_access_time_stays(tmp_path: Path, root: int) -> None:
    directory = tmp_path / "a"
    directory.mkdir()
    (directory / "file").touch()
    os.utime(directory, ns=(10**9, 2 * 10**18))
    fd = open_below(b"a", os.O_RDONLY | os.O_DIRECTORY, root)
    with os.scandir(fd) as entries:
        assert [entry.name for entry in entries] == ["file"]
    os.close(fd)
    assert directory.stat().st_atime_ns == 10**9


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave its rights for a moment")
def test_others_files_are_opened_where_their_access_time_is_not_ours_to_keep(
    tmp_path: Path, root: int
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").touch(0o644)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            os.open(b"theirs", os.O_RDONLY | os.O_NOATIME, dir_fd=root)
        os.close(open_below(b"theirs", os.O_RDONLY, root))
    finally:
        os.seteuid(0)


def test_other_refusals_are_not_tried_twice(tmp_path: Path, root: int) -> None:
    with pytest.raises(FileNotFoundError):
        open_below(b"missing", os.O_RDONLY, root)
