from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tapekit.births import birth_time_ns
from tapekit.errors import TapekitError
from tapekit_snap_copy.method import CopyMethod
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree
from tapekit_trees.objects import DEFAULT_ACL, sample_acl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def method() -> CopyMethod:
    return CopyMethod()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_bytes(b"content")
    (folder / "inner" / "link").symlink_to("../file")
    return folder


@pytest.fixture
def snapshots(tmp_path: Path) -> Path:
    return tmp_path / "volume.snapshots"


@pytest.fixture
def small_place(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a file system of its own."""
    places: list[Path] = []

    def mount(kind: str, *options: str) -> Path:
        place = tmp_path / f"place-{len(places)}"
        place.mkdir()
        subprocess.run(["mount", "-t", kind, *options, kind, place], check=True)
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", place], check=True)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def everything_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class EnoughError(Exception):
    """Nobody wants the copy any more."""


@pytest.mark.parametrize("calls", [0, 1, 5, 20])
def test_a_copy_that_nobody_wants_any_more_leaves_nothing(
    method: CopyMethod, tmp_path: Path, snapshots: Path, calls: int
) -> None:
    make_tree(tmp_path / "all", files=20, wide=20, deep=5)
    left = iter(range(calls))

    def keep_going() -> None:
        if next(left, None) is None:
            raise EnoughError

    with pytest.raises(EnoughError):
        method.create(tmp_path / "all", snapshots, "one", keep_going)
    assert everything_in(snapshots) == set()
    assert method.names(snapshots) == ()


def test_a_large_file_can_be_ended_on_the_way(
    method: CopyMethod, tmp_path: Path, snapshots: Path
) -> None:
    (tmp_path / "volume").mkdir()
    with (tmp_path / "volume" / "large").open("wb") as file:
        for _ in range(200):
            file.write(bytes(1 << 20))
    calls: list[int] = []
    method.create(tmp_path / "volume", snapshots, "one", lambda: calls.append(1))
    assert len(calls) >= 200 // 64


def test_a_copy_equals_the_volume_and_can_be_opened_again(
    method: CopyMethod, tmp_path: Path, snapshots: Path
) -> None:
    make_tree(tmp_path / "all", files=20, wide=20, deep=5)
    made = method.create(tmp_path / "all", snapshots, "one")
    assert compare_trees(tmp_path / "all", made.root) == []
    for tree in (made, method.open(snapshots, "one")):
        assert tree.root == snapshots / "one"
        original = (tmp_path / "all" / "plain" / "large").stat()
        origin = tree.origin((tree.root / "plain" / "large").stat())
        assert origin == (original.st_ino, original.st_ctime_ns)


def test_a_copy_tells_when_the_originals_were_made(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    late = volume.with_name("late")
    while not late.exists() or late.stat().st_mtime_ns == (volume / "inner").stat().st_mtime_ns:
        late.write_bytes(b"now")
    copy = method.create(volume, snapshots, "one")
    for name in ("file", "inner", "inner/link"):
        with opened((volume / name).parent) as there, opened((copy.root / name).parent) as here:
            last = os.fsencode(name.rpartition("/")[2])
            born = birth_time_ns(last, there)
            if born is None:
                pytest.skip("this file system keeps no times of birth")
            assert copy.birth_ns(here, last) == born != birth_time_ns(last, here)


def test_only_the_owner_may_look_at_copies(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    method.create(volume, snapshots, "one")
    assert snapshots.stat().st_mode & 0o777 == 0o700


def test_copies_do_not_change_with_the_volume(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    tree = method.create(volume, snapshots, "one")
    (volume / "file").write_bytes(b"changed")
    assert (tree.root / "file").read_bytes() == b"content"


def test_names_are_told_oldest_first(method: CopyMethod, volume: Path, snapshots: Path) -> None:
    assert method.names(snapshots) == ()
    for name in ("b", "c", "a"):
        method.create(volume, snapshots, name)
    (snapshots / ".d.partial").mkdir()
    (snapshots / "foreign").mkdir()
    assert method.names(snapshots) == ("b", "c", "a")


def test_a_name_is_used_once(method: CopyMethod, volume: Path, snapshots: Path) -> None:
    method.create(volume, snapshots, "one")
    with pytest.raises(TapekitError, match="Snapshot copy one exists") as caught:
        method.create(volume, snapshots, "one")
    assert caught.value.id == "snap_copy.copy-exists"
    assert method.names(snapshots) == ("one",)


def test_a_deleted_copy_leaves_nothing(method: CopyMethod, volume: Path, snapshots: Path) -> None:
    method.create(volume, snapshots, "one")
    method.create(volume, snapshots, "two")
    method.delete(snapshots, "one")
    assert method.names(snapshots) == ("two",)
    method.delete(snapshots, "two")
    assert everything_in(snapshots) == set()


def test_unknown_copies_need_no_deleting(method: CopyMethod, volume: Path, snapshots: Path) -> None:
    method.delete(snapshots, "one")
    method.create(volume, snapshots, "one")
    method.delete(snapshots, "two")
    assert method.names(snapshots) == ("one",)


def test_what_a_crash_left_is_removed_and_the_name_can_be_used(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    for leftover in (".one.partial", ".one.links"):
        (snapshots / leftover / "inner").mkdir(parents=True)
    (snapshots / ".one.origins").write_bytes(b"half")
    assert method.names(snapshots) == ()
    method.create(volume, snapshots, "one")
    assert everything_in(snapshots) == {"one", ".one.origins"}
    (snapshots / ".two.partial").mkdir()
    method.delete(snapshots, "two")
    assert everything_in(snapshots) == {"one", ".one.origins"}


def test_a_copy_that_is_not_there_cannot_be_opened(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    method.create(volume, snapshots, "one")
    (snapshots / "linked").symlink_to("one")
    for name in ("two", "linked"):
        with pytest.raises(TapekitError, match=f"no whole Snapshot copy {name}"):
            method.open(snapshots, name)


def test_a_damaged_list_of_origins_is_told(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    method.create(volume, snapshots, "one")
    (snapshots / ".one.origins").write_bytes(b"damaged")
    with pytest.raises(TapekitError, match="ends within its header") as caught:
        method.open(snapshots, "one")
    assert caught.value.id == "snap_copy.origins-damaged"


def test_an_object_that_was_added_has_no_origin(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    tree = method.create(volume, snapshots, "one")
    (tree.root / "added").write_bytes(b"x")
    with pytest.raises(TapekitError, match="does not belong to it"):
        tree.origin((tree.root / "added").stat())


def test_copies_inherit_nothing_from_their_folder(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    snapshots.mkdir()
    os.setxattr(snapshots, DEFAULT_ACL, sample_acl(1000, 2000))
    snapshots.chmod(0o2777)
    method.create(volume, snapshots, "one")
    assert compare_trees(volume, snapshots / "one") == []


def test_a_volume_that_is_gone_is_told(method: CopyMethod, tmp_path: Path, snapshots: Path) -> None:
    with pytest.raises(TapekitError, match="missing cannot be copied: No such file") as caught:
        method.create(tmp_path / "missing", snapshots, "one")
    assert caught.value.id == "snap_copy.not-copied"
    assert everything_in(snapshots) == set()


@ROOT_ONLY
def test_without_room_nothing_is_left(
    method: CopyMethod, volume: Path, small_place: Callable[..., Path]
) -> None:
    place = small_place("tmpfs", "-o", "size=1m")
    (volume / "large").write_bytes(bytes(3 << 20))
    with pytest.raises(TapekitError, match="No space left") as caught:
        method.create(volume, place, "one")
    assert caught.value.id == "snap_copy.no-room"
    assert everything_in(place) == set()


@ROOT_ONLY
def test_an_attribute_that_cannot_be_kept_is_named_and_nothing_is_left(
    method: CopyMethod, volume: Path, small_place: Callable[..., Path]
) -> None:
    place = small_place("ramfs")
    os.setxattr(volume / "inner", "user.precious", b"1")
    with pytest.raises(TapekitError, match=r"volume/inner: the attribute user.precious") as caught:
        method.create(volume, place, "one")
    assert caught.value.id == "snap_copy.attribute-not-kept"
    assert everything_in(place) == set()


@ROOT_ONLY
def test_what_cannot_be_deleted_is_no_longer_a_copy(
    method: CopyMethod, volume: Path, snapshots: Path
) -> None:
    held = method.create(volume, snapshots, "one").root / "inner"
    if subprocess.run(["chattr", "+i", held], check=False, capture_output=True).returncode:
        pytest.skip("the file system has no immutable objects")
    try:
        with pytest.raises(
            TapekitError, match=r"deleted: \.one\.partial/inner: Operation not"
        ) as caught:
            method.delete(snapshots, "one")
    finally:
        subprocess.run(["chattr", "-i", snapshots / ".one.partial" / "inner"], check=True)
    assert caught.value.id == "snap_copy.not-deleted"
    assert method.names(snapshots) == ()
    method.delete(snapshots, "one")
    assert everything_in(snapshots) == set()


COPYING = """
import logging, sys
from pathlib import Path
from tapekit.errors import TapekitError
from tapekit_snap_copy.method import CopyMethod
logging.basicConfig(format="%(message)s", stream=sys.stdout)
try:
    print(CopyMethod().create(*map(Path, sys.argv[1:]), "one").root.name)
except TapekitError as error:
    print(error.id, error)
"""


def test_what_needs_privileges_is_logged_once_a_kind(
    volume: Path, snapshots: Path, without_privileges: Callable[..., str]
) -> None:
    for number in range(3):
        (volume / f"device-{number}").touch()
        os.chown(volume / f"device-{number}", 5, 5)
    os.mknod(volume / "device", 0o020666, os.makedev(1, 3))
    lines = without_privileges(COPYING, volume, snapshots).splitlines()
    assert lines[-1] == "one"
    told = sorted(line.partition(" objects are not copied faithfully")[0] for line in lines[:-1])
    assert told == ["1", "3"]
    assert not (snapshots / "one" / "device").exists()


def test_an_unreadable_file_stops_the_copy_and_is_named(
    volume: Path, snapshots: Path, without_privileges: Callable[..., str]
) -> None:
    os.chown(volume / "file", 5, 5)
    (volume / "file").chmod(0)
    told = without_privileges(COPYING, volume, snapshots)
    assert told.startswith(f"snap_copy.not-copied Snapshot copy one: {volume}/file cannot")
    assert everything_in(snapshots) == set()
