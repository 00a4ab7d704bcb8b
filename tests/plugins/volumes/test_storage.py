from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import Origin, TreeTraits
from tapekit.marks import QtreeMark, SecurityStyle, SnapLock
from tapekit_volumes.withheld import RESTRICTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.volumes.conftest import Site

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def refused(call: Callable[[str, str], object], path: str) -> TapekitError:
    with pytest.raises(TapekitError) as caught:
        call(path, "session 1")
    return caught.value


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    yield
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


def names_in(descriptor: int) -> list[str]:
    with os.scandir(descriptor) as entries:
        return sorted(entry.name for entry in entries)


@pytest.mark.requirement("R003")
def test_a_backup_reads_a_copy_where_the_volume_has_a_method(site: Site) -> None:
    tree = site.storage.open_backup("/vs1/vol1", "session 1")
    (site.folder / "vol1" / "inner" / "file").write_bytes(b"changed")
    assert (tree.volume_path, tree.subpath) == ("/vs1/vol1", "")
    assert (tree.snapshot_name, tree.taken_at_s) == ("snapshot_for_backup.0", 1000)
    file = os.open("inner/file", os.O_RDONLY, dir_fd=tree.descriptor)
    status = os.fstat(file)
    assert os.read(file, 100) == b"content"
    assert tree.origin(status) == Origin(status.st_ino + 1_000_000, status.st_ctime_ns)
    os.close(file)
    tree.close()
    tree.close()
    assert (site.copies(), site.holders()) == ([], [])


@pytest.mark.requirement("R119")
def test_a_subtree_is_opened_in_the_copy(site: Site) -> None:
    tree = site.storage.open_backup("/vs1/vol1/inner/", "session 1")
    assert (tree.subpath, names_in(tree.descriptor)) == ("inner", ["file"])
    inner = (site.snapshots / "snapshot_for_backup.0" / "inner").stat()
    assert os.path.samestat(os.fstat(tree.descriptor), inner)
    tree.close()


@pytest.mark.requirement("R231")
def test_a_live_backup_reads_the_volume_itself(site: Site) -> None:
    tree = site.storage.open_backup("/vs1/live", "session 1")
    (site.folder / "live" / "new").write_bytes(b"new")
    assert names_in(tree.descriptor) == ["inner", "new"]
    assert (tree.snapshot_name, tree.taken_at_s) == (None, 1000)
    status = (site.folder / "live" / "new").stat()
    assert tree.origin(status) == Origin(status.st_ino, status.st_ctime_ns)
    tree.close()
    assert site.holders() == []


@pytest.mark.requirement("R226")
def test_an_existing_copy_is_read_and_makes_no_other(site: Site) -> None:
    site.keeper.create(site.storage.volume("/vs1/vol1"), "daily")
    site.kernel.now_s += 5000
    tree = site.storage.open_backup("/vs1/vol1/.snapshot/daily/inner", "session 1")
    assert (tree.snapshot_name, tree.subpath, tree.taken_at_s) == ("daily", "inner", 1000)
    assert names_in(tree.descriptor) == ["file"]
    assert site.copies() == ["daily"]
    tree.close()
    assert (site.copies(), site.holders()) == (["daily"], [])


@pytest.mark.parametrize("path", ["/vs1/vol1/missing", "/vs1/vol1/inner/file", "/vs1/vol1/link"])
def test_a_wrong_path_costs_no_copy(site: Site, path: str) -> None:
    (site.folder / "vol1" / "link").symlink_to("inner")
    assert refused(site.storage.open_backup, path).id.startswith("volumes.")
    assert site.copies() == []
    assert site.kernel.events == []


def test_a_file_is_refused_with_its_directory(site: Site) -> None:
    error = refused(site.storage.open_backup, "/vs1/vol1/inner/file")
    assert str(error) == "/vs1/vol1/inner/file is not a directory"
    assert "that it is in, /vs1/vol1/inner;" in error.explained


@pytest.mark.requirement("R119")
@pytest.mark.parametrize("volume", ["vol1", "live"])
def test_a_file_is_the_one_name_of_its_directory(site: Site, volume: str) -> None:
    (site.folder / volume / "inner" / "beside").touch()
    site.storage.withheld.withhold(f"/vs1/{volume}", b"inner/beside", RESTRICTED)
    path = f"/vs1/{volume}/inner/file"
    site.storage.check_backup(path, may_be_file=True)
    tree = site.storage.open_backup(path, "session 1", may_be_file=True)
    assert (tree.traits.only, tree.subpath) == (b"file", "inner/file")
    assert names_in(tree.descriptor) == ["beside", "file"]
    assert tree.traits.left_out == {b"beside": RESTRICTED}
    tree.close()


def test_only_what_may_be_there_passes(site: Site) -> None:
    (site.folder / "live" / "link").symlink_to("inner")

    def check(path: str, _holder: str) -> None:
        site.storage.check_backup(f"/vs1/live/{path}", may_be_file=True)

    check("inner/file", "")
    check("inner", "")
    assert refused(check, "link").id == "volumes.path-through-link"
    assert refused(check, "inner/file/below").id == "volumes.path-is-no-directory"
    site.storage.check_backup("/vs1/live/link", may_be_special=True)


