from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import Origin
from tapekit_snap_btrfs.method import BtrfsMethod
from tapekit_trees.btrfs import delete_subvolume, make_subvolume

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METHOD = BtrfsMethod()


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(TapekitError) as caught:
        work()
    return caught.value.id


def test_a_copy_is_the_volume_as_it_was(volume: Path, place: Path) -> None:
    root = METHOD.create(volume, place / "copies", "one").root
    (volume / "file").write_bytes(b"changed since")
    (volume / "more").touch()
    assert [each.name for each in root.iterdir()] == ["file"]
    assert (root / "file").read_bytes() == b"as it was"


def test_objects_keep_their_numbers_and_times(volume: Path, place: Path) -> None:
    before = (volume / "file").stat()
    tree = METHOD.create(volume, place / "copies", "one")
    status = (tree.root / "file").stat()
    assert tree.origin(status) == Origin(before.st_ino, before.st_ctime_ns)
    tree.close()


def test_nobody_writes_to_a_copy(volume: Path, place: Path) -> None:
    tree = METHOD.create(volume, place / "copies", "one")
    with pytest.raises(OSError, match="Read-only"):
        (tree.root / "file").write_bytes(b"")


def test_copies_are_listed_in_the_order_of_their_making(volume: Path, place: Path) -> None:
    copies = place / "copies"
    for name in ("zebra", "apple", "mouse"):
        METHOD.create(volume, copies, name)
    (copies / "a directory").mkdir()
    make_subvolume(copies / "writable")
    assert METHOD.names(copies) == ("zebra", "apple", "mouse")


def test_a_copy_that_was_deleted_is_gone(volume: Path, place: Path) -> None:
    copies = place / "copies"
    METHOD.create(volume, copies, "one")
    METHOD.delete(copies, "one")
    METHOD.delete(copies, "one")
    METHOD.delete(place / "nowhere", "one")
    assert METHOD.names(copies) == ()
    assert refusal(lambda: METHOD.open(copies, "one")) == "snap_btrfs.no-such-copy"


def test_what_is_no_copy_is_neither_opened_nor_deleted(volume: Path, place: Path) -> None:
    METHOD.create(volume, place / "copies", "one")
    mine = make_subvolume(place / "copies" / "mine")
    (mine / "precious").touch()
    assert refusal(lambda: METHOD.open(place / "copies", "mine")) == "snap_btrfs.no-such-copy"
    METHOD.delete(place / "copies", "mine")
    assert (mine / "precious").exists()


def test_a_name_is_used_once(volume: Path, place: Path) -> None:
    METHOD.create(volume, place / "copies", "one")
    again = refusal(lambda: METHOD.create(volume, place / "copies", "one"))
    assert again == "snap_btrfs.copy-exists"


def test_only_subvolumes_have_snapshots(volume: Path, place: Path, tmp_path: Path) -> None:
    (volume / "folder").mkdir()
    for directory in (volume / "folder", tmp_path):
        found = refusal(lambda top=directory: METHOD.create(top, place / "copies", "one"))
        assert found == "snap_btrfs.not-a-subvolume"


def test_a_volume_with_subvolumes_in_it_is_refused(volume: Path, place: Path) -> None:
    (volume / "deep").mkdir()
    inner = make_subvolume(volume / "deep" / "inner")
    found = refusal(lambda: METHOD.create(volume, place / "copies", "one"))
    assert found == "snap_btrfs.has-subvolumes"
    delete_subvolume(inner)
    METHOD.create(volume, place / "copies", "one")


def test_a_subvolume_that_is_made_meanwhile_is_noticed(volume: Path, place: Path) -> None:
    def make_one() -> None:
        make_subvolume(volume / "late")

    found = refusal(lambda: METHOD.create(volume, place / "copies", "one", make_one))
    assert found == "snap_btrfs.has-subvolumes"
    assert list((place / "copies").iterdir()) == []


def test_copies_live_on_the_same_file_system(volume: Path, tmp_path: Path) -> None:
    found = refusal(lambda: METHOD.create(volume, tmp_path / "copies", "one"))
    assert found == "snap_btrfs.other-file-system"


def test_copies_do_not_live_in_the_volume(volume: Path) -> None:
    found = refusal(lambda: METHOD.create(volume, volume / "copies", "one"))
    assert found == "snap_btrfs.folder-in-the-volume"
    assert not (volume / "copies").exists()


def test_a_folder_that_cannot_be_made_is_told(volume: Path, place: Path) -> None:
    (place / "file").touch()
    for folder in (place / "file", place / "nowhere" / "copies"):
        found = refusal(lambda copies=folder: METHOD.create(volume, copies, "one"))
        assert found == "snap_btrfs.not-made"


def test_what_btrfs_refuses_is_told(volume: Path, place: Path) -> None:
    long_name = "n" * 300
    found = refusal(lambda: METHOD.create(volume, place / "copies", long_name))
    assert found == "snap_btrfs.not-made"


def test_a_copy_that_is_in_the_way_of_nothing_stays_when_it_cannot_be_deleted(
    volume: Path, place: Path
) -> None:
    copies = place / "copies"
    METHOD.create(volume, copies, "one")
    subprocess.run(["mount", "-o", "remount,ro", place.parent], check=True)
    try:
        assert refusal(lambda: METHOD.delete(copies, "one")) == "snap_btrfs.not-deleted"
    finally:
        subprocess.run(["mount", "-o", "remount,rw", place.parent], check=True)
    assert METHOD.names(copies) == ("one",)
