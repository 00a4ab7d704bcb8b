"""Every kind of object, what may be in its place, and how it is finished."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.data_engine import FileResult, LogLevel
from tapekit.testing.memory_connection import MemorySource
from tapekit_dump.attributes import encode_sets
from tapekit_dump.recover_files import FileMaker
from tapekit_dump.recover_job import RecoverOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Restore = Callable[..., Any]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make such objects")

SPECIALS = {
    b"fifo": (stat.S_IFIFO | 0o640, 0, 0),
    b"socket": (stat.S_IFSOCK | 0o755, 0, 0),
    b"null": (stat.S_IFCHR | 0o666, 0x103, 0),
    b"wide": (stat.S_IFBLK | 0o600, 300 << 8 | (70000 & 0xFF) | (70000 & ~0xFF) << 12, 0),
    b"debian": (stat.S_IFBLK | 0o600, 0, 300 << 8 | (70000 & 0xFF) | (70000 & ~0xFF) << 12),
}
DEVICES = {
    b"fifo": 0,
    b"socket": 0,
    b"null": os.makedev(1, 3),
    b"wide": os.makedev(300, 70000),
    b"debian": os.makedev(300, 70000),
}


@needs_root
@pytest.mark.parametrize("order", ["<", ">"])
def test_fifos_sockets_and_devices(dump: Any, restore: Restore, folder: Path, order: str) -> None:
    stream = dump(order).begin()
    stream.directory(2, [(name, 3 + index) for index, name in enumerate(SPECIALS)])
    for index, (mode, device, wide) in enumerate(SPECIALS.values()):
        stream.object(3 + index, mode, uid=7, gid=8, mtime_s=5, device=device, wide_device=wide)
    outcome = restore(stream.end())
    assert outcome.error is None
    for name, (mode, _, _) in SPECIALS.items():
        status = os.lstat(os.fsencode(folder) + b"/" + name)
        assert status.st_mode == mode
        assert status.st_rdev == DEVICES[name]
        assert (status.st_uid, status.st_gid, status.st_mtime) == (7, 8, 5)


@needs_root
def test_symbolic_links_with_owner_and_times(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"short", 3), (b"long", 4), (b"out", 5)])
    targets = {"short": b"a", "long": b"t" * 4095, "out": b"../../etc/passwd"}
    for inode, target in zip((3, 4, 5), targets.values(), strict=True):
        stream.object(
            inode, stat.S_IFLNK | 0o777, target, uid=70_000, gid=9, mtime_s=5, mtime_us=250_001
        )
    assert restore(stream.end()).error is None
    for name, target in targets.items():
        link = folder / name
        assert os.fsencode(link.readlink()) == target
        status = link.lstat()
        assert (status.st_uid, status.st_gid) == (70_000, 9)
        assert status.st_mtime_ns == 5_250_001_000


@pytest.mark.parametrize("threads", [0, 1])
def test_hard_links_of_every_kind_of_object(
    dump: Any, restore: Restore, folder: Path, threads: int
) -> None:
    names = [(b"a", 3), (b"b", 3), (b"link", 5), (b"pipe", 6), (b"big", 7), (b"d", 4)]
    stream = dump().begin().directory(2, names)
    stream.directory(4, [(b"c", 3), (b"link", 5), (b"pipe", 6), (b"big", 7)])
    stream.file(3, b"three names", 0o640, links=3)
    stream.object(5, stat.S_IFLNK | 0o777, b"a").object(6, stat.S_IFIFO | 0o600)
    stream.file(7, b"z" * 300_000)
    outcome = restore(stream.end(), options=RecoverOptions(threads=threads))
    assert outcome.error is None
    assert outcome.kernel.events[-1].facts["objects"] == 9
    for group in (["a", "b", "d/c"], ["link", "d/link"], ["pipe", "d/pipe"], ["big", "d/big"]):
        assert len({(folder / name).lstat().st_ino for name in group}) == 1
    assert (folder / "d/c").read_bytes() == b"three names"
    assert (folder / "d/big").stat().st_nlink == 2


HOLES = [
    pytest.param(b"\1\0\1", 3000, id="in the middle"),
    pytest.param(b"\0\0\1", 3072, id="at the start"),
    pytest.param(b"\1\0\0", 3000, id="at the end"),
    pytest.param(b"\0" * 512, 512 * 1024, id="everywhere"),
    pytest.param(b"\2\0\xff\1", 4096, id="with other marks than 1"),
]


@pytest.mark.parametrize(("present", "size"), HOLES)
def test_holes_stay_holes(
    dump: Any, restore: Restore, folder: Path, present: bytes, size: int
) -> None:
    data = b"".join(bytes([64 + n]) * 1024 for n in range(len(present) - present.count(0)))
    stream = dump().begin().directory(2, [(b"sparse", 3), (b"after", 4)])
    stream.file(3, data, present=present, size=size).file(4, b"next")
    assert restore(stream.end()).error is None
    pieces = iter(data[n : n + 1024] for n in range(0, len(data), 1024))
    expected = b"".join(next(pieces) if mark else bytes(1024) for mark in present)
    assert (folder / "sparse").read_bytes() == expected[:size]
    assert (folder / "after").read_bytes() == b"next"


def test_a_long_hole_takes_no_room(dump: Any, restore: Restore, folder: Path) -> None:
    size = 6 << 30
    stream = dump().begin().directory(2, [(b"far", 3)])
    stream.file(3, b"begin", present=b"\1" + b"\0" * 511, size=size)
    for _ in range(3):
        stream.more(3, b"", b"\0" * 512)
    stream.more(3, b"end", b"\0" * 511 + b"\1")
    assert restore(stream.end()).error is None
    status = (folder / "far").stat()
    assert status.st_size == size
    assert status.st_blocks * 512 < 100_000
    with (folder / "far").open("rb") as file:
        file.seek((5 * 512 - 1) * 1024)
        assert file.read(4) == b"end\0"


def test_a_file_of_many_headers_and_rounded_counts(
    dump: Any, restore: Restore, folder: Path
) -> None:
    data = os.urandom(1_300_000)
    stream = dump().begin().directory(2, [(b"many", 3), (b"small", 4)])
    stream.file(3, data[: 512 * 1024], size=len(data))
    stream.more(3, data[512 * 1024 : 1024 * 1024], b"\1" * 512)
    # Debian's dump rounds up to a block of the file system, and leaves
    # whatever was on the disk behind the end of the file.
    rest = data[1024 * 1024 :]
    stream.more(3, rest + b"garbage" * 1000, b"\1" * -(-len(rest + b"garbage" * 1000) // 1024))
    stream.file(4, b"tiny" + b"slack" * 800, size=4)
    assert restore(stream.end()).error is None
    assert (folder / "many").read_bytes() == data
    assert (folder / "small").read_bytes() == b"tiny"


def test_long_runs_come_straight_from_a_file(
    dump: Any, restore: Restore, folder: Path, tmp_path: Path
) -> None:
    content = os.urandom(2_000_000)
    stream = dump().begin().directory(2, [(b"f", 3)])
    stream.file(3, content[: 1 << 19], size=len(content))
    for start in range(1 << 19, len(content), 1 << 19):
        part = content[start : start + (1 << 19)]
        stream.more(3, part, b"\1" * -(-len(part) // 1024))
    tape = tmp_path / "tape"
    tape.write_bytes(stream.end())
    with tape.open("rb") as file:
        outcome = restore(
            stream.data,
            make=lambda start, part: MemorySource(
                part, cuts=[1 << 19, 1024], file=file.fileno(), start=start
            ),
        )
    assert outcome.error is None
    assert (folder / "f").read_bytes() == content


def test_less_data_than_the_size_is_a_hole_at_the_end(
    dump: Any, restore: Restore, folder: Path
) -> None:
    stream = dump().begin().directory(2, [(b"short", 3), (b"none", 4)])
    stream.file(3, b"x" * 1024, size=1 << 40).file(4, b"", size=5000)
    assert restore(stream.end()).error is None
    assert (folder / "short").stat().st_size == 1 << 40
    assert (folder / "none").read_bytes() == bytes(5000)


@pytest.mark.requirement("R344")
def test_a_size_beyond_the_file_system_loses_that_file_alone(
    dump: Any, restore: Restore, folder: Path
) -> None:
    stream = dump().begin().directory(2, [(b"huge", 3), (b"ok", 4), (b"twin", 3)])
    stream.file(3, b"x", size=2**63 - 1).file(4, b"fine")
    outcome = restore(stream.end())
    assert outcome.error.id == "dump.restore-incomplete"
    assert outcome.told()[0].startswith("Truncation failed for src inode 3. Error ")
    assert "/twin is missing: it is another name of /huge" in outcome.told()[1]
    assert (folder / "ok").read_bytes() == b"fine"


@pytest.mark.requirement("R344")
def test_a_file_that_is_deleted_meanwhile_is_skipped(
    dump: Any, restore: Restore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = FileMaker._fill

    def filling(maker: FileMaker, content: Any, copies: Any) -> int:
        end = fill(maker, content, copies)
        (folder / "gone").unlink()
        return end

    monkeypatch.setattr(FileMaker, "_fill", filling)
    stream = dump().begin().directory(2, [(b"gone", 3), (b"ok", 4), (b"twin", 3)])
    outcome = restore(stream.file(3, b"x" * 300_000).file(4, b"fine").end())
    assert outcome.error.id == "dump.restore-incomplete"
    assert outcome.told()[0].startswith(
        "Truncation failed for src inode 3. Error 2. Skipping inode."
    )
    assert "/twin is missing: it is another name of /gone" in outcome.told()[1]
    assert outcome.names() == {"ok"}


# What is in the way


@pytest.mark.requirement("R260")
@pytest.mark.parametrize("threads", [0, 1])
def test_files_replace_what_has_their_names(
    dump: Any, restore: Restore, folder: Path, tmp_path: Path, threads: int
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"untouched")
    (folder / "plain").write_bytes(b"old and longer than the new content")
    (folder / "link").symlink_to(outside)
    (folder / "hard").hardlink_to(outside)
    os.mkfifo(folder / "fifo")
    names = [b"plain", b"link", b"hard", b"fifo"]
    stream = dump().begin().directory(2, [(name, 3 + n) for n, name in enumerate(names)])
    for n in range(4):
        stream.file(3 + n, b"new")
    assert restore(stream.end(), options=RecoverOptions(threads=threads)).error is None
    for name in names:
        assert (folder / name.decode()).read_bytes() == b"new"
        assert not (folder / name.decode()).is_symlink()
    assert outside.read_bytes() == b"untouched"


@pytest.mark.requirement("R257")
def test_locks_on_files_that_are_there_are_ignored(
    dump: Any, restore: Restore, folder: Path
) -> None:
    (folder / "f").write_bytes(b"old")
    with (folder / "f").open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        outcome = restore(dump().begin().directory(2, [(b"f", 3)]).file(3, b"new").end())
    assert outcome.error is None
    assert (folder / "f").read_bytes() == b"new"


@pytest.mark.requirement("R260")
def test_directories_that_are_there_are_kept_and_get_the_attributes(
    dump: Any, restore: Restore, folder: Path
) -> None:
    (folder / "d").mkdir(0o700)
    (folder / "d/other").write_bytes(b"stays")
    stream = dump().begin().directory(2, [(b"d", 3)])
    stream.directory(3, [(b"new", 4)], mode=0o751, mtime_s=77).file(4, b"n")
    assert restore(stream.end()).error is None
    assert (folder / "d/other").read_bytes() == b"stays"
    assert stat.S_IMODE((folder / "d").stat().st_mode) == 0o751
    assert (folder / "d").stat().st_mtime == 77


@pytest.mark.parametrize("kind", ["file", "link to a directory"])
def test_something_else_in_the_way_of_a_directory(
    dump: Any, restore: Restore, select: Any, folder: Path, tmp_path: Path, kind: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "file":
        (folder / "d").write_bytes(b"in the way")
    else:
        (folder / "d").symlink_to(elsewhere)
    stream = dump().begin().directory(2, [(b"d", 3), (b"ok", 5)])
    stream.directory(3, [(b"deep", 6), (b"f", 4)]).directory(6, [(b"g", 7)])
    outcome = restore(
        stream.file(4, b"lost").file(5, b"fine").file(7, b"lost too").end(),
        [select("d", "/vs1/vol1/d"), select("ok", "/vs1/vol1/ok")],
    )
    assert outcome.error.id == "dump.restore-incomplete"
    assert outcome.results[1] == ("ok", FileResult.SUCCESSFUL)
    assert outcome.results[0][1] in (FileResult.FILE_PATH_EXISTS, FileResult.NO_DIRECTORY)
    (told,) = outcome.told()
    assert "/d could not be made, and nothing in it restored" in told
    assert (folder / "ok").read_bytes() == b"fine"
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("threads", [0, 1])
def test_a_directory_in_the_way_of_a_file(
    dump: Any, restore: Restore, select: Any, folder: Path, threads: int
) -> None:
    (folder / "f").mkdir()
    (folder / "l").mkdir()
    (folder / "big").mkdir()
    stream = dump().begin().directory(2, [(b"f", 3), (b"ok", 4), (b"l", 5), (b"big", 6)])
    stream.file(3, b"lost").file(4, b"fine").object(5, stat.S_IFLNK, b"x").file(6, b"y" * 200_000)
    names = ("f", "ok", "l", "big")
    outcome = restore(
        stream.end(),
        [select(name, f"/vs1/vol1/{name}") for name in names],
        options=RecoverOptions(threads=threads),
    )
    exists, fine = FileResult.FILE_PATH_EXISTS, FileResult.SUCCESSFUL
    assert [result for _, result in outcome.results] == [exists, fine, exists, exists]
    assert (folder / "f").is_dir()
    assert (folder / "ok").read_bytes() == b"fine"


# Attributes

ACL = bytes.fromhex(
    "02000000 01000600ffffffff 02000600d2040000 04000400ffffffff 10000600ffffffff 20000400ffffffff"
)


@pytest.mark.requirement("R250")
@needs_root
@pytest.mark.parametrize("size", [10, 300_000])
def test_extended_attributes_and_acls(dump: Any, restore: Restore, folder: Path, size: int) -> None:
    wanted = {
        "user.a": b"value",
        "user.b": bytes(1700),
        "user.c": bytes(1700),
        "trusted.t": b"\0\xff",
        "security.capability": bytes.fromhex("0100000200040000000000000000000000000000"),
        "system.posix_acl_access": ACL,
    }
    stream = dump().begin().directory(2, [(b"f", 3), (b"after", 4)])
    for blob in encode_sets({"system.posix_acl_default": ACL, "user.d": b"dir"}, directory=True)[0]:
        stream.attributes(2, blob)
    stream.file(3, b"x" * size, 0o664)
    for blob in encode_sets(wanted, directory=False)[0]:
        stream.attributes(3, blob)
    stream.file(4, b"plain", 0o644)
    outcome = restore(stream.end())
    assert (outcome.error, outcome.told(LogLevel.WARNING)) == (None, [])
    path = folder / "f"
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == wanted
    assert set(os.listxattr(folder)) == {"system.posix_acl_default", "user.d"}
    assert os.listxattr(folder / "after") == []


@needs_root
@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR])
def test_attributes_of_special_objects(
    dump: Any, restore: Restore, folder: Path, kind: int
) -> None:
    ((blob,), _) = encode_sets({"trusted.t": b"on it"}, directory=False)
    stream = dump().begin().directory(2, [(b"s", 3)])
    stream.object(3, kind | 0o600, b"target" if kind == stat.S_IFLNK else b"").attributes(3, blob)
    assert restore(stream.end()).error is None
    assert os.getxattr(folder / "s", "trusted.t", follow_symlinks=False) == b"on it"


def test_attributes_that_cannot_be_used_are_warnings(
    dump: Any, restore: Restore, folder: Path
) -> None:
    (good,), _ = encode_sets({"user.good": b"1"}, directory=False)
    stream = dump().begin().directory(2, [(b"f", 3), (b"after", 4)]).file(3, b"content")
    stream.attributes(3, b"\0" * 256)
    stream.attributes(3, b"mac", attribute_kind=1)
    stream.attributes(3, b"x" * 70_000)
    stream.attributes(3, b"y" * 1024, size=5000)
    outcome = restore(stream.attributes(3, good).file(4, b"next").end())
    assert outcome.error is None
    assert len(outcome.told(LogLevel.WARNING)) == 4
    assert (folder / "f").read_bytes() == b"content"
    assert os.getxattr(folder / "f", "user.good") == b"1"
    assert (folder / "after").read_bytes() == b"next"


@needs_root
def test_flags_of_ext_file_systems(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"f", 3), (b"g", 3), (b"h", 4)])
    stream.file(3, b"fixed", inode_flags=0x80010, links=2, mtime_s=9)
    outcome = restore(stream.file(4, b"nodump", inode_flags=0x40).end())
    if outcome.told(LogLevel.WARNING):
        pytest.skip("the file system of the temporary folder has no such flags")
    try:
        assert flags_of(folder / "f") & 0x70 == 0x10
        assert flags_of(folder / "h") & 0x70 == 0x40
        assert (folder / "g").stat().st_nlink == 2
        assert (folder / "g").stat().st_mtime == 9
    finally:
        subprocess.run(["chattr", "-i", str(folder / "f")], check=True)


def flags_of(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        return int.from_bytes(fcntl.ioctl(fd, 0x8008_6601, bytes(8))[:4], sys.byteorder)
    finally:
        os.close(fd)


@needs_root
def test_acls_that_a_directory_hands_down_do_not_stay_on_what_is_restored(
    dump: Any, restore: Restore, folder: Path
) -> None:
    os.setxattr(folder, "system.posix_acl_default", ACL)
    stream = dump().begin().directory(2, [(b"small", 3), (b"big", 4), (b"d", 5)])
    stream.directory(5, [(b"inner", 6)], mode=0o755)
    stream.file(3, b"s", 0o640).file(4, b"b" * 300_000, 0o640).file(6, b"i", 0o640)
    assert restore(stream.end()).error is None
    for name in ("small", "big", "d", "d/inner"):
        assert os.listxattr(folder / name) == []
        assert stat.S_IMODE((folder / name).stat().st_mode) == (0o755 if name == "d" else 0o640)


@needs_root
def test_without_the_right_to_give_files_away(
    dump: Any, folder: Path, tmp_path: Path, restore_to: Restore
) -> None:
    stream = dump().begin().directory(2, [(b"a", 3), (b"b", 4), (b"big", 5)], uid=1, gid=1)
    stream.file(3, b"a", 0o4755, uid=1, gid=1).file(4, b"b", 0o644, uid=1, gid=1)
    data = stream.file(5, b"c" * 300_000, 0o2755, uid=2, gid=2).end()
    for place in (tmp_path, *tmp_path.parents):
        if not place.stat().st_mode & stat.S_IXOTH:
            place.chmod(0o755)
    os.chown(folder, 65534, 65534)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            outcome = restore_to(folder, data)
            assert outcome.error is None
            assert len(outcome.told(LogLevel.WARNING)) == 1
            assert "Owners are not restored" in outcome.told(LogLevel.WARNING)[0]
        except BaseException:  # noqa: BLE001 - the child must not run the rest of the tests
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("a", "b", "big")}
    assert modes == {"a": 0o755, "b": 0o644, "big": 0o755}
    assert (folder / "a").stat().st_uid == 65534


# When the destination is full


@pytest.fixture
def tiny(folder: Path) -> Any:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.requirement("R264")
@pytest.mark.parametrize("size", [50_000, 300_000])
@pytest.mark.parametrize("threads", [0, 1])
def test_a_full_destination_ends_the_restore(
    dump: Any, restore: Restore, select: Any, tiny: Path, size: int, threads: int
) -> None:
    stream = dump().begin().directory(2, [(b"f%d" % n, 3 + n) for n in range(20)])
    for n in range(20):
        stream.file(3 + n, b"x" * size)
    outcome = restore(
        stream.end(), [select("", "/vs1/vol1")], options=RecoverOptions(threads=threads)
    )
    assert outcome.error.id == "dump.no-space-left"
    assert outcome.results == [("", FileResult.IO_ERROR)]
    assert outcome.kernel.events[-1].name == "dump.restore-aborted"
    for path in tiny.iterdir():
        complete = path.stat().st_size == size
        assert complete or stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.requirement("R338")
def test_a_destination_that_turns_read_only(dump: Any, restore: Restore, tiny: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
    outcome = restore(dump().begin().directory(2, [(b"f", 3)]).file(3, b"x").end())
    assert str(outcome.error) == "Destination volume is read-only"
