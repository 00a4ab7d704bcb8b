from __future__ import annotations

import contextlib
import logging
import os
import resource
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit_snap_copy.content import ContentCopier
from tapekit_snap_copy.directory_stack import OPEN_LEVELS
from tapekit_snap_copy.tree_copy import CopyStopped, TreeCopier
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree, random_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class MemoryOrigins:
    """Keeps what :class:`OriginsWriter` would write."""

    def __init__(self) -> None:
        self.records: dict[int, tuple[int, int]] = {}
        self.births: dict[int, int | None] = {}

    def add(self, copy_inode: int, origin_inode: int, ctime_ns: int, birth_ns: int | None) -> None:
        assert copy_inode not in self.records
        self.records[copy_inode] = (origin_inode, ctime_ns)
        self.births[copy_inode] = birth_ns


class MeddlingContents:
    """Copies contents, and does something to the volume after each copy."""

    def __init__(self, meddle: Callable[[int], None]) -> None:
        self._contents = ContentCopier()
        self._meddle = meddle
        self.calls = 0

    def copy(self, source: int, target: int, size: int) -> None:
        self._contents.copy(source, target, size)
        self.calls += 1
        self._meddle(self.calls)


@contextlib.contextmanager
def copier(volume: Path, target: Path) -> Iterator[tuple[TreeCopier, MemoryOrigins]]:
    target.mkdir(exist_ok=True)
    links = target.with_name("links")
    links.mkdir()
    opened = [os.open(folder, os.O_RDONLY) for folder in (volume, target, links)]
    origins = MemoryOrigins()
    try:
        yield TreeCopier(*opened, origins), origins
    finally:
        for descriptor in opened:
            os.close(descriptor)


def copied(volume: Path, target: Path) -> MemoryOrigins:
    with copier(volume, target) as (work, origins):
        work.copy()
    return origins


def copied_while(volume: Path, target: Path, meddle: Callable[[int], None]) -> MeddlingContents:
    with copier(volume, target) as (work, _):
        contents = MeddlingContents(meddle)
        work._contents = contents
        work.copy()
    return contents