def test_a_path_that_is_not_in_the_copy_lets_go_of_it(site: Site) -> None:
    def remove() -> None:
        [copy] = site.snapshots.glob(".*.new")
        (copy / "inner" / "file").unlink()
        (copy / "inner").rmdir()

    site.method.during_create = remove
    assert refused(site.storage.open_backup, "/vs1/vol1/inner").id == "volumes.no-such-path"
    assert (site.copies(), site.holders()) == ([], [])


@pytest.mark.parametrize(("svm", "known"), [("vs1", "/vs1/vol1, /vs1/live"), ("vs2", "none")])
def test_an_unknown_volume_is_refused_with_those_of_its_svm(
    site: Site, svm: str, known: str
) -> None:
    for call in (site.storage.open_backup, site.storage.open_restore):
        told = str(refused(call, f"/{svm}/vol2/a"))
        assert told == f"there is no volume /{svm}/vol2; {svm} has: {known}"


@pytest.mark.requirement("R345")
def test_a_copy_that_is_not_there_is_refused_in_the_guides_words(site: Site) -> None:
    error = refused(site.storage.open_backup, "/vs1/vol1/.snapshot/missing")
    assert str(error) == "Unable to lock a snapshot needed by dump"


@pytest.mark.requirement("R347")
@pytest.mark.parametrize("path", ["/vs1/vol1", "/vs1/live"])
def test_a_volume_that_is_gone_is_in_a_transitional_state(site: Site, path: str) -> None:
    for name in ("vol1", "live"):
        (site.folder / name).rename(site.folder / f"{name}-away")
    for call in (site.storage.open_backup, site.storage.open_restore):
        error = refused(call, path)
        assert str(error) == "Volume is temporarily in a transitional state"
        assert f"Mount the file system of {path}" in error.explained


@ROOT_ONLY
@pytest.mark.requirement("R347")
def test_the_directory_below_a_mount_is_not_taken_for_the_volume(site: Site) -> None:
    place = site.folder / "live"
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    site.settle()
    tree = site.storage.open_backup("/vs1/live", "session 1")
    assert names_in(tree.descriptor) == []
    tree.close()
    subprocess.run(["umount", place], check=True)
    for call in (site.storage.open_backup, site.storage.open_restore):
        error = refused(call, "/vs1/live")
        assert error.id == "volumes.volume-in-transitional-state"


@pytest.mark.requirement("R333")
def test_a_volume_that_cannot_be_opened_is_told_in_the_guides_words(site: Site) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        error = refused(site.storage.open_backup, "/vs1/live")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert str(error) == "Could not obtain vol ref for Volume /vs1/live"
    assert "Too many open files" in error.explained


def test_a_restore_makes_its_destination(site: Site) -> None:
    tree = site.storage.open_restore("/vs1/vol1/new/deep\udcff", "session 1")
    assert tree.path == "/vs1/vol1/new/deep\udcff"
    made = site.folder / "vol1" / "new" / "deep\udcff"
    assert os.path.samestat(os.fstat(tree.descriptor), made.stat())
    tree.close()
    tree.close()
    top = site.storage.open_restore("/vs1/vol1/", "session 1")
    assert top.path == "/vs1/vol1"
    top.close()


def test_a_restore_follows_no_symbolic_link(site: Site) -> None:
    (site.folder / "vol1" / "link").symlink_to(site.folder / "live")
    error = refused(site.storage.open_restore, "/vs1/vol1/link/new")
    assert error.id == "volumes.path-through-link"
    assert not (site.folder / "live" / "new").exists()


@pytest.mark.requirement("R338")
def test_a_read_only_volume_is_refused_in_the_guides_words(site: Site) -> None:
    site.settle(read_only=True)
    error = refused(site.storage.open_restore, "/vs1/vol1/new")
    assert str(error) == "Destination volume is read-only"
    assert not (site.folder / "vol1" / "new").exists()
    site.storage.open_backup("/vs1/vol1", "session 1").close()


@ROOT_ONLY
@pytest.mark.requirement("R338")
def test_a_volume_on_a_read_only_mount_is_refused_alike(site: Site) -> None:
    place = site.folder / "live"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], check=True)
    try:
        error = refused(site.storage.open_restore, "/vs1/live/new")
    finally:
        subprocess.run(["umount", place], check=True)
    assert str(error) == "Destination volume is read-only"


def test_a_copy_cannot_be_restored_to(site: Site) -> None:
    site.keeper.create(site.storage.volume("/vs1/vol1"), "daily")
    error = refused(site.storage.open_restore, "/vs1/vol1/.snapshot/daily/new")
    assert error.id == "volumes.copy-is-read-only"
    assert not (site.snapshots / "daily" / "new").exists()


def test_filesystems_come_in_the_order_of_the_stack_file(site: Site) -> None:
    assert [info.path for info in site.storage.filesystems()] == ["/vs1/vol1", "/vs1/live"]


