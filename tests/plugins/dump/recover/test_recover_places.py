"""Directories of the destination, opened one in the other."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tapekit_dump.recover_catalogue import Directory
from tapekit_dump.recover_places import Places
from tapekit_dump.recover_selection import View

if TYPE_CHECKING:
    from collections.abc import Iterator


def directories(*rows: tuple[int, int, bytes]) -> dict[int, Directory]:
    found = {2: Directory(2, b"")}
    for inode, parent, name in rows:
        found[inode] = Directory(inode, b"")
        found[inode].parent, found[inode].name = parent, name
    return found


@pytest.fixture
def top(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def view_of(
    way: tuple[bytes, ...] = (), *, source: tuple[bytes, ...] = (), inode: int | None = 2
) -> View:
    view = View(0, source, (b"vs1", b"vol1", *way), None)
    view.top = inode
    return view


def inode_of(fd: int) -> int:
    return os.fstat(fd).st_ino


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_chain_is_made_and_found_again(folder: Path, top: int) -> None:
    known = directories((3, 2, b"a"), (4, 3, b"b"), (5, 4, b"c"))
    view = view_of()
    with closing(Places(known, {0: (top, ())}, 4)) as places:
        for inode in (2, 3, 4, 5):
            places.make(view, known[inode])
        assert inode_of(places.descriptor(view, 5)) == (folder / "a/b/c").stat().st_ino
        assert stat.S_IMODE((folder / "a/b").stat().st_mode) == 0o700


def test_few_stay_open_and_all_are_found(folder: Path, top: int) -> None:
    known = directories(*((n, 2 + (n - 3) // 3, b"d%d" % n) for n in range(3, 120)))
    view = view_of()
    before = open_descriptors()
    with closing(Places(known, {0: (top, ())}, 4)) as places:
        for directory in known.values():
            places.make(view, directory)
            assert open_descriptors() <= before + 4
        paths = {path.name: path for path in folder.rglob("*")}
        for inode in (119, 3, 60, 4, 118, 3, 90):
            found = inode_of(places.descriptor(view, inode))
            assert found == paths[f"d{inode}"].stat().st_ino
            assert open_descriptors() <= before + 4
    assert open_descriptors() == before


def test_what_is_missing_on_the_way_is_made(folder: Path, top: int) -> None:
    known = directories((3, 2, b"d"))
    view = view_of((b"new", b"place"), source=(b"d",), inode=3)
    with closing(Places(known, {0: (top, (b"new", b"place"))}, 4)) as places:
        places.make(view, known[3])
        assert inode_of(places.descriptor(view, 0)) == (folder / "new").stat().st_ino
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o755


@pytest.mark.parametrize("way", [(b"x",), (b"x", b"y"), (b"d", b"x", b"y")])
def test_links_are_never_walked_through(
    folder: Path, tmp_path: Path, top: int, way: tuple[bytes, ...]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "d").mkdir()
    for place in (folder / "x", folder / "d/x"):
        place.symlink_to(outside)
    known = directories()
    view = view_of(way)
    with closing(Places(known, {0: (top, way)}, 4)) as places, pytest.raises(NotADirectoryError):
        places.make(view, known[2])
    assert list(outside.iterdir()) == []


def test_a_directory_that_turned_into_a_link_is_not_entered(
    folder: Path, tmp_path: Path, top: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    known = directories((3, 2, b"a"), *((n, 2, b"d%d" % n) for n in range(4, 9)))
    view = view_of()
    with closing(Places(known, {0: (top, ())}, 4)) as places:
        for directory in known.values():
            places.make(view, directory)
        (folder / "a").rmdir()
        (folder / "a").symlink_to(outside)
        with pytest.raises(NotADirectoryError):
            places.descriptor(view, 3)


def test_a_file_cannot_take_the_place_of_a_volume(top: int) -> None:
    view = view_of(source=(b"f",), inode=None)
    places = Places(directories(), {0: (top, ())}, 4)
    with closing(places), pytest.raises(IsADirectoryError):
        places.descriptor(view, 0)


def test_a_failed_way_leaves_nothing_open(folder: Path, top: int) -> None:
    (folder / "a").mkdir()
    (folder / "a/file").touch()
    before = open_descriptors()
    view = view_of((b"a", b"file", b"b"))
    known = directories()
    with closing(Places(known, {0: (top, (b"a", b"file", b"b"))}, 4)) as places:
        with pytest.raises(NotADirectoryError):
            places.make(view, known[2])
        assert open_descriptors() == before


ACL = bytes.fromhex(
    "02000000 01000600ffffffff 02000600d2040000 04000400ffffffff 10000600ffffffff 20000400ffffffff"
)


def test_directories_that_hand_acls_down_are_known(folder: Path, top: int) -> None:
    (folder / "old").mkdir()
    try:
        os.setxattr(folder / "old", "system.posix_acl_default", ACL)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    known: Any = directories((3, 2, b"old"), (4, 3, b"new"))
    view = view_of()
    with closing(Places(known, {0: (top, ())}, 8)) as places:
        for directory in known.values():
            places.make(view, directory)
        handing = [inode for inode in known if places.inherits(places.descriptor(view, inode))]
        assert handing == [3]
    assert os.listxattr(folder / "old/new") == []