def objects(top: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    yield b"", os.lstat(top)
    for base, directories, files in os.walk(os.fsencode(top)):
        for name in directories + files:
            path = base + b"/" + name
            yield path.removeprefix(os.fsencode(top)), os.lstat(path)


def test_copy_equals_the_volume_in_everything(tmp_path: Path) -> None:
    make_tree(tmp_path / "volume", files=50, wide=100, deep=50)
    copied(tmp_path / "volume", tmp_path / "copy")
    assert compare_trees(tmp_path / "volume", tmp_path / "copy", mtime_granularity_ns=1) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_random_trees_are_copied_with_their_origins(seed: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        volume, target = Path(folder) / "volume", Path(folder) / "copy"
        random_tree(volume, seed, objects=count)
        origins = copied(volume, target)
        assert compare_trees(volume, target, mtime_granularity_ns=1) == []
        before = {path: (status.st_ino, status.st_ctime_ns) for path, status in objects(volume)}
        after = {path: origins.records[status.st_ino] for path, status in objects(target)}
        assert after == before


def test_deep_trees_need_few_descriptors(tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1 + 6 * OPEN_LEVELS):
        os.mkdir("volume", dir_fd=place)
        inner = os.open("volume", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 2 * OPEN_LEVELS + 20, limits[1]))
    try:
        copied(tmp_path / "volume", tmp_path / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert compare_trees(tmp_path / "volume", tmp_path / "copy") == []


def test_copying_leaves_no_access_time(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").write_bytes(b"x")
    os.utime(volume / "file", (1, 2))
    copied(volume, tmp_path / "copy")
    assert [(top / "file").stat().st_atime for top in (volume, tmp_path / "copy")] == [1, 1]


@pytest.mark.requirement("R231")
def test_files_that_vanish_are_left_out_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    volume = tmp_path / "volume"
    volume.mkdir()
    for number in range(30):
        (volume / f"file-{number}").write_bytes(b"x")

    def remove_all(calls: int) -> None:
        for path in volume.iterdir():
            path.unlink()

    copied_while(volume, tmp_path / "copy", remove_all)
    left_out = [record.message for record in caplog.records]
    assert len(list((tmp_path / "copy").iterdir())) == 1
    assert len(left_out) == 29
    assert all(line.endswith(": left out: it vanished") for line in left_out)


def test_directories_and_links_that_vanish_are_left_out(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "directory").mkdir(parents=True)
    (volume / "link").symlink_to("file")
    (volume / "file").write_bytes(b"x")

    def remove(calls: int) -> None:
        if calls == 1:
            (volume / "directory").rmdir()
            (volume / "link").unlink()

    copied_while(volume, tmp_path / "copy", remove)
    assert "directory" not in {path.name for path in (tmp_path / "copy").iterdir()}


@pytest.mark.parametrize("replacement", ["link", "fifo", "directory", "socket"])
def test_what_takes_a_files_place_is_not_followed(
    tmp_path: Path, replacement: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    volume, secret = tmp_path / "volume", tmp_path / "secret"
    volume.mkdir()
    secret.write_bytes(b"outside")
    for name in "ab":
        (volume / name).write_bytes(b"x")

    def replace(calls: int) -> None:
        if calls > 1:
            return
        [other] = [path for path in volume.iterdir() if path.stat().st_mtime != 7]
        other.unlink()
        match replacement:
            case "link":
                other.symlink_to(secret)
            case "directory":
                other.mkdir()
            case _:
                kind = stat.S_IFIFO if replacement == "fifo" else stat.S_IFSOCK
                os.mknod(other, kind | 0o600)

    with os.scandir(volume) as entries:
        first = next(entries).name
    os.utime(volume / first, (7, 7))
    copied_while(volume, tmp_path / "copy", replace)
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [first]
    assert "left out" in caplog.text


def test_a_file_that_changes_once_is_copied_again(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    file = volume / "file"
    file.write_bytes(b"before and longer")

    def change(calls: int) -> None:
        if calls == 1:
            file.write_bytes(b"after")

    contents = copied_while(volume, tmp_path / "copy", change)
    assert contents.calls == 2
    assert compare_trees(volume, tmp_path / "copy") == []


def test_a_file_that_goes_on_changing_is_logged_and_looks_older(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    file = volume / "file"
    file.write_bytes(b"0")
    with copier(volume, tmp_path / "copy") as (work, origins):
        work._contents = MeddlingContents(lambda calls: file.write_bytes(b"%d" % calls * calls))
        work.copy()
    assert [record.message for record in caplog.records] == [
        "file: went on changing while it was copied"
    ]
    inode, ctime_ns = origins.records[(tmp_path / "copy" / "file").stat().st_ino]
    assert inode == file.stat().st_ino
    assert ctime_ns <= file.stat().st_ctime_ns


def test_names_of_a_file_that_changed_in_between_hold_what_was_met(tmp_path: Path) -> None:
    # What is in a directory is copied before the directories in it.
    volume = tmp_path / "volume"
    (volume / "one" / "two").mkdir(parents=True)
    (volume / "first").write_bytes(b"before")
    os.link(volume / "first", volume / "one" / "two" / "second")
    (volume / "one" / "between").write_bytes(b"x")

    def change(calls: int) -> None:
        if calls == 2:
            (volume / "first").write_bytes(b"afterwards")

    copied_while(volume, tmp_path / "copy", change)
    assert (tmp_path / "copy" / "first").read_bytes() == b"before"
    assert (tmp_path / "copy" / "one" / "two" / "second").read_bytes() == b"afterwards"


def test_links_from_outside_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "a").write_bytes(b"x")
    os.link(tmp_path / "volume" / "a", tmp_path / "volume" / "b")
    os.link(tmp_path / "volume" / "a", tmp_path / "outside")
    copied(tmp_path / "volume", tmp_path / "copy")
    assert (tmp_path / "copy" / "a").samefile(tmp_path / "copy" / "b")


def test_a_name_that_was_copied_before_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    volume, target = tmp_path / "volume", tmp_path / "copy"
    (volume / "directory").mkdir(parents=True)
    (volume / "file").write_bytes(b"x")
    (volume / "link").symlink_to("file")
    (target / "directory").mkdir(parents=True)
    for name in ("file", "link"):
        (target / name).write_bytes(b"copied before")
    copied(volume, target)
    assert (target / "file").read_bytes() == b"copied before"
    assert caplog.text.count("it was copied before") == 3


@ROOT_ONLY
def test_another_file_system_is_left_empty_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mounted = tmp_path / "volume" / "inner" / "mounted"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted], check=True)
    try:
        (mounted / "file").write_bytes(b"x")
        copied(tmp_path / "volume", tmp_path / "copy")
    finally:
        subprocess.run(["umount", mounted], check=True)
    assert list((tmp_path / "copy" / "inner" / "mounted").iterdir()) == []
    assert "inner/mounted: left empty" in caplog.text


def test_what_stops_the_copy_is_named(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "inner").mkdir(parents=True)
    (volume / "inner" / "f\udcff").write_bytes(b"x")

    def fail(calls: int) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(CopyStopped) as caught:
        copied_while(volume, tmp_path / "copy", fail)
    assert caught.value.place == "inner/f\\xff"
    assert isinstance(caught.value.__cause__, OSError)
