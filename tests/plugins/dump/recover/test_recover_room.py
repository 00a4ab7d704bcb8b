"""Whether a whole backup fits, looked at before anything is made."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult, LogLevel
from tapekit_dump.recover_room import check_inodes, check_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HERE = ("FILESYSTEM", "/vs1/vol1")
RESERVE = 100 * 1000 * 1000


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.requirement("R263")
@pytest.mark.requirement("R264")
def test_space_includes_a_reserve(descriptor: int) -> None:
    status = os.fstatvfs(descriptor)
    free = status.f_bavail * status.f_frsize
    check_space(descriptor, "/vs1/vol1", free - RESERVE - (64 << 20))
    with pytest.raises(TapekitError, match=r"/vs1/vol1 has .* bytes free") as refused:
        check_space(descriptor, "/vs1/vol1", free - RESERVE + (64 << 20))
    assert refused.value.facts["reserve"] == RESERVE


@pytest.mark.requirement("R264")
def test_inodes_are_counted_where_the_file_system_does(descriptor: int) -> None:
    status = os.fstatvfs(descriptor)
    check_inodes(descriptor, "/vs1/vol1", 1)
    if status.f_files:
        with pytest.raises(TapekitError, match="inodes free; the restore needs"):
            check_inodes(descriptor, "/vs1/vol1", status.f_favail + 100_000)


def test_no_inodes_of_no_inodes_is_no_limit(tmp_path: Path) -> None:
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert os.fstatvfs(fd).f_files == 0
        check_inodes(fd, "/vs1/vol1", 10**9)
    finally:
        os.close(fd)


@pytest.mark.requirement("R264")
@pytest.mark.requirement("R138")
def test_a_backup_that_does_not_fit_is_refused_unless_forced(
    dump: Any, restore: Callable[..., Any], select: Any, folder: Path
) -> None:
    data = dump().begin().directory(2, [(b"file", 3)]).file(3, b"small").end()
    huge = ("ACL_START", str(1 << 60))
    outcome = restore(data, environment=[HERE, huge])
    assert outcome.error is not None
    assert outcome.error.id == "dump.space-missing"
    assert not any(folder.iterdir())
    forced = restore(data, environment=[HERE, huge, ("FORCE", "Y")])
    assert forced.error is None
    assert (folder / "file").read_bytes() == b"small"
    part = restore(data, [select("file", "/vs1/vol1/part/file")], [HERE, huge])
    assert part.error is None


@pytest.fixture
def few(folder: Path) -> Iterator[Path]:
    """Has 16 inodes and a MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    options = "size=1m,nr_inodes=16"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def free_inodes(folder: Path) -> int:
    return os.statvfs(folder).f_favail


def two_directories(dump: Any) -> bytes:
    """``many`` with 20 files and ``few`` with 5, of which two are one."""
    stream = dump().begin().directory(2, [(b"many", 3), (b"few", 4)])
    stream.directory(3, [(b"m%d" % n, 10 + n) for n in range(20)])
    names = [(b"f%d" % n, 40 + n) for n in range(4)]
    stream.directory(4, [*names, (b"again", 40)])
    for inode in (*range(10, 30), *range(40, 44)):
        stream.file(inode, b"%d" % inode)
    return stream.end()


@pytest.mark.requirement("R264")
def test_inodes_of_what_is_selected_are_counted_before_anything_is_made(
    dump: Any, restore: Callable[..., Any], select: Any, few: Path
) -> None:
    data, free = two_directories(dump), free_inodes(few)
    many = select("/many", "/vs1/vol1", "many")
    refused = restore(data, [many], [HERE])
    assert refused.error is not None
    assert str(refused.error).startswith(
        f"/vs1/vol1/many has {free} inodes free; the restore needs 20"
    )
    assert refused.results == [("/many", FileResult.IO_ERROR)]
    assert not any(few.iterdir())
    part = restore(data, [select("/few", "/vs1/vol1", "few")], [HERE])
    assert part.error is None
    assert len(list((few / "few").iterdir())) == 5
    forced = restore(data, [many], [HERE, ("FORCE", "Y")])
    assert forced.error.id == "dump.no-space-left"
    assert any((few / "many").iterdir())


@pytest.mark.requirement("R264")
def test_what_replaces_something_needs_no_inode(
    dump: Any, restore: Callable[..., Any], select: Any, few: Path
) -> None:
    data = two_directories(dump)
    (few / "old").mkdir()
    chosen = [select(f"/many/m{n}", "/vs1/vol1/old", f"m{n}") for n in range(12)]
    assert restore(data, chosen, [HERE]).error is None
    assert free_inodes(few) < 12
    assert restore(data, chosen, [HERE]).error is None
    more = [select(f"/many/m{n}", "/vs1/vol1/old", f"m{n}") for n in range(20)]
    refused = restore(data, more, [HERE])
    assert refused.error.facts["wanted"] == 8
    assert len(list((few / "old").iterdir())) == 12


@pytest.mark.requirement("R264")
def test_a_tree_in_its_own_place_needs_no_inode(
    dump: Any, restore: Callable[..., Any], select: Any, few: Path
) -> None:
    data = dump().begin().directory(2, [(b"a", 3)]).directory(3, [(b"b", 4), (b"x", 6)])
    data = data.directory(4, [(b"c", 5)], parent=3).directory(5, [(b"y", 7)], parent=4)
    data = data.file(6, b"x").file(7, b"y").end()
    top = select("/a", "/vs1/vol1", "a")
    assert restore(data, [top], [HERE]).error is None
    for index in range(free_inodes(few)):
        (few / f"full-{index}").touch()
    assert restore(data, [top], [HERE]).error is None
    (few / "a/b/c/y").unlink()
    (few / "other").touch()
    assert restore(data, [top], [HERE]).error.facts["wanted"] == 1
    assert restore(data, [select("/a", "/vs1/vol1/else", "a")], [HERE]).error is not None


@pytest.mark.requirement("R264")
def test_a_file_that_is_longer_than_what_is_free_is_told_before_it_is_written(
    dump: Any, restore: Callable[..., Any], select: Any, few: Path
) -> None:
    size = 8 << 20
    holes = dump().begin().directory(2, [(b"f", 3)])
    holes.object(3, 0o100644, b"x" * 1024, present=b"\1" + b"\0" * 511, size=size)
    for _ in range(15):
        holes.more(3, b"", b"\0" * 512)
    data = holes.end()
    one = [select("/f", "/vs1/vol1", "f")]
    told = restore(data, one, [HERE])
    assert told.error is None
    (text,) = told.told(LogLevel.WARNING)
    assert text.startswith(f"/f may take {size} bytes, and /vs1/vol1 has ")
    assert (few / "f").stat().st_size == size
    for quiet in (("FORCE", "Y"), ("ACL_START", str(len(data) - 1024))):
        assert restore(data, one, [HERE, quiet]).told(LogLevel.WARNING) == []
