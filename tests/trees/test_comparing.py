from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from tapekit_trees.comparing import Aspect, Difference, compare_trees
from tapekit_trees.making import make_tree
from tapekit_trees.objects import ACCESS_ACL, ObjectMaker, sample_acl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def fill(top: Path) -> None:
    with ObjectMaker(top, 7) as maker:
        maker.directory(b"dir")
        maker.file(b"dir/file", 10_000)
        maker.file(b"other", 10)
        maker.file_of(b"sparse", [(65536, 4096)], 1 << 20)
        maker.symlink(b"link", b"dir/file")
        maker.link(b"dir/same", b"dir/file")
        maker.fifo(b"fifo")
        maker.attribute(b"other", "user.a", b"1")
        for name in (b"dir/file", b"other", b"sparse", b"link", b"fifo", b"dir", b""):
            maker.times(name, 5_000_000, 6_000_000)


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    return tmp_path / "a", tmp_path / "b"


def write_at(path: Path, offset: int, data: bytes) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_link(top: Path) -> None:
    (top / "link").unlink()
    (top / "link").symlink_to("dir/fil2")
    os.utime(top / "link", (5, 6), follow_symlinks=False)
    os.utime(top, (5, 6))


def split_links(top: Path) -> None:
    content = (top / "dir/same").read_bytes()
    mode = stat.S_IMODE((top / "dir/same").stat().st_mode)
    (top / "dir/same").unlink()
    (top / "dir/same").write_bytes(content)
    (top / "dir/same").chmod(mode)
    os.utime(top / "dir/same", (5, 6))
    os.utime(top / "dir/file", (5, 6))
    os.utime(top / "dir", (5, 6))


def remove(top: Path) -> None:
    (top / "other").unlink()
    os.utime(top, (5, 6))


def change_type(top: Path) -> None:
    (top / "fifo").unlink()
    (top / "fifo").mkdir()
    os.utime(top, (5, 6))


def set_times(path: Path, atime_ns: int, mtime_ns: int) -> None:
    os.utime(path, ns=(atime_ns, mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], list[tuple[str, Aspect]]]] = {
    "missing": (remove, [("other", Aspect.MISSING)]),
    "type": (change_type, [("fifo", Aspect.TYPE)]),
    "content": (
        lambda top: write_at(top / "dir/file", 9_999, b"!"),
        [("dir/file", Aspect.CONTENT)],
    ),
    "data in a hole": (
        lambda top: write_at(top / "sparse", 500_000, b"!"),
        [("sparse", Aspect.CONTENT), ("sparse", Aspect.HOLES)],
    ),
    "size": (
        lambda top: write_at(top / "sparse", 1 << 20, b"\0"),
        [("sparse", Aspect.CONTENT)],
    ),
    "filled hole": (
        lambda top: write_at(top / "sparse", 0, bytes(4096)),
        [("sparse", Aspect.HOLES)],
    ),
    "mode": (lambda top: (top / "other").chmod(0o640), [("other", Aspect.MODE)]),
    "mode of the root": (lambda top: top.chmod(0o711), [(".", Aspect.MODE)]),
    "setuid": (lambda top: (top / "fifo").chmod(0o4640), [("fifo", Aspect.MODE)]),
    "mtime": (
        lambda top: set_times(top / "dir", 5 * 10**9, 6 * 10**9 + 1000),
        [("dir", Aspect.MTIME)],
    ),
    "atime": (
        lambda top: set_times(top / "other", 5 * 10**9 + 1000, 6 * 10**9),
        [("other", Aspect.ATIME)],
    ),
    "target": (replace_link, [("link", Aspect.TARGET)]),
    "links": (split_links, [("dir/file", Aspect.LINKS), ("dir/same", Aspect.LINKS)]),
    "attribute": (
        lambda top: os.setxattr(top / "other", "user.a", b"2"),
        [("other", Aspect.ATTRIBUTE)],
    ),
    "attribute more": (
        lambda top: os.setxattr(top / "dir", "user.b", b""),
        [("dir", Aspect.ATTRIBUTE)],
    ),
    "attribute less": (
        lambda top: os.removexattr(top / "other", "user.a"),
        [("other", Aspect.ATTRIBUTE)],
    ),
}


def told(differences: list[Difference]) -> list[tuple[str, Aspect]]:
    return [(found.path, found.aspect) for found in differences]


def test_equal_trees_have_no_difference(twins: tuple[Path, Path]) -> None:
    assert compare_trees(*twins, ignore=()) == []


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_found_and_nothing_else(twins: tuple[Path, Path], change: str) -> None:
    first, second = twins
    make, expected = CHANGES[change]
    make(second)
    assert told(compare_trees(first, second, ignore=())) == expected


def test_extra_object_is_found(twins: tuple[Path, Path]) -> None:
    first, second = twins
    (second / "dir/extra").mkdir()
    os.utime(second / "dir", (5, 6))
    assert told(compare_trees(first, second)) == [("dir/extra", Aspect.EXTRA)]


def test_more_holes_are_no_difference(twins: tuple[Path, Path]) -> None:
    first, second = twins
    write_at(first / "sparse", 0, bytes(4096))
    assert compare_trees(first, second) == []


@ROOT_ONLY
def test_owner_is_compared(twins: tuple[Path, Path]) -> None:
    first, second = twins
    os.chown(second / "link", 70_000, 5, follow_symlinks=False)
    found = compare_trees(first, second)
    assert told(found) == [("link", Aspect.OWNER)]
    assert str(found[0]) == "link: owner and group: (0, 0) became (70000, 5)"


@ROOT_ONLY
def test_device_number_is_compared(twins: tuple[Path, Path]) -> None:
    for top, minor in zip(twins, (3, 5), strict=True):
        os.mknod(top / "device", stat.S_IFCHR, os.makedev(1, minor))
        os.utime(top / "device", (5, 6))
        os.utime(top, (5, 6))
    assert told(compare_trees(*twins)) == [("device", Aspect.DEVICE)]


def test_acl_is_told_apart_from_other_attributes(twins: tuple[Path, Path]) -> None:
    for top, user in zip(twins, (1000, 1001), strict=True):
        os.setxattr(top / "other", ACCESS_ACL, sample_acl(user, 7))
    assert told(compare_trees(*twins)) == [("other", Aspect.ACL)]


def test_differences_below_the_granularity_do_not_count(twins: tuple[Path, Path]) -> None:
    first, second = twins
    set_times(second / "dir", 5 * 10**9, 6 * 10**9 + 999)
    write_at(second / "sparse", 0, bytes(4096))
    assert compare_trees(first, second, hole_granularity=65536 * 4) == []


def test_odd_names_are_readable(twins: tuple[Path, Path]) -> None:
    first, second = twins
    with ObjectMaker(first, 0) as maker:
        maker.file(b"\xff\n", 0)
        maker.times(b"", 5_000_000, 6_000_000)
    [found] = compare_trees(first, second)
    assert str(found) == "\\xff\\n: missing from the second tree"


def test_whole_tree_equals_itself(tmp_path: Path) -> None:
    make_tree(tmp_path, files=20, wide=10, deep=50)
    assert compare_trees(tmp_path, tmp_path, ignore=()) == []