def test_a_file_can_be_tried_where_it_may_be_one(site: Site) -> None:
    site.storage.check_backup("/vs1/live/inner", may_be_file=True)
    (site.folder / "live" / "file").touch()
    site.storage.check_backup("/vs1/live/file", may_be_file=True)
    with pytest.raises(TapekitError, match="is not a directory"):
        site.storage.check_backup("/vs1/live/file")
    with pytest.raises(TapekitError):
        site.storage.check_backup("/vs1/live/missing", may_be_file=True)
    with pytest.raises(TapekitError, match="is not a directory"):
        site.storage.check_backup("/vs1/live/file/below", may_be_file=True)


def mark_qtree(site: Site, path: str, **fields: object) -> None:
    place = site.folder / path
    place.mkdir()
    fields.setdefault("id", 1)
    os.setxattr(place, *site.storage.marks.attribute(QtreeMark(**fields)))


@pytest.mark.requirement("R339")
@pytest.mark.parametrize("path", ["/vs1/live/q", "/vs1/live/q/below", "/vs1/live//q/"])
def test_a_read_only_qtree_is_refused_in_the_guides_words(site: Site, path: str) -> None:
    mark_qtree(site, "live/q", is_read_only=True)
    error = refused(site.storage.open_restore, path)
    assert str(error) == "Destination qtree is read-only"
    assert "/vs1/live/q writable" in error.explained
    assert list((site.folder / "live/q").iterdir()) == []


def test_other_qtrees_and_directories_can_be_written(site: Site) -> None:
    mark_qtree(site, "live/q")
    mark_qtree(site, "live/inner/no-qtree", is_read_only=True)
    for path in ("/vs1/live/q/new", "/vs1/live/inner/no-qtree/new", "/vs1/live"):
        site.storage.open_restore(path, "session 1").close()


@pytest.mark.parametrize("volume", ["vol1", "live"])
def test_a_tree_has_the_traits_of_its_volume_and_qtree(site: Site, volume: str) -> None:
    site.settle(security_style=SecurityStyle.NTFS, snaplock=SnapLock.ENTERPRISE)
    mark_qtree(site, f"{volume}/q", security_style=SecurityStyle.MIXED)
    (site.folder / volume / "q/below").mkdir()
    styles = {"": SecurityStyle.NTFS, "/inner": SecurityStyle.NTFS, "/q/below": SecurityStyle.MIXED}
    for path, style in styles.items():
        tree = site.storage.open_backup(f"/vs1/{volume}{path}", "session 1")
        assert tree.traits.security_style is style
        assert tree.traits.snaplock is SnapLock.ENTERPRISE
        tree.close()


def test_a_tree_knows_what_is_mounted_in_it_and_what_is_withheld(site: Site) -> None:
    (site.folder / "third").mkdir()
    rows = (
        site.row("/vs1/live", "live"),
        site.row("/vs1/third", "third", junction_path="/vs1/live/inner/third"),
    )
    site.settle_rows(*rows)
    site.storage.withheld.withhold("/vs1/live", b"inner/file", RESTRICTED)
    whole = site.storage.open_backup("/vs1/live", "session 1")
    part = site.storage.open_backup("/vs1/live/inner", "session 1")
    other = site.storage.open_backup("/vs1/third", "session 1")
    assert whole.traits.junctions == {b"inner/third": b"/vs1/third"}
    assert whole.traits.left_out == {b"inner/file": RESTRICTED}
    assert part.traits.junctions == {b"third": b"/vs1/third"}
    assert part.traits.left_out == {b"file": RESTRICTED}
    assert other.traits == TreeTraits()
    for tree in (whole, part, other):
        tree.close()


@pytest.mark.requirement("R233")
def test_a_destination_knows_what_is_mounted_in_it(site: Site) -> None:
    (site.folder / "third").mkdir()
    rows = (
        site.row("/vs1/live", "live"),
        site.row("/vs1/third", "third", junction_path="/vs1/live/inner/third"),
    )
    site.settle_rows(*rows)
    tree = site.storage.open_restore("/vs1/live", "session 1")
    assert tree.traits.junctions == {b"inner/third": b"/vs1/third"}
    tree.close()


@pytest.mark.requirement("R233")
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_no_path_leads_through_a_junction(site: Site, below: str) -> None:
    (site.folder / "third").mkdir()
    (site.folder / "live/inner/third/deeper").mkdir(parents=True)
    rows = (
        site.row("/vs1/live", "live"),
        site.row("/vs1/third", "third", junction_path="/vs1/live/inner/third"),
    )
    site.settle_rows(*rows)
    path = f"/vs1/live/inner/third{below}"
    for use in (site.storage.open_backup, site.storage.open_restore):
        with pytest.raises(TapekitError) as refused:
            use(path, "session 1")
        assert refused.value.id == "volumes.path-through-junction"
    with pytest.raises(TapekitError) as refused:
        site.storage.check_backup(path)
    assert refused.value.id == "volumes.path-through-junction"
