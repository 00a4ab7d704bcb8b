"""Phase IV: what comes of files of every kind, also when they change meanwhile."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.segments import BUFFER_BYTES, ConnectionBroken
from tapekit.testing import FailingSink
from tapekit_dump.headers import HeaderType
from tapekit_dump.maps import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MICROSECOND = 1000


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def content_of(number: int) -> bytes:
    return (b"%d " % number) * (number * 37 % 3000)


@pytest.mark.requirement("R232")
def test_small_files_are_whole_with_their_attributes(site: Any) -> None:
    for number in range(400):
        file = site.volume / f"d{number % 7}" / f"f{number}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content_of(number))
        file.chmod(0o600 + number % 8)
        os.utime(file, ns=(number * 10**9 + 5_000, 1_600_000_000 * 10**9 + number * MICROSECOND))
    backup = site.back_up()
    assert backup.warnings == []
    for number in range(400):
        path = b"d%d/f%d" % (number % 7, number)
        assert backup.content(path) == content_of(number)
        header = backup.header(path)
        assert header.mode == stat.S_IFREG | (0o600 + number % 8)
        assert (header.atime_s, header.atime_us) == (number, 5)
        assert (header.mtime_s, header.mtime_us) == (1_600_000_000, number)
        assert header.ctime_s == int((site.volume / path.decode()).stat().st_ctime)


def test_files_fill_buffers_to_the_last_record(site: Any) -> None:
    for number in range(30):
        (site.volume / f"{number}").write_bytes(bytes([number]) * (BUFFER_BYTES // 8 - 1024))
    backup = site.back_up()
    for number in range(30):
        assert set(backup.content(b"%d" % number)) == {number}
    assert [r.header.record * 1024 for r in backup.records] == [r.position for r in backup.records]


def test_bytes_after_the_end_of_a_file_are_zeros(site: Any) -> None:
    (site.volume / "large").write_bytes(b"\xff" * BUFFER_BYTES)
    for number in range(300):
        (site.volume / f"{number}").write_bytes(b"\xff" * (number * 13 % 2048))
    for record in site.back_up().records:
        if stat.S_ISREG(record.header.mode) and record.header.size < BUFFER_BYTES:
            assert not any(record.data[record.header.size :])


def test_files_come_in_ascending_order_after_the_directories(site: Any) -> None:
    for name in ("a/b/1", "a/2", "c/3", "4"):
        (site.volume / name).parent.mkdir(parents=True, exist_ok=True)
        (site.volume / name).touch()
        (site.volume / (name + "l")).symlink_to("x")
    records = [r.header for r in site.back_up().records if r.header.type == HeaderType.INODE]
    is_directory = [stat.S_ISDIR(header.mode) for header in records]
    assert is_directory == sorted(is_directory, reverse=True)
    files = [header.inode for header in records if not stat.S_ISDIR(header.mode)]
    assert files == sorted(set(files))


def test_large_and_sparse_files_are_whole(site: Any) -> None:
    large = b"".join(b"%015d\n" % n for n in range(100_000))
    (site.volume / "large").write_bytes(large)
    (site.volume / "sparse").touch()
    os.truncate(site.volume / "sparse", 3_000_000)
    with (site.volume / "sparse").open("r+b") as opened:
        opened.seek(2_000_000)
        opened.write(b"in the middle")
    backup = site.back_up()
    assert backup.content(b"large") == large
    sparse = backup.content(b"sparse")
    assert (len(sparse), sparse.strip(b"\0")) == (3_000_000, b"in the middle")
    number = backup.paths[b"sparse"]
    assert sum(len(record.data) for record in backup.objects(number)) <= 64 * 1024


def test_links_fifos_and_sockets_are_themselves(site: Any) -> None:
    (site.volume / "short").symlink_to("target")
    (site.volume / "long").symlink_to("t" * 4000)
    os.mkfifo(site.volume / "fifo", 0o640)
    os.mknod(site.volume / "socket", stat.S_IFSOCK | 0o600)
    backup = site.back_up()
    assert backup.warnings == []
    assert backup.content(b"short") == b"target"
    assert backup.content(b"long") == b"t" * 4000
    assert stat.S_ISLNK(backup.header(b"long").mode)
    assert backup.header(b"fifo").mode == stat.S_IFIFO | 0o640
    assert backup.header(b"socket").mode == stat.S_IFSOCK | 0o600


@needs_root
def test_devices_have_their_numbers(site: Any) -> None:
    numbers = {"null": (1, 3), "wide": (300, 70000), "block": (0x123, 0x7FF12)}
    for name, (major, minor) in numbers.items():
        kind = stat.S_IFBLK if name == "block" else stat.S_IFCHR
        os.mknod(site.volume / name, kind | 0o600, os.makedev(major, minor))
    backup = site.back_up()
    for name, (major, minor) in numbers.items():
        device = backup.header(name.encode()).device
        assert device == (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def test_names_of_one_object_share_its_one_record(site: Any) -> None:
    (site.volume / "a").mkdir()
    (site.volume / "a/first").write_text("shared")
    os.link(site.volume / "a/first", site.volume / "second")
    backup = site.back_up()
    paths = backup.paths
    assert paths[b"a/first"] == paths[b"second"]
    assert len(backup.objects(paths[b"second"])) == 1
    assert backup.header(b"second").links == 2
    assert backup.content(b"second") == b"shared"


def test_attributes_follow_their_file(site: Any) -> None:
    for name, size in (("small", 100), ("large", 600_000)):
        (site.volume / name).write_bytes(b"x" * size)
        try:
            os.setxattr(site.volume / name, "user.a", b"value")
        except OSError:
            pytest.skip("the file system of the temporary folder has no extended attributes")
    (site.volume / "without").touch()
    backup = site.back_up()
    for name, records in ((b"small", 2), (b"large", 3), (b"without", 1)):
        found = backup.objects(backup.paths[name])
        assert len(found) == records
        assert [r.header.has_attributes for r in found[:-1]] == [False] * (records - 1)
        assert found[-1].header.has_attributes == (name != b"without")
        if name != b"without":
            assert b"value" in found[-1].data
    assert backup.content(b"large") == b"x" * 600_000


def changed_between(site: Any, change: Callable[[], object]) -> Any:
    """A backup of a tree that changes between its two passes."""
    site.at_phase["IV"] = change
    return site.back_up()


def test_file_that_vanished_leaves_an_empty_record(site: Any) -> None:
    for name in ("a", "b", "c"):
        (site.volume / name).write_text(name)
    backup = changed_between(site, (site.volume / "b").unlink)
    assert backup.warnings == [
        "b: the file was removed during the backup; the backup has an empty file in its place"
    ]
    header = backup.header(b"b")
    assert (header.mode, header.size, header.uid) == (stat.S_IFREG, 0, 0)
    assert (backup.content(b"a"), backup.content(b"c")) == (b"a", b"c")
    assert backup.services.messages[-1][1].endswith("1 could not be backed up as they are")


@pytest.mark.parametrize("before", ["file", "link", "fifo"])
@pytest.mark.parametrize("after", ["link", "directory", "fifo", "socket"])
def test_what_became_something_else_leaves_an_empty_record(
    site: Any, before: str, after: str
) -> None:
    path = site.volume / "x"
    makers = {
        "file": lambda: path.write_text("content"),
        "link": lambda: path.symlink_to("somewhere"),
        "directory": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "socket": lambda: os.mknod(path, stat.S_IFSOCK | 0o600),
    }
    makers[before]()
    (site.volume / "y").write_text("after it")

    def replace() -> None:
        path.unlink()
        makers[after]()

    backup = changed_between(site, replace)
    if {before, after} <= {"fifo", "socket"} or before == after:
        assert backup.warnings == []
        assert stat.S_IFMT(backup.header(b"x").mode) == stat.S_IFMT(path.lstat().st_mode)
    else:
        assert len(backup.warnings) == 1
        assert "x: became an object of another type" in backup.warnings[0]
        assert (backup.header(b"x").mode, backup.header(b"x").size) == (stat.S_IFREG, 0)
    assert backup.content(b"y") == b"after it"


def test_directory_that_vanished_is_told_once_and_its_files_keep_their_numbers(site: Any) -> None:
    (site.volume / "gone/below").mkdir(parents=True)
    for name in ("gone/1", "gone/2", "gone/below/3", "kept"):
        (site.volume / name).write_text(name)
    backup = changed_between(site, lambda: shutil.rmtree(site.volume / "gone"))
    assert sorted(backup.warnings) == [
        (
            "gone/below: the directory can no longer be opened (No such file or directory);"
            " 1 files in it are empty in the backup"
        ),
        (
            "gone: the directory can no longer be opened (No such file or directory);"
            " 2 files in it are empty in the backup"
        ),
    ]
    assert [backup.header(b"gone/" + name).mode for name in (b"1", b"2", b"below/3")] == [
        stat.S_IFREG
    ] * 3
    assert backup.content(b"kept") == b"kept"
    assert backup.services.messages[-1][1].endswith("3 could not be backed up as they are")


def test_symbolic_link_in_place_of_a_directory_leads_nowhere(site: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret")
    (site.volume / "d").mkdir()
    (site.volume / "d/file").write_text("public")

    def replace() -> None:
        shutil.rmtree(site.volume / "d")
        (site.volume / "d").symlink_to(outside)

    backup = changed_between(site, replace)
    assert b"secret" not in backup.data
    assert "d: the directory can no longer be opened (Not a directory)" in backup.warnings[0]


def test_file_that_appeared_is_left_for_the_next_backup(site: Any) -> None:
    (site.volume / "old").touch()
    backup = changed_between(site, (site.volume / "new").touch)
    assert set(backup.paths) == {b"", b"old"}
    assert backup.warnings == []


def test_file_that_grew_or_shrank_between_the_passes_is_as_it_is_now(site: Any) -> None:
    (site.volume / "grew").write_text("1")
    (site.volume / "shrank").write_text("22222")

    def change() -> None:
        (site.volume / "grew").write_text("111")
        (site.volume / "shrank").write_text("2")

    backup = changed_between(site, change)
    assert (backup.content(b"grew"), backup.content(b"shrank")) == (b"111", b"2")


@needs_root
def test_file_that_may_not_be_read_leaves_an_empty_record(site: Any) -> None:
    site.volume.chmod(0o755)
    for name, mode in (("a", 0o644), ("secret", 0o600), ("z", 0o644)):
        (site.volume / name).write_text(name)
        (site.volume / name).chmod(mode)
    site.at_phase["I"] = lambda: os.seteuid(65534)
    site.at_phase["V"] = lambda: os.seteuid(0)
    backup = site.back_up()
    assert backup.warnings == [
        (
            "secret: the file cannot be read (Permission denied);"
            " the backup has an empty file in its place"
        )
    ]
    assert backup.header(b"secret").mode == stat.S_IFREG
    # Others' files are read though their access times are not ours to keep.
    assert (backup.content(b"a"), backup.content(b"z")) == (b"a", b"z")


def test_access_times_stay(site: Any) -> None:
    (site.volume / "file").write_text("x")
    (site.volume / "large").write_bytes(b"x" * 300_000)
    for path in site.volume.iterdir():
        os.utime(path, ns=(10**18, 2 * 10**18))
    assert site.back_up().header(b"file").atime_s == 10**9
    assert {path.stat().st_atime_ns for path in site.volume.iterdir()} == {10**18}


@pytest.mark.requirement("R139")
def test_history_tells_where_each_object_is(site: Any) -> None:
    (site.volume / "d").mkdir()
    for name in ("a", "d/b", "d/c"):
        (site.volume / name).write_bytes(name.encode() * 1000)
    (site.volume / "large").write_bytes(b"x" * 2_000_000)
    (site.volume / "link").symlink_to("a")
    os.link(site.volume / "a", site.volume / "d/hard")
    backup = site.back_up(wants_history=True)
    history = backup.services.collected
    assert history.unnamed_nodes == []
    assert history.directories[:2] == [(b".", ROOT, ROOT), (b"..", ROOT, ROOT)]
    names = {(parent, name): node for name, node, parent in history.directories[2:]}
    paths = backup.paths
    assert names == {
        (paths[path.rpartition(b"/")[0]], path.rpartition(b"/")[2]): number
        for path, number in paths.items()
        if path
    }
    positions = {node.node: node.position for node in history.nodes}
    assert len(positions) == len(history.nodes)
    for number in paths.values():
        first = backup.objects(number)[0]
        assert positions[number] == first.position
    for node in history.nodes:
        header = backup.objects(node.node)[0].header
        assert (node.mode, node.size, node.uid, node.gid, node.links) == (
            header.mode,
            header.size,
            header.uid,
            header.gid,
            header.links,
        )
        assert (node.mtime_s, node.atime_s, node.ctime_s) == (
            header.mtime_s,
            header.atime_s,
            header.ctime_s,
        )


def test_lost_file_is_in_the_history_too(site: Any) -> None:
    (site.volume / "gone").touch()
    site.at_phase["IV"] = (site.volume / "gone").unlink
    backup = site.back_up(wants_history=True)
    nodes = {node.node: node for node in backup.services.collected.nodes}
    assert nodes[backup.paths[b"gone"]].mode == stat.S_IFREG


def test_broken_stream_leaves_no_descriptor(site: Any) -> None:
    for number in range(500):
        (site.volume / f"{number}").write_bytes(b"x" * 10_000)
    (site.volume / "large").write_bytes(b"x" * 9_000_000)
    site.back_up()
    before = open_descriptors()
    for after in (0, 1_500_000, 8_000_000):
        with pytest.raises(ConnectionBroken):
            site.back_up(sink=FailingSink(after))
        assert open_descriptors() == before
